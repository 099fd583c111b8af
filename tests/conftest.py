"""Fixtures for every test: what is true in all rooms."""

from pathlib import Path
from typing import Any

import pytest

from portal.base.models import Event

# What shares expensive fixtures runs in one process when the suite is spread over several.
SHARED = {
    "conformance": "clusters",
    "controlplane": "clusters",
    "kube": "clusters",
    "flows": "clusters",
    "flows/test_portal.py": "portal",
    "browser": "portal",
    "launcher": "portal",
}
pytest_plugins = ["tests.controlplane.fixtures", "tests.launcher.fixtures"]


@pytest.fixture
def emitted(db: None) -> "Emitted":
    """The events of this test: `emitted()` lists them, `emitted("rollout.changed")` one kind."""
    return Emitted()


class Emitted:
    """Events written since it was made, oldest first."""

    def __init__(self) -> None:
        self.after = Event.objects.order_by("-seq").values_list("seq", flat=True).first() or 0

    def __call__(self, kind: str = "") -> list[Event]:
        found = Event.objects.filter(seq__gt=self.after)
        return list(found.filter(kind=kind) if kind else found)

    def forget(self) -> None:
        """Counts from here on."""
        self.__init__()


@pytest.fixture
def loopback_clusters(settings: Any) -> None:
    """Clusters on 127.0.0.1 are accepted, as under `./pilothouse up`."""
    settings.ALLOW_LOOPBACK_CLUSTERS = True


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for `--dist loadgroup`: by what is shared, else by folder."""
    root = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(root)
        folder = path.parts[0]
        group = SHARED.get(path.as_posix()) or SHARED.get(folder, folder)
        item.add_marker(pytest.mark.xdist_group(group))
