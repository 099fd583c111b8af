"""`./pilothouse` before there is a .venv, and when the command line is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from portal.launcher.layout import REPOSITORY

TOOLS = ("sh", "dirname", "cmp", "cat", "rm", "cp", "flock", "env")
OLD = "exit 1"
WITHOUT_VENV = 'case "$2" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the door, the locks and nothing else."""
    clone = tmp_path / "a clone"
    clone.mkdir()
    for name in ("pilothouse", "requirements.lock", "requirements-dev.lock"):
        shutil.copy2(REPOSITORY / name, clone)
    return clone


def knock(clone: Path, *arguments: str, python: str = "") -> subprocess.CompletedProcess[str]:
    """Run the door on a machine whose only Python is the shell script `python` ("" for none)."""
    machine = clone.parent / "machine"
    machine.mkdir(exist_ok=True)
    for tool in TOOLS:
        (machine / tool).unlink(missing_ok=True)
        (machine / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    if python:
        (machine / "python3").write_text(f"#!/bin/sh\n{python}\n")
        (machine / "python3").chmod(0o755)
    return subprocess.run(
        [str(clone / "pilothouse"), *arguments],
        env={"PATH": str(machine), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.mark.parametrize("python", ["", OLD])
def test_without_a_recent_python_it_says_so(clone: Path, python: str) -> None:
    done = knock(clone, "up", python=python)
    assert done.returncode == 2
    assert done.stderr.startswith("pilothouse: Python 3.11 or newer is needed")
    assert not (clone / ".venv").exists()


def test_without_the_venv_module_it_names_the_package(clone: Path) -> None:
    done = knock(clone, "up", python=WITHOUT_VENV)
    assert done.returncode == 2
    assert "apt install python3-venv" in done.stderr and done.stderr.count("\n") == 1


def test_a_venv_whose_python_vanished_is_not_trusted(clone: Path) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to("/no/such/python")
    shutil.copy2(clone / "requirements.lock", clone / ".venv")
    done = knock(clone, "up", python=OLD)
    assert done.returncode == 2 and "Python 3.11 or newer" in done.stderr


def test_an_unknown_command_gets_the_list_of_commands(clone: Path) -> None:
    done = knock(clone, "upp")
    assert done.returncode == 2
    assert "up [--port N]" in done.stderr
    assert done.stderr.endswith("there is no command 'upp'.\n")


def test_help_needs_nothing(clone: Path) -> None:
    done = knock(clone, "help")
    assert done.returncode == 0 and "./pilothouse <command>" in done.stdout


def test_what_is_installed_is_used_at_once(clone: Path) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    python = clone / ".venv/bin/python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "runs $*"\n')
    python.chmod(0o755)
    shutil.copy2(clone / "requirements.lock", clone / ".venv")
    assert knock(clone, "up", "--port", "1").stdout == "runs -m portal.launcher --port 1\n"
    assert "manage.py check\n" in knock(clone, "manage", "check").stdout


def test_locks_name_no_host_and_no_path() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-uv.lock"):
        text = (REPOSITORY / name).read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text and "file:" not in text and "--index" not in text
