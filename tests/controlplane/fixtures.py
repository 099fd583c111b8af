"""Pytest plugin: the real control plane, and one `target` fixture for it and the sandbox alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.client import Client
from tests.controlplane.nodes import add_nodes, set_pods_ready
from tests.controlplane.plane import Plane, binaries_directory

MISSING = "control plane binaries not found: run tests/controlplane/build.sh"
CPU_NODES = ["node-0", "node-1", "node-2"]
GPU_NODES = ["gpu-0"]
GPUS_PER_NODE = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pin", action="store_true", help="record what the real control plane answers"
    )


@dataclass(frozen=True)
class Target:
    """One Kubernetes API the suite talks to; `name` is `sandbox` or `controlplane`."""

    name: str
    kubeconfig: Path
    server: str
    ca_pem: str
    token: str
    forget_history: Callable[[], None]
    """Makes every version before now too old to watch from."""

    @property
    def client(self) -> Client:
        return Client(self.server, self.ca_pem, self.token)

    def set_pods_ready(
        self, namespace: str, *, selector: str = "", count: int | None = None, ready: bool = True
    ) -> list[str]:
        """Steps readiness of pods annotated `sandbox.pilothouse.io/readiness: manual`."""
        return set_pods_ready(self.client, namespace, selector=selector, count=count, ready=ready)


@pytest.fixture(scope="session")
def plane() -> Iterator[Plane]:
    """A real control plane with three plain nodes and one with two GPUs."""
    if binaries_directory() is None:
        pytest.skip(MISSING)
    with Plane() as plane:
        _furnish(plane.client)
        yield plane


@pytest.fixture(scope="session")
def sandbox_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A simulated cluster with the same nodes."""
    from tests.sandbox.process import start_sandbox

    folder = tmp_path_factory.mktemp("sandbox")
    with start_sandbox(folder, clusters=["conformance"]) as sandbox:
        cluster = sandbox.cluster("conformance")
        target = Target(
            "sandbox", cluster.kubeconfig, cluster.server, cluster.ca_pem, cluster.token
        )
        _furnish(target.client)
        yield target


@pytest.fixture(
    scope="session",
    params=["sandbox", pytest.param("controlplane", marks=pytest.mark.controlplane)],
)
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "sandbox":
        return request.getfixturevalue("sandbox_target")
    plane = request.getfixturevalue("plane")
    return Target(
        "controlplane",
        plane.kubeconfig,
        plane.server,
        plane.ca_pem,
        plane.token,
        forget_history=lambda: _restarted(plane),
    )


def _restarted(plane: Plane) -> None:
    """An API server remembers no change from before its own start."""
    plane.kill_apiserver()
    plane.restart_apiserver()


def _furnish(client: Client) -> None:
    add_nodes(client, CPU_NODES)
    add_nodes(client, GPU_NODES, gpus=GPUS_PER_NODE, labels={"accelerator": "l4"})
