"""Pytest plugin: one portal with its demo, started by `./pilothouse up`, for all who look at it."""

from collections.abc import Iterator

import pytest

from portal.launcher.layout import REPOSITORY
from tests.launcher.installation import Installation


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The whole portal, in a `var` of its own."""
    portal = Installation(REPOSITORY, tmp_path_factory.mktemp("portal") / "var")
    portal.start()
    yield portal
    portal.stop()
