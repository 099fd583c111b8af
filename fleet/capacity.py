"""Will the pods of a release fit? Pure arithmetic on projected nodes and pods.

Shapes of nodes and pods: `fleet/kube/projections`. Amounts are cpu_cores, memory_bytes and gpus.
Other limits of scheduling (affinity, volumes, pods per node) are the scheduler's business: a
finding of "impossible" is certain, one of "fits" is what the requests say.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fleet.kube import projections
from fleet.models import Cluster, ObservedObject

Projection = Mapping[str, Any]
Amounts = Mapping[str, float]

_NO_LIMIT = 10_000
_ENDED = ("Succeeded", "Failed")
_EPSILON = 1e-9  # 0.1 + 0.2 cores must fit into 0.3


class Demand(NamedTuple):
    """The pods one Deployment wants. A bare `(name, replicas, surge, pod_requests)` serves too."""

    name: str
    replicas: int
    surge: int
    pod_requests: Amounts
    node_selector: Mapping[str, str] = {}
    tolerations: Sequence[Mapping[str, Any]] = ()
    # Limits "already running" to the pods of one placement.
    placement: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the nodes say about one kind of pod."""

    ever: bool  # one pod fits on some node once that is empty
    now: int  # pods that fit beside those that run
    message: str  # why not, "" when `ever`


@dataclass(frozen=True)
class Finding:
    """`ok`: starts at once. `impossible`: no waiting helps. `details`: one entry per Demand."""

    ok: bool
    impossible: bool
    message: str
    details: list[dict[str, Any]] = field(default_factory=list)


def demand_of(deployment: Mapping[str, Any]) -> Demand:
    """The demand of a Deployment manifest; surge is rounded up as Kubernetes does."""
    spec = deployment.get("spec") or {}
    facts = projections.deployment(dict(deployment))
    inside = (spec.get("template") or {}).get("spec") or {}
    return Demand(
        name=deployment["metadata"]["name"],
        replicas=facts["desired"],
        surge=_surge(spec, facts["desired"]),
        pod_requests=facts["requests"],
        node_selector=inside.get("nodeSelector") or {},
        tolerations=inside.get("tolerations") or (),
        placement=facts["placement"],
    )


def observed(cluster: Cluster) -> tuple[list[Projection], list[Projection]]:
    """Nodes and pods of a cluster as the watcher last saw them, each with its `name`."""
    rows = ObservedObject.objects.filter(cluster=cluster, kind__in=("Node", "Pod"))
    nodes: list[Projection] = []
    pods: list[Projection] = []
    for kind, name, projection in rows.values_list("kind", "name", "projection").iterator():
        (nodes if kind == "Node" else pods).append({"name": name, **projection})
    return nodes, pods


def preflight(
    nodes: Sequence[Projection], pods: Sequence[Projection], demand: Iterable[Sequence[Any]]
) -> Finding:
    """Whether every demanded pod finds room, all of them together.

    Without any node to look at (the credential may not list nodes) nothing can be said: that is
    `ok`, and the message says so.
    """
    if not nodes:
        return Finding(True, False, "No node is visible here, so room for the pods is unchecked.")
    free = _free(nodes, pods)
    details = [_place(Demand(*entry), nodes, pods, free) for entry in demand]
    told = [entry["message"] for entry in details if entry["message"]]
    impossible = any(not entry["ever"] for entry in details)
    summary = " ".join(told) or "All pods find room."
    return Finding(not told, impossible, summary, details)


def fit(
    pod_requests: Amounts,
    nodes: Sequence[Projection],
    pods: Sequence[Projection] = (),
    *,
    name: str = "it",
    node_selector: Mapping[str, str] | None = None,
    tolerations: Sequence[Mapping[str, Any]] = (),
) -> Verdict:
    """Whether one such pod fits on any node at all, and how many fit now."""
    wanted = Demand(name, 1, 0, pod_requests, node_selector or {}, tolerations)
    suitable = _suitable(wanted, nodes)
    ever = any(_count(node["allocatable"], pod_requests) for node in suitable)
    free = _free(nodes, pods)
    now = sum(_count(free[n["name"]], pod_requests) for n in suitable if _open(n))
    return Verdict(ever, min(now, _NO_LIMIT), "" if ever else _never(wanted, suitable))


def _place(
    wanted: Demand, nodes: Sequence[Projection], pods: Sequence[Projection], free: dict[str, dict]
) -> dict[str, Any]:
    """Takes the room that the demand needs out of `free`; what it found, as one detail."""
    suitable = _suitable(wanted, nodes)
    ever = any(_count(node["allocatable"], wanted.pod_requests) for node in suitable)
    needed = _needed(wanted, pods)
    rooms = [free[node["name"]] for node in suitable if _open(node)]
    placed = sum(_take(rooms, wanted.pod_requests) for _ in range(min(needed, _NO_LIMIT)))
    message = "" if placed == needed else _short(wanted, needed, placed)
    return {
        "name": wanted.name,
        "pod_requests": dict(wanted.pod_requests),
        "needed": needed,
        "fitting": placed,
        "ever": ever,
        "message": message if ever else _never(wanted, suitable),
    }


def _needed(wanted: Demand, pods: Sequence[Projection]) -> int:
    """Pods that must find room beside the running ones. A first Deployment has no surge."""
    running = sum(_belongs(pod, wanted) for pod in pods)
    missing = max(0, wanted.replicas - running)
    return missing + (wanted.surge if running else 0)


def _belongs(pod: Projection, wanted: Demand) -> bool:
    owner = pod.get("owner") or {}
    ours = owner.get("name") == f"{wanted.name}-{pod.get('template_hash')}"
    here = not wanted.placement or pod.get("placement") == wanted.placement
    return ours and here and pod.get("phase") not in _ENDED and not pod.get("deleting")


def _take(rooms: list[dict[str, float]], requests: Amounts) -> bool:
    """Puts one pod where it leaves the least accelerators, then cores, unused."""
    possible = [room for room in rooms if _count(room, requests)]
    if not possible:
        return False
    tightest = min(possible, key=lambda room: (room.get("gpus", 0), room.get("cpu_cores", 0)))
    for resource, amount in requests.items():
        tightest[resource] = tightest.get(resource, 0) - amount
    return True


def _free(nodes: Sequence[Projection], pods: Sequence[Projection]) -> dict[str, dict[str, float]]:
    """Allocatable less what the pods there request, by node name."""
    free = {node["name"]: dict(node["allocatable"]) for node in nodes}
    for pod in pods:
        room = free.get(pod.get("node") or "")
        if room is not None and pod.get("phase") not in _ENDED:
            for resource, amount in pod["requests"].items():
                room[resource] = room.get(resource, 0) - amount
    return free


def _count(room: Amounts, requests: Amounts) -> int:
    """How many such pods go into one room."""
    limits = [
        math.floor(room.get(resource, 0) / amount + _EPSILON)
        for resource, amount in requests.items()
        if amount > 0
    ]
    return max(0, min(limits, default=_NO_LIMIT))


def _open(node: Projection) -> bool:
    return bool(node.get("ready", True)) and not node.get("unschedulable")


def _suitable(wanted: Demand, nodes: Sequence[Projection]) -> list[Projection]:
    """Nodes that the pod may run on. Projections keep some labels only: a selector on a label
    that no node shows is not held against anybody."""
    known = {key for node in nodes for key in node.get("labels") or {}}
    selector = {k: v for k, v in wanted.node_selector.items() if k in known}
    return [
        node
        for node in nodes
        if all((node.get("labels") or {}).get(k) == v for k, v in selector.items())
        and all(_tolerated(taint, wanted.tolerations) for taint in node.get("taints") or ())
    ]


def _tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    if taint.get("effect") not in ("NoSchedule", "NoExecute"):
        return True
    if str(taint.get("key", "")).startswith("node.kubernetes.io/"):
        return True  # not-ready, unschedulable and the like come and go: `_open` judges them
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    same = (toleration.get("value") or "") == (taint.get("value") or "")
    return bool(toleration.get("key")) and same


def _never(wanted: Demand, suitable: Sequence[Projection]) -> str:
    """The sentence for a pod that no node can take: the first resource that is missing."""
    if not suitable:
        return f"No node takes pods of {wanted.name}: selector and taints leave none over."
    for resource in ("gpus", "cpu_cores", "memory_bytes"):
        asked = wanted.pod_requests.get(resource, 0)
        most = max(node["allocatable"].get(resource, 0) for node in suitable)
        if asked > most:
            has = f"the largest node has {amount_text(resource, most)}"
            return f"Each pod of {wanted.name} asks {amount_text(resource, asked)}; {has}."
    return f"No single node has all that a pod of {wanted.name} asks."


def _short(wanted: Demand, needed: int, placed: int) -> str:
    asks = ", ".join(
        amount_text(resource, wanted.pod_requests[resource])
        for resource in ("gpus", "cpu_cores", "memory_bytes")
        if wanted.pod_requests.get(resource)
    )
    way_out = " With surge 0 old pods make room first." if wanted.surge else ""
    return (
        f"{wanted.name} needs room for {needed} more pods ({asks or 'no requests'} each), "
        f"{placed} fit now.{way_out}"
    )


def amount_text(resource: str, amount: float) -> str:
    """`2 GPUs`, `0.5 CPU`, `16 GiB` for people."""
    if resource == "gpus":
        return f"{amount:g} GPU{'' if amount == 1 else 's'}"
    if resource == "memory_bytes":
        return f"{amount / 2**30:.3g} GiB"
    return f"{amount:g} CPU"


def _surge(spec: Mapping[str, Any], replicas: int) -> int:
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    given = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    if isinstance(given, str) and given.endswith("%"):
        return math.ceil(replicas * int(given[:-1]) / 100)
    return int(given)
