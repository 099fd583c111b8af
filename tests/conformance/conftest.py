"""Fixtures of the conformance cases: a namespace of the target, and the pinned answers."""

import re
import uuid
from collections.abc import Iterator

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.pins import Pins
from tests.controlplane.fixtures import Target


@pytest.fixture
def cluster(target: Target) -> Cluster:
    """A fresh namespace of the target."""
    client = target.client
    name = f"case-{uuid.uuid4().hex[:8]}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    assert client.post("/api/v1/namespaces", namespace).status == 201
    return Cluster(client, name)


@pytest.fixture
def pinned(request: pytest.FixtureRequest, target: Target, cluster: Cluster) -> Iterator[Pins]:
    """Compares with what the real control plane answered; `--pin` records it."""
    record = request.config.getoption("--pin") and target.name == "controlplane"
    name = request.node.name.removeprefix("test_").replace(target.name, "")
    case = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    pins = Pins(case, cluster.namespace, record=record)
    yield pins
    if not request.node.stash.get(FAILED, False):
        pins.finish()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report
