"""A stage whose rows other processes see, leases that end soon, and workers to be killed."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.victim import LEASE_SECONDS
from tests.controlplane.fixtures import Target
from tests.flows.stage import Stage, stage_on


@pytest.fixture
def stage(
    transactional_db: None, sandbox_target: Target, loopback_clusters: None, settings: Any
) -> Iterator[Stage]:
    """On the sandbox alone: what is killed here is ours, and the flows compare the targets."""
    settings.ENGINE_LEASE_SECONDS = LEASE_SECONDS
    with stage_on(sandbox_target) as stage:
        yield stage
