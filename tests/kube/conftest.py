"""Servers that misbehave, for the tests of the gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.kube.connect import gateway_for
from fleet.kube.gateway import Gateway
from tests.kube.faulty_apiserver import FaultyApiserver
from tests.kube.state_of_pods import StateOfPods


@pytest.fixture
def server() -> Iterator[FaultyApiserver]:
    with FaultyApiserver() as faulty:
        yield faulty


@pytest.fixture
def gateway(server: FaultyApiserver) -> Gateway:
    return gateway_for(server.endpoint)


@pytest.fixture
def pods() -> StateOfPods:
    return StateOfPods()


@pytest.fixture
def pods_server(pods: StateOfPods) -> Iterator[FaultyApiserver]:
    with FaultyApiserver(pods.answer) as faulty:
        yield faulty
