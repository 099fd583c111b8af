"""Imports go down only, and never in a circle. Imports inside functions count like any other."""

import pytest

from tests.code_report import circles, read_modules

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
MODULES = read_modules()
# Of `from a import b`, both a and a.b are in `imports`.
IMPORTS = {name: module.imports - {name} for name, module in MODULES.items()}


def room_of(module: str) -> str | None:
    """The room a dotted name belongs to, None for what is not ours."""
    return next((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), None)


def users_of(package: str) -> set[str]:
    """Our modules that import a package."""
    return {
        module
        for module, names in IMPORTS.items()
        if any(name == package or name.startswith(f"{package}.") for name in names)
    }


def test_rooms_import_downwards_only() -> None:
    wrong = [
        f"{module} imports {used}"
        for module, names in IMPORTS.items()
        for used in names
        if room_of(used) not in {None, room_of(module), *ROOMS[room_of(module)]}
    ]
    assert wrong == []


def test_there_are_no_circles() -> None:
    assert circles(MODULES) == []


def test_only_the_gateway_imports_the_kubernetes_client() -> None:
    users = users_of("kubernetes")
    assert users, "the gateway uses it, so an empty set means that this test is blind"
    assert {room_of(module) for module in users} == {"fleet.kube"}


@pytest.mark.parametrize("room", ["fleet.kube", "fleet.sandbox"])
def test_the_gateway_and_the_sandbox_know_no_django(room: str) -> None:
    ours = {module for module in MODULES if room_of(module) == room}
    assert ours
    assert ours & (users_of("django") | users_of("rest_framework")) == set()


def test_the_fleets_package_stays_empty() -> None:
    assert MODULES["fleet"].lines == 0
