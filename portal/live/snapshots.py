"""What a topic shows before its first delta: `{"<kind>:<id>": payload}`.

The payloads are the projections that pages, REST and events carry, so a delta simply replaces.
"""

from collections.abc import Callable, Iterable
from typing import Any

from fleet.models import Cluster, ObservedObject
from portal.live.viewers import Viewer, split

Objects = dict[str, dict[str, Any]]
Taker = Callable[[str, Viewer], Objects]
_takers: dict[str, tuple[tuple[str, ...], Taker]] = {}
_KINDS = {"Pod": "pod", "Deployment": "workload", "ReplicaSet": "workload", "Node": "node"}


def take(topic: str, viewer: Viewer) -> tuple[tuple[str, ...], Objects]:
    """`(kinds, objects)` of a topic as `viewer` may see them; the caller checked the topic.

    Of these kinds the topic has no objects but the ones given.
    """
    prefix, object_id = split(topic)
    kinds, taker = _takers[prefix]
    return kinds, taker(object_id, viewer)


def _takes(prefix: str, *kinds: str) -> Callable[[Taker], Taker]:
    def register(taker: Taker) -> Taker:
        _takers[prefix] = kinds, taker
        return taker

    return register


def _observed(rows: Iterable[ObservedObject]) -> Objects:
    return {
        f"{_KINDS[row.kind]}:{row.uid}": {
            "uid": row.uid,
            "name": row.name,
            "namespace": row.namespace,
            "cluster_id": str(row.cluster_id),
            "placement_id": str(row.placement_id) if row.placement_id else None,
            **row.projection,
        }
        for row in rows
    }


@_takes("fleet", "cluster")
def _fleet(_: str, viewer: Viewer) -> Objects:
    return {f"cluster:{c.pk}": {"id": str(c.pk), "name": c.name} for c in Cluster.objects.all()}


@_takes("cluster", "node")
def _cluster(cluster_id: str, viewer: Viewer) -> Objects:
    return _observed(ObservedObject.objects.filter(cluster=cluster_id, kind="Node"))


@_takes("placement", "pod", "workload")
def _placement(placement_id: str, viewer: Viewer) -> Objects:
    kinds = ("Pod", "Deployment", "ReplicaSet")
    return _observed(ObservedObject.objects.filter(placement=placement_id, kind__in=kinds))


@_takes("rollout", "rollout")
@_takes("service")
@_takes("team")
def _nothing(_: str, viewer: Viewer) -> Objects:
    return {}
