"""Pytest plugin: the real control plane, and one `target` fixture for it and the sandbox alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conformance.client import Client
from tests.controlplane.nodes import set_pods_ready
from tests.controlplane.plane import Plane, binaries_directory
from tests.sandbox.process import start_sandbox

MISSING = "control plane binaries not found: run tests/controlplane/build.sh"
SCENARIO = Path(__file__).with_name("scenario.yaml")


def require_binaries() -> Path:
    """The directory of the binaries; skips the test where they were not built."""
    found = binaries_directory()
    if found is None:
        pytest.skip(MISSING)
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pin", action="store_true", help="record what the real control plane answers"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[pytest.TestReport]:
    """All tests that lack the binaries share one line of the summary."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and MISSING in report.longrepr[2]:
        report.longrepr = ("tests/controlplane", 0, report.longrepr[2])
    return report


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
    require_binaries()
    with Plane() as plane:
        _furnish(plane)
        yield plane


@pytest.fixture(scope="session")
def sandbox_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A simulated cluster with the same nodes."""
    folder = tmp_path_factory.mktemp("sandbox")
    sandbox = start_sandbox(folder, clusters=["conformance"], scenario=SCENARIO)
    try:
        yield Target(
            "sandbox",
            sandbox.kubeconfigs["conformance"],
            sandbox.server,
            sandbox.ca_pem,
            sandbox.token,
            forget_history=sandbox.restart,
        )
    finally:
        sandbox.kill()


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


def _furnish(plane: Plane) -> None:
    """The same nodes as the sandbox makes of the scenario."""
    for pool in yaml.safe_load(SCENARIO.read_text())["pools"]:
        names = [f"{pool['name']}-{number + 1}" for number in range(pool["nodes"])]
        plane.add_nodes(
            names,
            cpu=str(pool["cpu"]),
            memory=pool["memory"],
            gpus=pool.get("gpus", 0),
            labels=pool.get("labels"),
        )
