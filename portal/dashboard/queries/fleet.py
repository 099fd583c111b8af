"""The fleet at a glance: tiles, clusters by region, and what needs a person first."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from deploy.models import Rollout
from deploy.models.rollout import ACTIVE, TERMINAL, State
from fleet.models import Cluster, ObservedObject
from fleet.projections import cluster_projections
from portal.base import access
from portal.base.models import User
from portal.dashboard.queries import rollouts

RECENT = timedelta(hours=24)
EXPIRY_WARNING = timedelta(days=14)
ATTENTION_LIMIT = 12
RECENT_ROLLOUTS = 6


@dataclass(frozen=True)
class Attention:
    """Something a person should look at. Lower `rank` hurts more."""

    rank: int
    tone: str
    word: str
    title: str
    detail: str
    action: str
    url: str


def overview(user: User) -> dict[str, Any]:
    """Everything on the fleet page."""
    clusters = cluster_projections(Cluster.objects.order_by("region", "name"))
    seen = rollouts.visible(user)
    active = rollouts.projected(seen.filter(state__in=(*ACTIVE, State.QUEUED))[:50])
    ended = rollouts.projected(_unrepaired(seen)[:50])
    attention = sorted(
        [*_clusters(clusters), *_stuck(active), *_ended(ended), *_pods(user)],
        key=lambda item: (item.rank, item.title),
    )
    return {
        "clusters": clusters,
        "regions": _by_region(clusters),
        "rows": [*active, *rollouts.projected(_ended_lately(seen))],
        "active": active,
        "attention": attention[:ATTENTION_LIMIT],
        "more_attention": max(0, len(attention) - ATTENTION_LIMIT),
        "tiles": _tiles(clusters, active, ended),
    }


def _tiles(clusters: list, active: list, ended: list) -> dict[str, Any]:
    healthy = sum(cluster["tone"] == "good" for cluster in clusters)
    broken = sum(cluster["tone"] == "bad" for cluster in clusters)
    return {
        "healthy": healthy,
        "clusters": len(clusters),
        "gpus_requested": sum(c["gpus"]["requested"] for c in clusters),
        "gpus_allocatable": sum(c["gpus"]["allocatable"] for c in clusters),
        "active": len(active),
        "incidents": len(ended) + broken,
    }


def _by_region(clusters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    regions: dict[str, list[dict[str, Any]]] = {}
    for cluster in clusters:
        regions.setdefault(cluster["region"] or "no region", []).append(cluster)
    return [{"name": name, "clusters": found} for name, found in regions.items()]


def _ended_lately(seen: QuerySet[Rollout]) -> QuerySet[Rollout]:
    return seen.filter(state__in=TERMINAL).order_by("-finished_at")[:RECENT_ROLLOUTS]


def _unrepaired(seen: QuerySet[Rollout]) -> QuerySet[Rollout]:
    """Failed or aborted in the last day, and nobody has tried anything there since."""
    bad = seen.filter(
        state__in=(State.FAILED, State.ABORTED), finished_at__gte=timezone.now() - RECENT
    )
    later = Rollout.objects.filter(
        placement=OuterRef("placement"), created_at__gt=OuterRef("created_at")
    )
    return bad.filter(~Exists(later)).order_by("-finished_at")


def _clusters(clusters: Iterable[dict[str, Any]]) -> Iterable[Attention]:
    for cluster in clusters:
        url = reverse("cluster", kwargs={"pk": cluster["id"]})
        name, pods = cluster["name"], cluster["pods"]["total"]
        if cluster["tone"] == "bad":
            detail = cluster["connection_detail"] or f"{pods} pods run there unseen"
            word = cluster["connection_label"].lower()
            yield Attention(0, "bad", word, name, detail, "Test the connection", url)
        elif cluster["watch"]["state"] == "stale":
            detail = "What is shown of it may be old"
            yield Attention(3, "warn", "stale", name, detail, "Look at the watch", url)
        elif cluster["nodes"]["ready"] < cluster["nodes"]["total"]:
            missing = cluster["nodes"]["total"] - cluster["nodes"]["ready"]
            detail = f"{missing} of {cluster['nodes']['total']} nodes are not ready"
            yield Attention(3, "warn", "nodes", name, detail, "See the pools", url)
        if _expires_soon(cluster["credentials_expire_at"]):
            detail = "Its credential expires soon"
            yield Attention(4, "warn", "credential", name, detail, "Replace it", url)


def _expires_soon(expires: str | None) -> bool:
    at = parse_datetime(expires) if expires else None
    return at is not None and at < timezone.now() + EXPIRY_WARNING


def _stuck(active: Iterable[dict[str, Any]]) -> Iterable[Attention]:
    for p in active:
        title = f"{p['service']['name']} {p['release']['version']} on {p['cluster']['name']}"
        url = reverse("rollout", kwargs={"pk": p["id"]})
        if p["stalled_since"]:
            detail = "The cluster does not answer; the rollout stands still"
            yield Attention(1, "warn", "stalled", title, detail, "Open the rollout", url)
        elif p["state"] == "paused":
            detail = p["reason"] or p["explanation"]["waiting_for"] or "Waits for a person"
            word = "changed by others" if p["drift"] else "paused"
            yield Attention(2, "warn", word, title, detail, "Resume or abort", url)


def _ended(ended: Iterable[dict[str, Any]]) -> Iterable[Attention]:
    for p in ended:
        title = f"{p['service']['name']} {p['release']['version']} on {p['cluster']['name']}"
        url = reverse("rollout", kwargs={"pk": p["id"]})
        rank = 1 if p["state"] == "failed" else 2
        detail = p["reason"] or p["state_label"]
        yield Attention(rank, "bad", p["state"], title, detail, "See why", url)


def _pods(user: User) -> Iterable[Attention]:
    """Placements whose pods are not ready, outside of a rollout; one query."""
    visible = access.visible(
        ObservedObject.objects.filter(kind="Pod", placement__isnull=False),
        user,
        team_path="placement__service__team",
    )
    waiting = (
        visible.filter(projection__ready=False, projection__deleting="")
        .exclude(projection__phase__in=("Succeeded", "Failed"))
        .exclude(placement__rollouts__state__in=ACTIVE)
        .order_by()
        .values("placement__service__name", "placement__cluster__name")
        .annotate(pods=Count("id", distinct=True))
    )
    for row in waiting:
        service, cluster = row["placement__service__name"], row["placement__cluster__name"]
        detail = f"{row['pods']} pod{'s are' if row['pods'] > 1 else ' is'} not ready"
        url = reverse("service", kwargs={"name": service})
        title = f"{service} on {cluster}"
        yield Attention(2, "warn", "not ready", title, detail, "Open the service", url)
