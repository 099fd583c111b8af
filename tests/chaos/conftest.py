"""A stage whose rows other processes see, leases that end soon, and workers to be killed."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.victim import LEASE_SECONDS
from tests.controlplane.fixtures import Target
from tests.flows.stage import Stage, stage_on


@pytest.fixture
def stage(
    transactional_db: None, target: Target, loopback_clusters: None, settings: Any
) -> Iterator[Stage]:
    settings.ENGINE_LEASE_SECONDS = LEASE_SECONDS
    with stage_on(target) as stage:
        yield stage
