"""Two simulated clusters for the tests of this room, shared by all of them."""

from collections.abc import Callable, Iterator

import pytest

from fleet import clusters
from fleet.models import Cluster
from portal.demo import seed
from tests.sandbox.process import SandboxProcess, start_sandbox

SCENARIO = str(seed.FOLDER / "sandbox.yaml")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    folder = tmp_path_factory.mktemp("fleet-sandbox")
    process = start_sandbox(folder, list(seed.CLUSTERS), scenario=SCENARIO, start_seconds=0.1)
    yield process
    process.stop()


@pytest.fixture
def kubeconfig(sandbox: SandboxProcess) -> str:
    return sandbox.kubeconfigs["us-east-1"].read_text()


@pytest.fixture
def registered(sandbox: SandboxProcess, loopback_clusters: None) -> Callable[..., Cluster]:
    """Registers one of the simulated clusters, by the verb."""

    def register(name: str = "us-east-1", **values: str) -> Cluster:
        text = sandbox.kubeconfigs[name].read_text()
        given = {"name": name, "provider": "sandbox", "environment": "staging", **values}
        return clusters.register(kubeconfig=text, actor=None, **given)

    return register
