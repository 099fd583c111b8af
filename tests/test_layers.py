"""Imports go down only, and never in a circle. Imports inside functions count like any other."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The most specific name comes first; a room may import itself and what stands behind it.
ROOMS = {
    "fleet.sandbox": set(),
    "fleet.kube": set(),
    "portal.base": set(),
    "fleet": {"fleet.kube", "portal.base"},
    "deploy": {"fleet", "fleet.kube", "portal.base"},
    "inference": {"fleet", "fleet.kube", "portal.base"},
    "portal": {"deploy", "inference", "fleet", "fleet.kube", "portal.base"},
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for room in ("portal", "fleet", "deploy", "inference")
    for path in (ROOT / room).rglob("*.py")
    if "migrations" not in path.parts
}


def room_of(module: str) -> str | None:
    return next((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), None)


def imports_of(module: str) -> Iterator[str]:
    """Every module that a module names, as far as it is one; `from a import b` may name a.b."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = _package(module, node.level)
            source = ".".join(filter(None, (package, node.module)))
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in MODULES else source


def _package(module: str, level: int) -> str:
    """What the dots of a relative import stand for; nothing for an absolute one."""
    up = level - (MODULES[module].name == "__init__.py")
    return ".".join(module.split(".")[:-up] if up else module.split(".")) if level else ""


EDGES = {module: set(imports_of(module)) - {module} for module in MODULES}


def test_rooms_import_downwards_only() -> None:
    wrong = [
        f"{module} imports {used}"
        for module, names in EDGES.items()
        for used in names
        if room_of(used) not in {None, room_of(module), *ROOMS[room_of(module)]}
    ]
    assert wrong == []


def test_no_module_imports_itself_by_a_detour() -> None:
    ours = {module: names & MODULES.keys() for module, names in EDGES.items()}
    TopologicalSorter(ours).prepare()  # raises CycleError, which names the circle


def test_only_the_gateway_imports_the_kubernetes_client() -> None:
    users = {m for m, names in EDGES.items() if any(n.split(".")[0] == "kubernetes" for n in names)}
    assert users, "the gateway uses the client, so an empty set means that this test is blind"
    assert {room_of(module) for module in users} == {"fleet.kube"}


def test_the_gateway_and_the_sandbox_know_no_django() -> None:
    lower = {m: n for m, n in EDGES.items() if room_of(m) in ("fleet.kube", "fleet.sandbox")}
    users = {m for m, names in lower.items() if any(n.split(".")[0] == "django" for n in names)}
    assert users == set()
