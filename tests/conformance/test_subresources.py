"""Scale, status and log: what each of them reads, writes and leaves alone."""

from tests.conformance.cluster import Cluster, condition
from tests.conformance.objects import deployment, pod, replica_set
from tests.conformance.pins import Pins

LIT = {"type": "Lit", "status": "True", "reason": "Test"}


def test_the_scale_of_a_deployment(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=0, paused=True))
    pinned(cluster.get("Deployment", "web", "scale"))
    pinned(cluster.merge("Deployment", "web", {"spec": {"replicas": 2}}, "scale"))
    assert cluster.get("Deployment", "web")["spec"]["replicas"] == 2
    assert cluster.get("Deployment", "web")["metadata"]["generation"] == 2
    pinned(cluster.merge("Deployment", "web", {"spec": {"replicas": -1}}, "scale"))


def test_a_stale_scale_is_a_conflict(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=0))
    scale = cluster.get("Deployment", "web", "scale").body
    cluster.merge("Deployment", "web", {"spec": {"minReadySeconds": 1}})
    path = cluster.path("Deployment", "web", "scale")
    pinned(cluster.client.put(path, scale | {"spec": {"replicas": 1}}))
    del scale["metadata"]["resourceVersion"]
    answer = cluster.client.put(path, scale | {"spec": {"replicas": 1}})
    assert (answer.status, answer["spec"]) == (200, {"replicas": 1})


def test_status_and_spec_are_written_apart(cluster: Cluster) -> None:
    cluster.created(replica_set(replicas=0))
    cluster.eventually("observed", lambda: _observed(cluster))
    both = {"spec": {"replicas": 4}, "status": {"conditions": [LIT]}}
    path = cluster.path("ReplicaSet", "set")
    status = cluster.client.merge_patch(f"{path}/status", both)
    assert status["spec"]["replicas"] == 0
    assert condition(status.body, "Lit")["reason"] == "Test"
    assert status["metadata"]["generation"] == 1
    spec = cluster.client.merge_patch(path, {"status": {"readyReplicas": 77}})
    assert spec["status"].get("readyReplicas") != 77


def test_a_status_that_contradicts_itself_is_refused(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=0, paused=True))
    path = cluster.path("Deployment", "web", "status")
    pinned(cluster.client.merge_patch(path, {"status": {"readyReplicas": 2, "replicas": 1}}))
    pinned(cluster.client.merge_patch(path, {"status": {"replicas": -2}}))


def test_a_pod_becomes_ready_when_its_status_says_so(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(pod("worker", manual=True))
    cluster.eventually("running", lambda: _phase(cluster, "worker") == "Running")
    pinned(_readiness(cluster))
    cluster.make_ready(1)
    pinned(_readiness(cluster))


def test_pods_that_cannot_run_say_why(cluster: Cluster, pinned: Pins) -> None:
    for name, knob in (("crashing", "crash-after-seconds"), ("absent", "image-pull-error")):
        faulty = pod(name)
        faulty["metadata"]["annotations"] = {f"sandbox.pilothouse.io/{knob}": "0"}
        cluster.created(faulty)
    for name, reason in (("crashing", "CrashLoopBackOff"), ("absent", "ImagePullBackOff")):
        cluster.eventually(reason, lambda name=name, reason=reason: _waits(cluster, name) == reason)
        pinned([_phase(cluster, name), condition(cluster.get("Pod", name).body, "Ready")["status"]])


def test_logs(cluster: Cluster, pinned: Pins) -> None:
    two = [{"name": name, "image": "registry.example/app:1"} for name in ("main", "side")]
    cluster.created(pod("worker"))
    cluster.created(pod("pair", containers=two))
    cluster.created(pod("late", nodeSelector={"nowhere": "yes"}))
    for name in ("worker", "pair"):
        cluster.eventually("running", lambda name=name: _phase(cluster, name) == "Running")
    answer = cluster.get("Pod", "worker", "log")
    assert answer.status == 200
    assert isinstance(answer.body, str)
    assert cluster.get("Pod", "worker", "log", tailLines=1).body.count("\n") <= 1
    assert cluster.get("Pod", "pair", "log", container="side").status == 200
    pinned(cluster.get("Pod", "pair", "log"))
    pinned(cluster.get("Pod", "worker", "log", container="none"))
    pinned(cluster.get("Pod", "late", "log"))
    pinned(cluster.get("Pod", "none", "log"))
    pinned(cluster.get("Pod", "worker", "log", tailLines=-1))


def _waits(cluster: Cluster, name: str) -> str:
    containers = cluster.get("Pod", name)["status"].get("containerStatuses", [{}])
    return containers[0].get("state", {}).get("waiting", {}).get("reason", "")


def _phase(cluster: Cluster, name: str) -> str:
    return cluster.get("Pod", name)["status"].get("phase", "")


def _observed(cluster: Cluster) -> bool:
    return cluster.get("ReplicaSet", "set")["status"].get("observedGeneration") == 1


def _readiness(cluster: Cluster) -> dict:
    """The parts of the status that do not depend on which kubelet wrote them."""
    now = cluster.get("Pod", "worker").body
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    verdicts = {kind: condition(now, kind)["status"] for kind in kinds}
    containers = [entry["ready"] for entry in now["status"]["containerStatuses"]]
    return verdicts | {"containers": containers, "qosClass": now["status"]["qosClass"]}
