"""The stage of the flows: one transaction a test, ticks run in the test's own thread."""

from collections.abc import Iterator

import pytest

from tests.controlplane.fixtures import Target
from tests.flows.stage import Stage, stage_on


@pytest.fixture
def stage(db: None, target: Target, loopback_clusters: None) -> Iterator[Stage]:
    with stage_on(target) as stage:
        yield stage
