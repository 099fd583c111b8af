"""What happens to pods and rollouts over time, with time moved by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.sandbox.deletion import delete
from tests.sandbox.simulation import (
    APP,
    Simulation,
    condition,
    deployment,
    knobs,
    simulated,
    template,
    waiting,
)

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def cluster(tmp_path: Path) -> "Iterator[Simulation]":
    with simulated(tmp_path, start_seconds=1.0, back_off_seconds=10.0) as simulation:
        yield simulation


async def test_a_pod_runs_once_its_start_time_has_passed(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment())
    assert waiting(cluster.pod()) == "ContainerCreating"
    cluster.run(2)
    assert condition(cluster.pod(), "Ready")["status"] == "True"
    assert condition(cluster.get("apps/deployments", "web"), "Available")["status"] == "True"


async def test_a_crashing_pod_backs_off_longer_each_time(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(pods=template(knobs(crash_after_seconds=0))))
    cluster.run(2)
    assert waiting(cluster.pod()) == "CrashLoopBackOff"
    restarts = {}
    for moment in (2, 12, 13, 33, 34, 74):
        cluster.run(moment - (cluster.clock.now().second + 60 * cluster.clock.now().minute))
        restarts[moment] = cluster.pod()["status"]["containerStatuses"][0]["restartCount"]
    assert restarts == {2: 0, 12: 1, 13: 1, 33: 2, 34: 2, 74: 3}
    assert condition(cluster.pod(), "Ready")["status"] == "False"
    assert cluster.events("BackOff")


async def test_a_pod_may_run_for_a_while_before_it_crashes(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(pods=template(knobs(crash_after_seconds=5))))
    cluster.run(3)
    assert condition(cluster.pod(), "Ready")["status"] == "True"
    cluster.run(4)
    assert waiting(cluster.pod()) == "CrashLoopBackOff"


async def test_a_slow_pod_runs_long_before_it_is_ready(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(pods=template(knobs(ready_after_seconds=8))))
    cluster.run(5)
    assert cluster.pod()["status"]["phase"] == "Running"
    assert condition(cluster.pod(), "Ready")["reason"] == "ContainersNotReady"
    cluster.run(5)
    assert condition(cluster.pod(), "Ready")["status"] == "True"


@pytest.mark.parametrize(
    "pods", [template(knobs(image_pull_error="no such image")), template(image="web:404")]
)
async def test_an_image_that_cannot_be_pulled_is_tried_again(
    cluster: Simulation, pods: dict
) -> None:
    cluster.create("apps/deployments", deployment(pods=pods))
    cluster.run(1)
    assert waiting(cluster.pod()) == "ErrImagePull"
    cluster.run(2)
    assert waiting(cluster.pod()) == "ImagePullBackOff"
    cluster.run(10)
    assert len(cluster.events("Pulling")) == 1
    assert cluster.events("Pulling")[0]["count"] == 2


async def test_manual_readiness_waits_for_a_status_patch(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(pods=template(knobs(readiness="manual"))))
    cluster.run(30)
    assert cluster.get("apps/deployments", "web")["status"]["unavailableReplicas"] == 1
    cluster.make_ready(cluster.pod())
    cluster.run(1)
    assert cluster.get("apps/deployments", "web")["status"]["availableReplicas"] == 1


async def test_a_rollout_that_does_not_move_misses_its_deadline(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(2, progressDeadlineSeconds=20))
    cluster.run(5)
    crashing = {"spec": {"template": template(knobs(crash_after_seconds=0), "web:2")}}
    cluster.merge("apps/deployments", "web", crashing)
    cluster.run(15)
    progressing = condition(cluster.get("apps/deployments", "web"), "Progressing")
    assert progressing["reason"] == "ReplicaSetUpdated"
    cluster.run(10)
    stuck = cluster.get("apps/deployments", "web")
    assert condition(stuck, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert condition(stuck, "Available")["status"] == "True"
    healthy = template() | {"metadata": {"annotations": None}}
    cluster.merge("apps/deployments", "web", {"spec": {"template": healthy}})
    cluster.run(5)
    back = cluster.get("apps/deployments", "web")
    assert condition(back, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert back["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_pods_are_available_only_after_min_ready_seconds(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(minReadySeconds=10))
    cluster.run(5)
    status = cluster.get("apps/deployments", "web")["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (1, 0)
    cluster.run(10)
    assert cluster.get("apps/deployments", "web")["status"]["availableReplicas"] == 1


async def test_recreate_never_runs_old_and_new_together(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(2, strategy={"type": "Recreate"}))
    cluster.run(3)
    cluster.merge("apps/deployments", "web", {"spec": {"template": template(image="web:2")}})
    for _ in range(12):
        cluster.run(0.5)
        images = {pod["spec"]["containers"][0]["image"] for pod in cluster.pods()}
        assert len(images) <= 1
    assert images == {"web:2"}


async def test_old_replica_sets_beyond_the_limit_are_deleted(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(revisionHistoryLimit=1))
    for version in (2, 3, 4):
        cluster.run(4)
        new = {"spec": {"template": template(image=f"web:{version}")}}
        cluster.merge("apps/deployments", "web", new)
    cluster.run(6)
    assert len(list(cluster.cluster.store.objects("apps/replicasets", "default"))) == 2


async def test_pods_wait_for_gpus_and_run_when_one_is_free(tmp_path: Path) -> None:
    with simulated(tmp_path, scenario="gpu") as cluster:  # two nodes with two GPUs each
        cluster.create("apps/deployments", deployment(5, template(gpus=1)))
        cluster.run(5)
        pending = [pod for pod in cluster.pods() if not pod["spec"].get("nodeName")]
        assert len(pending) == 1
        assert condition(pending[0], "PodScheduled")["message"] == (
            "0/5 nodes are available: 5 Insufficient nvidia.com/gpu. no new claims to deallocate, "
            "preemption: 0/5 nodes are available: 2 No preemption victims found for incoming pod, "
            "3 Preemption is not helpful for scheduling."
        )
        assert cluster.events("FailedScheduling")
        placed = next(pod for pod in cluster.pods() if pod["spec"].get("nodeName"))
        cluster.merge("apps/deployments", "web", {"spec": {"replicas": 4}})
        cluster.delete("pods", placed["metadata"]["name"])
        cluster.run(5)
        assert all(pod["spec"].get("nodeName") for pod in cluster.pods())


async def test_a_deleted_pod_gets_time_to_stop(tmp_path: Path) -> None:
    with simulated(tmp_path, stop_seconds=3.0) as cluster:
        cluster.create("pods", {"metadata": {"name": "one"}, "spec": template()["spec"]})
        cluster.run(3)
        cluster.delete("pods", "one")
        assert cluster.get("pods", "one")["metadata"]["deletionGracePeriodSeconds"] == 30
        cluster.run(4)
        assert cluster.pods() == []


async def test_a_pod_without_an_owner_is_adopted(cluster: Simulation) -> None:
    orphan = {"metadata": {"name": "orphan", "labels": APP}, "spec": template()["spec"]}
    cluster.create("pods", orphan)
    replica_set = {"metadata": {"name": "set"}, "spec": deployment()["spec"]}
    cluster.create("apps/replicasets", replica_set)
    cluster.run(2)
    (owner,) = cluster.pod()["metadata"]["ownerReferences"]
    assert (owner["name"], owner["controller"]) == ("set", True)


async def test_a_pod_that_loses_its_labels_is_replaced(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment())
    cluster.run(2)
    name = cluster.pod()["metadata"]["name"]
    cluster.merge("pods", name, {"metadata": {"labels": {"app": "debug"}}})
    cluster.run(2)
    assert "ownerReferences" not in cluster.get("pods", name)["metadata"]
    assert len(cluster.pods()) == 2


async def test_dependents_go_with_their_owner(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(2))
    cluster.run(3)
    cluster.delete("apps/deployments", "web")
    cluster.run(3)
    assert cluster.pods() == []
    assert not list(cluster.cluster.store.objects("apps/replicasets", "default"))


async def test_orphans_stay(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment(2))
    cluster.run(3)
    cluster.delete("apps/deployments", "web", propagation="Orphan")
    cluster.run(3)
    (replica_set,) = cluster.cluster.store.objects("apps/replicasets", "default")
    assert "ownerReferences" not in replica_set["metadata"]
    assert len(cluster.pods()) == 2


async def test_an_owner_deleted_in_the_foreground_goes_last(tmp_path: Path) -> None:
    with simulated(tmp_path, stop_seconds=5.0) as cluster:
        cluster.create("apps/deployments", deployment(2))
        cluster.run(3)
        cluster.delete("apps/deployments", "web", propagation="Foreground")
        cluster.run(2)
        assert cluster.get("apps/deployments", "web")["metadata"]["deletionTimestamp"]
        cluster.run(8)
        assert not list(cluster.cluster.store.objects("apps/deployments", "default"))


async def test_a_namespace_takes_its_contents_along(cluster: Simulation) -> None:
    cluster.create("namespaces", {"metadata": {"name": "team"}})
    api = cluster.cluster.api
    api.create(api.resource("apps/deployments"), "team", deployment())
    cluster.run(3)
    delete(api, api.resource("namespaces"), "", "team")
    cluster.run(5)
    assert cluster.cluster.store.get("namespaces", "", "team") is None
    assert not [
        s
        for s in cluster.cluster.store.storages()
        if list(cluster.cluster.store.objects(s, "team"))
    ]


async def test_events_are_forgotten_after_an_hour(cluster: Simulation) -> None:
    cluster.create("apps/deployments", deployment())
    cluster.run(2)
    assert cluster.events("Scheduled")
    cluster.clock.advance(2 * 3600)
    assert not cluster.events("Scheduled")
