"""Services as a list, and the placement matrix and releases of one."""

from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from deploy import releases
from deploy.models import Release, Rollout
from deploy.models.rollout import ACTIVE, State
from deploy.projections import tone_of
from fleet.models import ObservedObject, Placement, Service
from portal.base import access
from portal.base.models import Membership, Role, Team, User
from portal.dashboard.queries import rollouts

SORTS = {"name": "name", "team": "team__name", "placements": "placement_count"}
_COUNTED = ("desired", "ready", "updated")


def visible(user: User) -> QuerySet[Service]:
    rows = Service.objects.select_related("team").order_by("name")
    return access.visible(rows, user, team_path="team")


def listed(user: User, text: str) -> QuerySet[Service]:
    """Rows of the services page: placements, newest version, rollouts under way."""
    newest = Release.objects.filter(service=OuterRef("pk")).order_by("-number")
    rows = visible(user).annotate(
        placement_count=Count("placements"),
        newest_version=Subquery(newest.values("version")[:1]),
        live_count=_live_count(),
    )
    return rows.filter(Q(name__icontains=text) | Q(description__icontains=text)) if text else rows


def _live_count() -> Subquery:
    """Rollouts under way, counted apart: a join would multiply the placements."""
    live = Rollout.objects.filter(placement__service=OuterRef("pk"), state__in=ACTIVE)
    counted = live.order_by().values("placement__service").annotate(number=Count("id"))
    return Subquery(counted.values("number"))


def administered_teams(user: User) -> QuerySet[Team]:
    """Teams in which the user may make services."""
    if user.is_superuser:
        return Team.objects.all()
    held = Membership.objects.filter(user=user, role=Role.ADMIN)
    return Team.objects.filter(pk__in=held.values("team_id"))


def placement_rows(service: Service) -> list[dict[str, Any]]:
    """The matrix: what runs on each cluster, how many replicas are ready, what was tried last."""
    placements = list(
        service.placements.select_related("cluster")
        .annotate(releases_ran=_releases_ran())
        .order_by("cluster__name", "namespace")
    )
    ids = [placement.pk for placement in placements]
    current = rollouts.last_by_placement(ids, state=State.SUCCEEDED)
    last = rollouts.last_by_placement(ids)
    replicas = _replicas(ids)
    return [
        {
            "placement": placement,
            "current": current.get(placement.pk),
            "replicas": replicas.get(placement.pk),
            "can_roll_back": placement.releases_ran > 1,
            **_last(last.get(placement.pk)),
        }
        for placement in placements
    ]


def _releases_ran() -> Count:
    succeeded = Q(rollouts__state=State.SUCCEEDED)
    return Count("rollouts__release", filter=succeeded, distinct=True)


def _last(rollout: Rollout | None) -> dict[str, Any]:
    if rollout is None:
        return {"last": None, "tone": "", "busy": False}
    return {"last": rollout, "tone": tone_of(rollout), "busy": rollout.is_active}


def _replicas(placement_ids: list[UUID]) -> dict[UUID, dict[str, int]]:
    """Pods wanted and ready over all Deployments of each placement, as observed; one query."""
    found: dict[UUID, dict[str, int]] = {}
    rows = ObservedObject.objects.filter(placement_id__in=placement_ids, kind="Deployment")
    for placement_id, projection in rows.values_list("placement_id", "projection"):
        sums = found.setdefault(placement_id, dict.fromkeys(_COUNTED, 0))
        for name in _COUNTED:
            sums[name] += projection.get(name) or 0
    return found


def difference(before: Release | None, after: Release) -> list[dict[str, str]]:
    """What changes between two releases, as short text: `{path, before, after}`."""
    rows = releases.difference(before=before, after=after)
    return [{key: _text(row[key]) for key in ("path", "before", "after")} for row in rows]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def plan_rows(service: Service, release: Release | None, chosen: set[str]) -> list[dict[str, Any]]:
    """The matrix with, for each chosen placement, what the release would change there."""
    rows = placement_rows(service)
    for row in rows:
        current = row["current"]
        before = current.release if current else None
        row["chosen"] = str(row["placement"].pk) in chosen
        row["difference"] = difference(before, release) if release and row["chosen"] else []
    return rows


def earlier_releases(placement: Placement) -> QuerySet[Release]:
    """Releases that ran here before, other than the one that runs, newest first."""
    done = placement.rollouts.filter(state=State.SUCCEEDED)
    current = done.order_by("-finished_at").values_list("release_id", flat=True).first()
    ran = Release.objects.filter(pk__in=done.values("release_id")).order_by("-number")
    return ran.exclude(pk=current) if current else ran
