"""What people see of clusters and what runs there: the same dicts for pages, REST and frames.

Times are ISO 8601 text, durations seconds. Everything comes from the database, so a cluster that
is away is shown as it was last seen, with its age.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Count, FloatField, Q, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from fleet.models import Cluster, ObservedObject, Placement, WatchCursor
from fleet.models.cluster import Connection

# A picture older than this is shown as stale.
STALE_SECONDS = 30.0

_WATCH_LABELS = {
    "live": "Live",
    "listing": "Listing",
    "reconnecting": "Reconnecting",
    "stale": "Stale",
    "forbidden": "Not allowed",
    "none": "Not watched yet",
}
_TONES = {
    Connection.UNKNOWN: "idle",
    Connection.UNREACHABLE: "bad",
    Connection.REFUSED: "bad",
}
_POD, _NODE = Q(kind="Pod"), Q(kind="Node")
_RUNNING = _POD & ~Q(projection__phase__in=("Succeeded", "Failed"))


def cluster_projection(cluster: Cluster) -> dict[str, Any]:
    """One cluster; `tone` is good, warn, bad or idle. Two queries."""
    return cluster_projections([cluster])[0]


def cluster_projections(clusters: Iterable[Cluster]) -> list[dict[str, Any]]:
    """Many clusters, in the given order, in two queries."""
    clusters = list(clusters)
    counts = {row["cluster"]: row for row in _counts(clusters)}
    cursors = defaultdict(list)
    for cursor in WatchCursor.objects.filter(cluster__in=clusters):
        cursors[cursor.cluster_id].append(cursor)
    return [_cluster(c, counts.get(c.pk, {}), _freshness(cursors[c.pk])) for c in clusters]


def watch_freshness(cluster: Cluster) -> dict[str, Any]:
    """`{state, label, behind_seconds, heard_at, forbidden: [kind], detail}` of a cluster's picture.

    The state is that of the watch that is worst off; kinds that the credential may not watch are
    told apart. `behind_seconds` is None before anything was heard.
    """
    return _freshness(list(cluster.cursors.all()))


def placement_pods(placement: Placement) -> list[dict[str, Any]]:
    """Pods of a placement, oldest first: `observed_projection` of each."""
    rows = ObservedObject.objects.filter(placement=placement, kind="Pod")
    return [observed_projection(row) for row in rows.order_by("projection__created", "name")]


def observed_projection(row: ObservedObject) -> dict[str, Any]:
    """`{uid, kind, name, namespace, cluster_id, placement_id, …}` with the fields of
    `fleet/kube/projections`, also the payload of pod, workload and node events."""
    return {
        "uid": row.uid,
        "kind": row.kind,
        "name": row.name,
        "namespace": row.namespace,
        "cluster_id": str(row.cluster_id),
        "placement_id": str(row.placement_id) if row.placement_id else None,
        **row.projection,
    }


def _cluster(cluster: Cluster, counts: dict[str, Any], watch: dict[str, Any]) -> dict[str, Any]:
    nodes = {"ready": counts.get("nodes_ready", 0), "total": counts.get("nodes", 0)}
    return {
        "id": str(cluster.pk),
        "name": cluster.name,
        "region": cluster.region,
        "provider": cluster.provider,
        "environment": cluster.environment,
        "server": cluster.server,
        "connection": cluster.connection,
        "connection_label": Connection(cluster.connection).label,
        "connection_detail": cluster.connection_detail,
        "tone": _tone(cluster, nodes, watch),
        "version": cluster.version,
        "last_contact_at": _time(cluster.last_contact_at),
        "api_latency_seconds": cluster.api_latency_seconds,
        "credentials_expire_at": _time(cluster.credentials_expire_at),
        "nodes": nodes,
        "gpus": {
            "allocatable": int(counts.get("gpus_allocatable") or 0),
            "requested": int(counts.get("gpus_requested") or 0),
        },
        "pods": {"ready": counts.get("pods_ready", 0), "total": counts.get("pods", 0)},
        "watch": watch,
    }


def _tone(cluster: Cluster, nodes: dict[str, int], watch: dict[str, Any]) -> str:
    if tone := _TONES.get(Connection(cluster.connection)):
        return tone
    if watch["state"] in ("stale", "reconnecting") or nodes["ready"] < nodes["total"]:
        return "warn"
    return "warn" if cluster.connection_detail else "good"


def _counts(clusters: list[Cluster]) -> Iterable[dict[str, Any]]:
    """Sums over the observed objects, made by the database."""
    return (
        ObservedObject.objects.filter(_POD | _NODE, cluster__in=clusters)
        .order_by()
        .values("cluster")
        .annotate(
            nodes=Count("id", filter=_NODE),
            nodes_ready=Count("id", filter=_NODE & Q(projection__ready=True)),
            pods=Count("id", filter=_RUNNING),
            pods_ready=Count("id", filter=_RUNNING & Q(projection__ready=True)),
            gpus_allocatable=Sum(_number("allocatable__gpus"), filter=_NODE),
            gpus_requested=Sum(
                _number("requests__gpus"), filter=_RUNNING & ~Q(projection__node="")
            ),
        )
    )


def _number(path: str) -> Cast:
    return Cast(KT(f"projection__{path}"), FloatField())


def _freshness(cursors: list[WatchCursor]) -> dict[str, Any]:
    allowed = [c for c in cursors if c.state != WatchCursor.State.FORBIDDEN]
    heard_at = min((c.heard_at for c in allowed if c.heard_at), default=None)
    behind = (timezone.now() - heard_at).total_seconds() if heard_at else None
    state = _watch_state(cursors, allowed, behind)
    return {
        "state": state,
        "label": _WATCH_LABELS[state],
        "behind_seconds": round(max(behind, 0.0), 1) if behind is not None else None,
        "heard_at": _time(heard_at),
        "forbidden": sorted(c.kind for c in cursors if c not in allowed),
        "detail": next((c.detail for c in allowed if c.state != "live" and c.detail), ""),
    }


def _watch_state(
    cursors: list[WatchCursor], allowed: list[WatchCursor], behind: float | None
) -> str:
    states = {c.state for c in allowed}
    if not cursors:
        return "none"
    if not allowed:
        return "forbidden"
    if behind is not None and behind > STALE_SECONDS:
        return "stale"  # also when the watcher itself is gone and cannot say so
    return next((s for s in ("reconnecting", "listing") if s in states), "live")


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
