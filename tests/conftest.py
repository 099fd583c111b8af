"""Fixtures for every test: what is true in all rooms."""

from typing import Any

import pytest

from portal.base.models import Event

pytest_plugins = [
    "tests.controlplane.fixtures",
    "tests.spread",
]


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
