"""Releases travel to a cluster and back, on the sandbox and on a real control plane alike."""

import pytest

from deploy import rollouts
from deploy.models import Attempt, Rollout
from deploy.models.rollout import State
from portal.base.models import AuditEntry, Event
from tests.factories import digest
from tests.flows.stage import Stage


def test_a_release_travels_from_a_click_to_running_pods(stage: Stage):
    first = stage.finish(stage.start("1.0"))
    assert (first.state, first.stable) == (State.SUCCEEDED, None)
    second = stage.finish(stage.start("1.1"))
    assert second.state == State.SUCCEEDED
    assert second.stable_id == first.pk
    status = stage.deployment()["status"]
    assert (status["updatedReplicas"], status["availableReplicas"]) == (2, 2)
    assert stage.image().endswith(digest("1.1"))
    assert stage.config() == "1.1"
    assert [step.state for step in second.steps.all()] == ["done"] * 4
    assert rollouts.current_release(stage.placement).version == "1.1"


def test_every_step_is_taken_once_and_told_without_a_hole(stage: Stage, emitted):
    stage.finish(stage.start("1.0"))
    rollout = stage.finish(stage.start("1.1"))
    once = Attempt.objects.filter(rollout=rollout, outcome="ok")
    assert sorted(once.values_list("action", flat=True)) == ["apply", "prune"]
    states = [
        e.payload["state"] for e in emitted("rollout.changed") if e.object_id == str(rollout.pk)
    ]
    assert [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s] == [
        "queued",
        "preparing",
        "progressing",
        "promoting",
        "succeeded",
    ]
    seqs = list(Event.objects.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    audited = AuditEntry.objects.filter(object_id=str(rollout.pk)).values_list("verb", flat=True)
    assert {"rollout.deploy", "rollout.preparing", "rollout.succeeded"} <= set(audited)


def test_a_crashing_release_returns_to_the_old_version_after_its_deadline(stage: Stage):
    stage.finish(stage.start("1.0"))
    stage.release("1.1", crash=True)
    rollout = stage.finish(stage.start("1.1"))
    assert rollout.state == State.ABORTED
    assert "No progress for 3 s" in rollout.reason
    assert "CrashLoopBackOff" in rollout.reason
    assert stage.image().endswith(digest("1.0"))
    assert stage.config() == "1.0"
    status = stage.deployment()["status"]
    assert (status["updatedReplicas"], status["availableReplicas"], status["replicas"]) == (2, 2, 2)
    assert rollouts.current_release(stage.placement).version == "1.0"


def test_a_release_that_asks_for_more_gpus_than_there_are_changes_nothing(stage: Stage):
    stage.finish(stage.start("1.0"))
    stage.release("1.1", resources={"limits": {"nvidia.com/gpu": "64"}})
    rollout = stage.finish(stage.start("1.1"))
    assert rollout.state == State.ABORTED
    assert "64 GPUs; the largest node has 2" in rollout.reason
    assert stage.image().endswith(digest("1.0"))
    assert not Attempt.objects.filter(rollout=rollout, action="apply").exists()


def test_rolling_back_restores_the_older_release_with_its_config(stage: Stage):
    stage.finish(stage.start("1.0"))
    stage.finish(stage.start("1.1"))
    back = rollouts.roll_back(placement=stage.placement, actor=stage.actor, reason="too slow")
    assert stage.finish(back).state == State.SUCCEEDED
    assert (back.kind, back.release.version) == ("rollback", "1.0")
    assert stage.image().endswith(digest("1.0"))
    assert stage.config() == "1.0"


def until_rolling(rollout: Rollout) -> bool:
    return rollout.state == State.PROGRESSING and "applied" in rollout.memory


def test_a_person_changing_the_image_in_the_middle_is_drift_and_abort_still_ends(stage: Stage):
    stage.finish(stage.start("1.0"))
    stage.release("1.1", crash=True)
    rollout = stage.drive(
        stage.start("1.1", parameters={"progress_deadline_seconds": 600}), until_rolling
    )
    meddle(stage)
    rollout = stage.drive(rollout, lambda row: row.state == State.PAUSED)
    assert rollout.drift[0]["manager"] == "kubectl-set"
    assert "image" in " ".join(rollout.drift[0]["fields"])
    rollouts.abort(rollout=rollout, actor=stage.actor, reason="not like this")
    assert stage.finish(rollout).state == State.ABORTED
    assert stage.image().endswith(digest("1.0"))


def test_resuming_after_drift_takes_the_fields_back(stage: Stage):
    stage.finish(stage.start("1.0"))
    stage.release("1.1", manual=True)
    rollout = stage.drive(stage.start("1.1"), until_rolling)
    meddle(stage)
    rollout = stage.drive(rollout, lambda row: row.state == State.PAUSED)
    rollouts.resume(rollout=rollout, actor=stage.actor)
    rollout = stage.drive(rollout, lambda row: row.state == State.PROGRESSING)
    assert rollout.drift == []

    def ended_once_ready(row: Rollout) -> bool:
        stage.get_ready()
        return row.is_terminal

    assert stage.drive(rollout, ended_once_ready).state == State.SUCCEEDED
    assert stage.image().endswith(digest("1.1"))


def meddle(stage: Stage) -> None:
    """What `kubectl set image deploy/web web=…` sends."""
    path = f"/apis/apps/v1/namespaces/{stage.namespace}/deployments/web"
    image = f"registry.example/web@{digest('meddled')}"
    containers = [{"name": "web", "image": image}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    answer = stage.client.strategic_patch(path, patch, fieldManager="kubectl-set")
    assert answer.status == 200


def test_pausing_holds_the_pods_and_resuming_goes_on(stage: Stage):
    stage.finish(stage.start("1.0"))
    stage.release("1.1", crash=True)
    rollout = stage.drive(
        stage.start("1.1", parameters={"progress_deadline_seconds": 600}), until_rolling
    )
    rollouts.pause(rollout=rollout, actor=stage.actor, reason="lunch")
    rollout = stage.drive(rollout, lambda row: row.state == State.PAUSED)
    assert stage.deployment()["spec"]["paused"] is True
    assert "lunch" in rollout.reason
    rollouts.resume(rollout=rollout, actor=stage.actor)
    rollout = stage.drive(rollout, lambda row: row.state == State.PROGRESSING)
    assert not stage.deployment()["spec"].get("paused")
    rollouts.abort(rollout=rollout, actor=stage.actor)
    assert stage.finish(rollout).state == State.ABORTED


def test_a_newer_release_aborts_the_one_under_way_and_follows_it(stage: Stage):
    stage.finish(stage.start("1.0"))
    stage.release("1.1", crash=True)
    older = stage.drive(
        stage.start("1.1", parameters={"progress_deadline_seconds": 600}), until_rolling
    )
    newer = stage.start("1.2")
    assert stage.finish(older).state == State.ABORTED
    assert "superseded by 1.2" in Rollout.objects.get(pk=older.pk).reason
    assert stage.finish(newer).state == State.SUCCEEDED
    assert stage.image().endswith(digest("1.2"))


def test_a_first_release_that_fails_leaves_its_objects_to_be_looked_at(stage: Stage):
    stage.release("1.0", crash=True)
    rollout = stage.finish(stage.start("1.0"))
    assert rollout.state == State.FAILED
    assert stage.image().endswith(digest("1.0"))


def test_an_old_config_map_goes_once_no_replica_set_needs_it(stage: Stage):
    for version in ("1.0", "1.1", "1.2"):
        stage.release(version)
    for version in ("1.0", "1.1"):
        stage.finish(stage.start(version))
    path = f"/api/v1/namespaces/{stage.namespace}/configmaps"
    ours = {"labelSelector": "app.kubernetes.io/managed-by=pilothouse"}
    names = {item["data"]["VERSION"] for item in stage.client.get(path, **ours).body["items"]}
    assert names == {"1.0", "1.1"}, "the old ReplicaSet still refers to 1.0"
    sets = f"/apis/apps/v1/namespaces/{stage.namespace}/replicasets"
    for found in stage.client.get(sets).body["items"]:
        if not found["spec"]["replicas"]:
            stage.client.delete(f"{sets}/{found['metadata']['name']}")
    stage.finish(stage.start("1.2"))
    names = {item["data"]["VERSION"] for item in stage.client.get(path, **ours).body["items"]}
    assert names == {"1.1", "1.2"}


@pytest.mark.parametrize("missing", ["namespace"])
def test_a_refusal_by_the_api_server_is_told_before_anything_is_written(stage: Stage, missing: str):
    stage.placement.namespace = "nowhere"
    stage.placement.save()
    rollout = stage.finish(stage.start("1.0"))
    assert rollout.state == State.ABORTED
    assert "nowhere" in rollout.reason
