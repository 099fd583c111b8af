"""The API server fails in the middle of a rollout: nothing moves, nothing is lost, it goes on."""

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from deploy import rollouts
from deploy.models import Attempt, Rollout
from deploy.models.rollout import State
from fleet import clusters
from fleet.kube.connect import Endpoint
from tests.factories import digest
from tests.flows.stage import Stage
from tests.flows.test_rolling import until_rolling
from tests.kube.faulty_apiserver import (
    FaultyApiserver,
    forward_then_hang_up,
    hang_up,
    refuse,
    stall,
)


@pytest.fixture
def proxy(stage: Stage) -> Iterator[FaultyApiserver]:
    """The stage's cluster is reached through a server that misbehaves on demand."""
    target = stage.target
    upstream = Endpoint(server=target.server, ca_pem=target.ca_pem, token=target.token)
    with FaultyApiserver(upstream=upstream) as server:
        stage.placement.cluster.credentials = asdict(server.endpoint)
        stage.placement.cluster.save()
        yield server


def waiting(stage: Stage) -> Rollout:
    """1.0 runs; 1.1 is applied, and its pods wait for the test."""
    stage.finish(stage.start("1.0"))
    stage.release("1.1", manual=True)
    return stage.drive(
        stage.start("1.1", parameters={"progress_deadline_seconds": 5}), until_rolling
    )


def ended_once_ready(stage: Stage):
    def ended(row: Rollout) -> bool:
        stage.get_ready()
        return row.is_terminal

    return ended


def answer_again(stage: Stage, proxy: FaultyApiserver) -> None:
    """The fault is over, and the watcher's probe has opened the breaker."""
    proxy.calm()
    clusters.check(cluster=stage.placement.cluster)


@pytest.mark.parametrize("fault", [hang_up, refuse(503, "ServiceUnavailable", "etcd is away")])
def test_an_outage_stalls_the_rollout_and_its_deadline(stage: Stage, proxy, fault):
    rollout = waiting(stage)
    proxy.on("GET", ".*", fault)
    proxy.on("PATCH", ".*", fault)
    rollout = stage.drive(rollout, lambda row: row.stalled_since is not None)
    assert rollout.state == State.PROGRESSING
    assert stage.placement.cluster.name in rollout.explanation["waiting_for"]
    idle = rollout.memory.get("progress", {}).get("idle_seconds", 0)
    # Far longer than the deadline, on the row's own clock.
    rollout.memory["progress"]["at"] = "2020-01-01T00:00:00+00:00"
    Rollout.objects.filter(pk=rollout.pk).update(memory=rollout.memory)
    answer_again(stage, proxy)
    rollout = stage.drive(rollout, lambda row: row.stalled_since is None)
    assert rollout.state == State.PROGRESSING
    assert rollout.memory["progress"]["idle_seconds"] == pytest.approx(idle, abs=3)
    assert stage.drive(rollout, ended_once_ready(stage)).state == State.SUCCEEDED


def test_an_abort_asked_for_during_an_outage_comes_first_when_it_is_over(stage: Stage, proxy):
    rollout = waiting(stage)
    proxy.on("GET", ".*", hang_up)
    rollout = stage.drive(rollout, lambda row: row.stalled_since is not None)
    rollouts.abort(rollout=rollout, actor=stage.actor)
    answer_again(stage, proxy)
    assert stage.finish(rollout).state == State.ABORTED
    assert stage.image().endswith(digest("1.0"))


def test_a_write_whose_answer_is_lost_is_read_back_not_doubled(stage: Stage, proxy):
    stage.finish(stage.start("1.0"))
    proxy.on("PATCH", ".*/deployments/web.*", forward_then_hang_up, times=2)
    rollout = stage.finish(stage.start("1.1"))
    assert rollout.state == State.SUCCEEDED
    assert Attempt.objects.filter(rollout=rollout, action="apply", outcome="ok").count() == 1
    sets = stage.client.get(f"/apis/apps/v1/namespaces/{stage.namespace}/replicasets").body
    assert len(sets["items"]) == 2


def test_a_server_that_never_answers_costs_a_tick_no_more_than_its_budget(
    stage: Stage, proxy, settings
):
    settings.ENGINE_TICK_BUDGET_SECONDS = 1.0
    rollout = waiting(stage)
    proxy.on("GET", ".*", stall)
    rollout = stage.drive(rollout, lambda row: row.stalled_since is not None)
    answer_again(stage, proxy)
    assert stage.drive(rollout, ended_once_ready(stage)).state == State.SUCCEEDED


def test_credentials_that_expire_pause_it_for_a_person(stage: Stage, proxy):
    rollout = waiting(stage)
    proxy.on("GET", ".*", refuse(401, "Unauthorized", "Unauthorized"))
    rollout = stage.drive(rollout, lambda row: row.state == State.PAUSED)
    assert "credentials" in rollout.explanation["waiting_for"]
    proxy.calm()
    rollouts.resume(rollout=rollout, actor=stage.actor)
    rollout = stage.drive(rollout, lambda row: row.state == State.PROGRESSING)
    assert stage.drive(rollout, ended_once_ready(stage)).state == State.SUCCEEDED


def test_too_many_requests_is_patience_not_failure(stage: Stage, proxy):
    rollout = waiting(stage)
    proxy.on("GET", ".*", refuse(429, "TooManyRequests", "slow down"), times=3)
    assert stage.drive(rollout, ended_once_ready(stage)).state == State.SUCCEEDED
