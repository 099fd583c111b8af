"""Clusters as a list, and the pools, workloads and warnings of one."""

from typing import Any

from django.db.models import Q, QuerySet

from fleet.models import Cluster, NodePool, ObservedObject
from portal.base import access
from portal.base.models import User

SORTS = {
    "name": "name",
    "region": "region",
    "environment": "environment",
    "connection": "connection",
    "latency": "api_latency_seconds",
}
_ENDED = ("Succeeded", "Failed")
_RESOURCES = ("gpus", "cpu_cores", "memory_bytes")


def filtered(wanted: dict[str, str]) -> QuerySet[Cluster]:
    """Clusters that the filter form asks for: q, region, environment, connection."""
    rows = Cluster.objects.all()
    for name in ("region", "environment", "connection"):
        if value := wanted.get(name):
            rows = rows.filter(**{name: value})
    if text := wanted.get("q"):
        rows = rows.filter(Q(name__icontains=text) | Q(server__icontains=text))
    return rows


def regions() -> QuerySet:
    return Cluster.objects.exclude(region="").order_by("region").values_list("region").distinct()


def pools(cluster: Cluster) -> list[dict[str, Any]]:
    """Each pool with its nodes, what they hold, and what pods asked for and use of it.

    `used` counts the requests of ready pods, so `requested - used` is bought and idle. Nodes that
    no pool claims come last as a pool without a name.
    """
    nodes = _projections(cluster, "Node")
    asked = _asked(_projections(cluster, "Pod"))
    left = {node["name"]: node for node in nodes}
    rows = []
    for pool in cluster.node_pools.all():
        own = [left.pop(node["name"]) for node in nodes if _claims(pool, node, left)]
        rows.append({"pool": pool, **_sums(own, asked)})
    return [*rows, {"pool": None, **_sums(list(left.values()), asked)}] if left else rows


def workloads(cluster: Cluster, user: User) -> list[dict[str, Any]]:
    """Deployments of the services the user may see."""
    rows = ObservedObject.objects.filter(cluster=cluster, kind="Deployment").select_related(
        "placement__service"
    )
    rows = access.visible(
        rows.filter(placement__isnull=False), user, team_path="placement__service__team"
    )
    return [{"row": row, **row.projection} for row in rows.order_by("namespace", "name")[:200]]


def warnings(cluster: Cluster, limit: int = 20) -> list[dict[str, Any]]:
    """The newest warning events of the cluster."""
    rows = ObservedObject.objects.filter(cluster=cluster, kind="Event")
    newest = rows.order_by("-projection__last")[:limit]
    return [row.projection for row in newest]


def _projections(cluster: Cluster, kind: str) -> list[dict[str, Any]]:
    rows = ObservedObject.objects.filter(cluster=cluster, kind=kind)
    return [{"name": name, **seen} for name, seen in rows.values_list("name", "projection")]


def _claims(pool: NodePool, node: dict[str, Any], left: dict[str, Any]) -> bool:
    labels = node.get("labels") or {}
    wanted = pool.selector.items()
    return node["name"] in left and bool(wanted) and all(labels.get(k) == v for k, v in wanted)


def _asked(pods: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """By node: what running pods request, and what those that are ready do."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for pod in pods:
        if not pod.get("node") or pod.get("phase") in _ENDED:
            continue
        sums = found.setdefault(pod["node"], {"requested": {}, "used": {}})
        for name, amount in (pod.get("requests") or {}).items():
            _add(sums["requested"], name, amount)
            if pod.get("ready"):
                _add(sums["used"], name, amount)
    return found


def _add(sums: dict[str, float], name: str, amount: float) -> None:
    sums[name] = sums.get(name, 0) + amount


def _sums(nodes: list[dict[str, Any]], asked: dict[str, Any]) -> dict[str, Any]:
    nothing: dict[str, dict[str, float]] = {"requested": {}, "used": {}}
    here = [asked.get(node["name"], nothing) for node in nodes]
    totals = {
        name: {
            "capacity": sum((n.get("capacity") or {}).get(name, 0) for n in nodes),
            "allocatable": sum((n.get("allocatable") or {}).get(name, 0) for n in nodes),
            "requested": sum(sums["requested"].get(name, 0) for sums in here),
            "used": sum(sums["used"].get(name, 0) for sums in here),
        }
        for name in _RESOURCES
    }
    return {
        "nodes": nodes,
        "idle_gpus": totals["gpus"]["allocatable"] - totals["gpus"]["used"],
        "ready": sum(bool(node.get("ready")) for node in nodes),
        "types": sorted({node.get("instance_type") or "" for node in nodes} - {""}),
        **totals,
    }
