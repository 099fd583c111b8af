"""Workers die, stop, double and come late: each step happens once and the end is right."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery
from django.db import connections

from deploy import engine, rollouts
from deploy.dispatcher import Dispatcher
from deploy.models import Attempt, Rollout
from deploy.models.rollout import State
from portal.base.models import AuditEntry, Event
from tests.chaos import victim
from tests.factories import digest
from tests.flows.stage import Stage

# (point, passing): before and after each thing a tick does, in each of its ticks.
BLOWS = [
    ("claim:after", 1),
    ("write:after", 1),
    ("look", 1),
    ("look:after", 1),
    ("apply", 1),
    ("commit:after", 2),
    ("apply:after", 4),
    ("apply:after", 5),
    ("perform:after", 1),
    ("write:after", 3),
    ("commit:after", 3),
    ("look:after", 3),
    ("delete", 1),
    ("delete:after", 1),
    ("write", 5),
    ("write:after", 5),
]


def two_releases_and_a_relic(stage: Stage) -> Rollout:
    """1.0 runs, 1.1 is about to start, and an object that must be pruned is there."""
    stage.finish(stage.start("1.0"))
    relic = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "relic",
            "labels": {
                "app.kubernetes.io/managed-by": "pilothouse",
                "pilothouse.io/placement": str(stage.placement.pk),
            },
        },
    }
    path = f"/api/v1/namespaces/{stage.namespace}/configmaps"
    assert stage.client.post(path, relic).status == 201
    return stage.start("1.1")


def strike(rollout: Rollout, point: str, nth: int) -> None:
    """Runs a worker until it is killed at the point, then lets its lease run out."""
    process = victim.start(rollout.pk, point, nth)
    process.join(victim.PATIENCE_SECONDS + 10)
    assert process.exitcode == -signal.SIGKILL, f"{point} was never reached"


def check_history(stage: Stage, rollout: Rollout) -> None:
    """Once each, in order, without a hole, and with nothing left over in the cluster."""
    acted = Attempt.objects.filter(rollout=rollout, outcome="ok")
    assert sorted(acted.values_list("action", flat=True)) == ["apply", "prune"]
    entries = AuditEntry.objects.filter(object_id=str(rollout.pk)).order_by("at", "id")
    steps = [e.change["step"] for e in entries if "step" in e.change]
    assert all(before[1] == after[0] for before, after in zip(steps, steps[1:], strict=False))
    assert [e.change["state"][1] for e in entries if "state" in e.change][-1] == rollout.state
    seqs = list(Event.objects.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    last = Event.objects.filter(object_id=str(rollout.pk)).order_by("-seq").first()
    assert last.payload["state"] == rollout.state
    sets = stage.client.get(f"/apis/apps/v1/namespaces/{stage.namespace}/replicasets").body
    assert len(sets["items"]) == 2
    relic = f"/api/v1/namespaces/{stage.namespace}/configmaps/relic"
    assert stage.client.get(relic).status == 404


@pytest.mark.parametrize(("point", "nth"), BLOWS)
def test_a_worker_killed_anywhere_in_a_tick_leaves_nothing_undone_or_doubled(
    stage: Stage, point: str, nth: int
):
    rollout = two_releases_and_a_relic(stage)
    strike(rollout, point, nth)
    rollout = stage.finish(rollout)
    assert rollout.state == State.SUCCEEDED
    assert stage.image().endswith(digest("1.1"))
    check_history(stage, rollout)


def stopped_before_writing(rollout: Rollout) -> object:
    """A worker that has read the cluster, decided, and is stopped just before its first write."""
    process = victim.start(rollout.pk, "apply", 4, signal.SIGSTOP)
    wait_until(lambda: _is_stopped(process.pid))
    time.sleep(victim.LEASE_SECONDS)
    return process


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def wake_up(process: object) -> None:
    os.kill(process.pid, signal.SIGCONT)
    process.join(30)
    assert process.exitcode == 0


def test_a_stopped_worker_that_wakes_late_changes_nothing(stage: Stage):
    rollout = two_releases_and_a_relic(stage)
    late = stopped_before_writing(rollout)
    rollout = stage.finish(rollout)
    before = Rollout.objects.values().get(pk=rollout.pk)
    wake_up(late)
    assert Rollout.objects.values().get(pk=rollout.pk) == before
    check_history(stage, rollout)


def test_a_late_worker_cannot_bring_an_aborted_release_back(stage: Stage):
    rollout = two_releases_and_a_relic(stage)
    late = stopped_before_writing(rollout)
    rollouts.abort(rollout=rollout, actor=stage.actor)
    newer = stage.start("1.2")
    stage.finish(rollout)
    assert stage.finish(newer).state == State.SUCCEEDED
    wake_up(late)
    assert stage.image().endswith(digest("1.2"))


def test_doubled_ticks_do_one_tick_of_work(stage: Stage):
    rollout = two_releases_and_a_relic(stage)

    def hammer(_: int) -> None:
        engine.advance(rollout.pk)
        connections.close_all()

    def hammered(row: Rollout) -> bool:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(hammer, range(16)))
        return row.is_terminal

    rollout = stage.drive(rollout, hammered)
    assert rollout.state == State.SUCCEEDED
    check_history(stage, rollout)


def test_a_tick_for_an_ended_rollout_does_nothing(stage: Stage):
    rollout = stage.finish(stage.start("1.0"))
    before = Rollout.objects.values().get(pk=rollout.pk)
    assert engine.advance(rollout.pk) == 0
    assert Rollout.objects.values().get(pk=rollout.pk) == before


def wait_until(happened: Callable[[], bool], seen: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + 30.0
    while not happened():
        assert time.monotonic() < end, f"it never happened\n{seen()}"
        time.sleep(0.05)


@pytest.fixture
def dispatch(stage: Stage):
    """Runs a dispatcher for the test; its ticks run in its own pool."""
    running: list[tuple[Dispatcher, threading.Thread]] = []

    def start(**options) -> None:
        dispatcher = Dispatcher(**options)
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        running.append((dispatcher, thread))

    yield start
    for dispatcher, thread in running:
        dispatcher.stop()
        thread.join(20)
        assert not thread.is_alive()


def ended(rollout: Rollout) -> bool:
    return Rollout.objects.get(pk=rollout.pk).is_terminal


def test_with_the_broker_down_the_dispatcher_runs_the_ticks_itself(stage: Stage, dispatch):
    dead = Celery("dead", broker="redis://127.0.0.1:1/0")
    dispatch(publish=lambda key: dead.send_task("deploy.tick", args=[key], retry=False))
    rollout = stage.start("1.0")
    wait_until(lambda: ended(rollout), stage.pods)
    assert Rollout.objects.get(pk=rollout.pk).state == State.SUCCEEDED


def test_messages_that_no_worker_takes_are_made_good(stage: Stage, dispatch):
    lost: list[str] = []
    dispatch(publish=lost.append)
    rollout = stage.start("1.0")
    wait_until(lambda: ended(rollout), stage.pods)
    assert str(rollout.pk) in lost


def test_two_dispatchers_are_harmless(stage: Stage, dispatch):
    rollout = two_releases_and_a_relic(stage)
    for _ in range(2):
        dispatch(publish=refuse)
    wait_until(lambda: ended(rollout), stage.pods)
    check_history(stage, Rollout.objects.get(pk=rollout.pk))


def refuse(_: str) -> None:
    raise OSError("no broker")
