"""Nodes and pods of a test cluster, real or simulated: what a kubelet would report."""

import time
from collections.abc import Callable, Iterable

from tests.conformance.client import Client

NODES = "/api/v1/nodes"


def wait_until(what: str, happened: Callable[[], object], timeout_seconds: float = 15.0) -> None:
    """Polls; raises TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:.0f} s")
        time.sleep(0.02)


def add_nodes(
    client: Client,
    names: Iterable[str],
    *,
    cpu: str = "32",
    memory: str = "256Gi",
    gpus: int = 0,
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
) -> None:
    """Registers nodes as kubelets would and waits until pods can be scheduled on them."""
    room = {"cpu": cpu, "memory": memory, "pods": "1000", "ephemeral-storage": "1Ti"}
    room |= {"nvidia.com/gpu": str(gpus)} if gpus else {}
    wanted = set(names)
    for name in sorted(wanted):
        answer = client.post(NODES, _node(name, room, labels or {}, taints or []))
        if answer.status != 201:
            raise RuntimeError(f"node {name} refused: {answer.body}")
    wait_until("nodes ready", lambda: wanted <= ready_nodes(client), 30.0)


def ready_nodes(client: Client) -> set[str]:
    nodes = client.get(NODES)["items"]
    return {node["metadata"]["name"] for node in nodes if _accepts_pods(node)}


def set_pods_ready(
    client: Client,
    namespace: str,
    *,
    selector: str = "",
    count: int | None = None,
    ready: bool = True,
) -> list[str]:
    """Steps readiness of pods annotated for it, oldest first; names of the pods changed.

    Waits until `count` such pods (all that exist when None) are running.
    """
    path = f"/api/v1/namespaces/{namespace}/pods"

    def candidates() -> list[dict]:
        pods = client.get(path, labelSelector=selector)["items"]
        pods = [pod for pod in pods if _steppable(pod) and is_ready(pod) != ready]
        return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], _name(pod)))

    wait_until(f"{count} pods to step", lambda: len(candidates()) >= (count or 0))
    chosen = candidates()[:count]
    for pod in chosen:
        patch = {"status": _status(pod, ready)}
        answer = client.strategic_patch(f"{path}/{_name(pod)}/status", patch)
        if answer.status != 200:
            raise RuntimeError(f"pod {_name(pod)}: {answer.body}")
    return [_name(pod) for pod in chosen]


def is_ready(item: dict) -> bool:
    conditions = item["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _steppable(pod: dict) -> bool:
    running = pod["status"].get("phase") == "Running"
    return running and "deletionTimestamp" not in pod["metadata"]


def _accepts_pods(node: dict) -> bool:
    taints = node["spec"].get("taints", [])
    return is_ready(node) and not any(t["key"].startswith("node.kubernetes.io/") for t in taints)


def _name(item: dict) -> str:
    return item["metadata"]["name"]


def _status(pod: dict, ready: bool) -> dict:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    verdict = {"status": "True", "reason": None, "message": None}
    if not ready:
        verdict = {"status": "False", "reason": "ContainersNotReady"}
    conditions = [
        {"type": kind, "lastTransitionTime": now} | verdict for kind in ("Ready", "ContainersReady")
    ]
    containers = [entry | {"ready": ready} for entry in pod["status"]["containerStatuses"]]
    return {"conditions": conditions, "containerStatuses": containers}


def _node(
    name: str, room: dict[str, str], labels: dict[str, str], taints: list[dict[str, str]]
) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name} | labels},
        "spec": {"taints": taints},
        "status": {"capacity": room, "allocatable": room},
    }
