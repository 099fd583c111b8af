"""The code report finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import code_report


def product(root: Path, **files: str) -> dict[str, code_report.Module]:
    """Modules of a made-up product below `root`; "__" in a name is a folder's slash."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return code_report.read_modules(root, ["room"])


def test_a_circle_through_a_lazy_import_is_found(tmp_path: Path) -> None:
    modules = product(
        tmp_path,
        room__a="from room import b\n",
        room__b="def later():\n    from room.c import thing\n",
        room__c="import room.a\n",
    )
    [circle] = code_report.circles(modules)
    assert set(circle) == {"room.a", "room.b", "room.c"}


def test_every_circle_is_counted(tmp_path: Path) -> None:
    modules = product(
        tmp_path,
        room__a="import room.b\n",
        room__b="import room.a\n",
        room__c="from . import d\n",
        room__d="from .c import thing\n",
    )
    assert len(code_report.circles(modules)) == 2


def test_imports_for_type_checkers_and_one_way_imports_are_no_circle(tmp_path: Path) -> None:
    modules = product(
        tmp_path,
        room__a="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room import b\n",
        room__b="from room.a import thing\n",
    )
    assert code_report.circles(modules) == []


def test_function_length_counts_decorators_and_docstring(tmp_path: Path) -> None:
    text = '@cached\ndef f():\n    """Says.\n\n    More.\n    """\n    return 1\n'
    [module] = product(tmp_path, room__a=text).values()
    assert module.functions == {"room/a.py:2 f": 7}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def f():\n" + "    x = 1\n" * 50, "longest function, lines"),
        ("x = 1\n" * 401, "longest file, lines"),
    ],
)
def test_what_is_too_long_is_over_its_limit(tmp_path: Path, text: str, what: str) -> None:
    lines = code_report.report(product(tmp_path, room__a=text, room__b="def g(): pass\n"))
    assert what in [line.what for line in lines if not line.is_kept]


def test_migrations_are_left_out(tmp_path: Path) -> None:
    modules = product(tmp_path, room__migrations__m="x = 1\n" * 900, room__a="x = 1\n")
    assert list(modules) == ["room.a"]
