"""GPUs run out, nodes are chosen, and the events tell of it."""

from tests.conformance.cluster import Cluster, condition
from tests.conformance.objects import deployment, image_patch, pod
from tests.conformance.pins import Pins

GPUS_PER_NODE = 2


def _gpu_pod(name: str, gpus: int = 1) -> dict:
    resources = {"limits": {"nvidia.com/gpu": gpus}}
    container = {"name": "main", "image": "registry.example/asr:1", "resources": resources}
    return pod(name, containers=[container])


def _node(cluster: Cluster, name: str) -> str:
    return cluster.get("Pod", name)["spec"].get("nodeName", "")


def _refused(cluster: Cluster, name: str) -> bool:
    return condition(cluster.get("Pod", name).body, "PodScheduled").get("reason") == "Unschedulable"


def test_pods_wait_when_gpus_run_out_and_run_when_one_is_free(
    cluster: Cluster, pinned: Pins
) -> None:
    cluster.created(_gpu_pod("first", GPUS_PER_NODE))
    cluster.eventually("placed", lambda: _node(cluster, "first") == "gpu-1")
    cluster.created(_gpu_pod("second"))
    cluster.eventually("refused", lambda: _refused(cluster, "second"))
    pinned(cluster.get("Pod", "second")["status"])
    cluster.eventually("told", lambda: _events(cluster, "second"))
    pinned(_events(cluster, "second"))
    cluster.delete("Pod", "first")
    cluster.eventually("placed", lambda: _node(cluster, "second") == "gpu-1")
    cluster.delete("Pod", "second")


def test_why_a_pod_fits_nowhere(cluster: Cluster, pinned: Pins) -> None:
    wanting = {"requests": {"cpu": "1000", "memory": "10Ti"}}
    container = {"name": "main", "image": "registry.example/app:1", "resources": wanting}
    cluster.created(pod("huge", containers=[container]))
    cluster.created(pod("picky", nodeSelector={"nowhere": "yes"}))
    cluster.created(_gpu_pod("greedy", GPUS_PER_NODE + 1))
    for name in ("huge", "picky", "greedy"):
        cluster.eventually("refused", lambda name=name: _refused(cluster, name))
        pinned(condition(cluster.get("Pod", name).body, "PodScheduled"))


def test_a_node_selector_is_followed(cluster: Cluster) -> None:
    cluster.created(pod("near", nodeSelector={"accelerator": "l4"}))
    cluster.created(pod("named", nodeSelector={"kubernetes.io/hostname": "general-1"}))
    cluster.eventually("placed", lambda: _node(cluster, "near") and _node(cluster, "named"))
    assert (_node(cluster, "near"), _node(cluster, "named")) == ("gpu-1", "general-1")


def test_taints_and_cordons_keep_pods_away(cluster: Cluster, pinned: Pins) -> None:
    path = cluster.path("Node", "general-2")
    here = {"kubernetes.io/hostname": "general-2"}
    taint = {"key": "reserved", "value": "yes", "effect": "NoSchedule"}
    tolerating = [{"key": "reserved", "operator": "Equal", "value": "yes"}]
    try:
        cluster.client.merge_patch(path, {"spec": {"taints": [taint]}})
        cluster.created(pod("kept-off", nodeSelector=here))
        cluster.created(pod("tolerating", nodeSelector=here, tolerations=tolerating))
        cluster.eventually("refused", lambda: _refused(cluster, "kept-off"))
        cluster.eventually("placed", lambda: _node(cluster, "tolerating"))
        pinned(condition(cluster.get("Pod", "kept-off").body, "PodScheduled"))
        cluster.client.merge_patch(path, {"spec": {"taints": None, "unschedulable": True}})
        cluster.created(pod("cordoned", nodeSelector=here))
        cluster.eventually("refused", lambda: _refused(cluster, "cordoned"))
    finally:
        cluster.client.merge_patch(path, {"spec": {"taints": None, "unschedulable": None}})
    cluster.eventually("placed", lambda: _node(cluster, "kept-off") and _node(cluster, "cordoned"))


def test_the_events_of_a_rollout(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=2, surge=1, unavailable=0))
    cluster.settled("web")
    cluster.strategic("Deployment", "web", image_patch(2))
    cluster.settled("web")
    wanted = {"ScalingReplicaSet": 5, "SuccessfulCreate": 4, "SuccessfulDelete": 2, "Scheduled": 4}

    def told() -> bool:
        reasons = [event["reason"] for event in cluster.items("Event")]
        return all(reasons.count(reason) >= count for reason, count in wanted.items())

    cluster.eventually("events", told)
    scaling = [e for e in cluster.items("Event") if e["reason"] == "ScalingReplicaSet"]
    scaling.sort(key=lambda event: (event["firstTimestamp"], event["metadata"]["resourceVersion"]))
    hashes = [s["metadata"]["labels"]["pod-template-hash"] for s in cluster.replica_sets("web")]
    messages = [event["message"] for event in scaling]
    for place, found in enumerate(hashes):
        messages = [message.replace(found, f"<revision {place + 1}>") for message in messages]
    pinned(messages)
    pinned(_fields(scaling[0]))
    others = {e["reason"]: e for e in cluster.items("Event") if e["reason"] != "ScalingReplicaSet"}
    for reason in ("SuccessfulCreate", "SuccessfulDelete", "Scheduled"):
        event = _fields(others[reason])
        pinned({key: value for key, value in event.items() if key != "message"})


def _events(cluster: Cluster, name: str) -> list[dict]:
    found = cluster.items("Event", fieldSelector=f"involvedObject.name={name}")
    return [_fields(event) for event in found]


def _fields(event: dict) -> dict:
    """Without the parts that name one run: the count may grow, the source keeps its host."""
    return {
        "reason": event["reason"],
        "type": event["type"],
        "message": event["message"],
        "kind": event["involvedObject"]["kind"],
        "component": event.get("reportingComponent") or event["source"]["component"],
        "action": event.get("action"),
    }
