"""What a topic shows before its first delta: `{"<kind>:<id>": payload}`.

The payloads are the projections that pages, REST and events carry, so a delta simply replaces.
"""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from deploy.models import Rollout
from deploy.projections import rollout_projection
from fleet.inventory import EVENT_PREFIX
from fleet.models import Cluster, ObservedObject
from fleet.projections import cluster_projections, observed_projection
from portal.live.viewers import Viewer, split

Objects = dict[str, dict[str, Any]]
Taker = Callable[[str, Viewer], Objects]
_takers: dict[str, tuple[tuple[str, ...], Taker]] = {}


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


@_takes("fleet", "cluster")
def _fleet(_: str, viewer: Viewer) -> Objects:
    return _clusters(Cluster.objects.all())


@_takes("cluster", "cluster", "node")
def _cluster(cluster_id: str, viewer: Viewer) -> Objects:
    nodes = ObservedObject.objects.filter(cluster=cluster_id, kind="Node")
    return _clusters(Cluster.objects.filter(pk=cluster_id)) | _observed(nodes)


@_takes("placement", "pod", "workload")
def _placement(placement_id: str, viewer: Viewer) -> Objects:
    rows = ObservedObject.objects.filter(placement=placement_id, kind__in=EVENT_PREFIX)
    return _observed(rows) | _rollouts(_newest(placement=placement_id))


@_takes("rollout", "rollout")
def _rollout(rollout_id: str, viewer: Viewer) -> Objects:
    return _rollouts(Rollout.objects.filter(pk=rollout_id))


@_takes("service")
def _service(service_id: str, viewer: Viewer) -> Objects:
    return _rollouts(_newest(placement__service=service_id))


@_takes("team")
def _team(team_id: str, viewer: Viewer) -> Objects:
    return _rollouts(_newest(placement__service__team=team_id))


def _clusters(rows: QuerySet[Cluster]) -> Objects:
    return {f"cluster:{shown['id']}": shown for shown in cluster_projections(rows)}


def _observed(rows: QuerySet[ObservedObject]) -> Objects:
    return {f"{EVENT_PREFIX[row.kind]}:{row.uid}": observed_projection(row) for row in rows}


def _newest(**condition: Any) -> QuerySet[Rollout]:
    """The newest rollout of each placement."""
    newest = Rollout.objects.filter(**condition).order_by("placement_id", "-created_at")
    return Rollout.objects.filter(pk__in=newest.distinct("placement_id").values("pk"))


def _rollouts(rows: QuerySet[Rollout]) -> Objects:
    return {f"rollout:{row.pk}": rollout_projection(row) for row in rows}
