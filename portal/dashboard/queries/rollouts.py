"""Rollouts as lists, and everything the page of one rollout shows."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from deploy.models import Attempt, Rollout
from deploy.models.rollout import ACTIVE, PENDING, TERMINAL, State
from deploy.projections import rollout_projection
from portal.base import access
from portal.base.models import AuditEntry, User

# Whole manifests and plans, which no list shows.
_LARGE = (
    "release__manifests",
    "release__config",
    "stable__plan",
    "stable__memory",
    "stable__release__manifests",
    "stable__release__config",
)
_MACHINERY = ("fence", "plan_sha256", "step")
_DONE = {"deploy": "started it", "rollback": "rolled back", "retry": "started it again"}
SORTS = {
    "created": "created_at",
    "service": "placement__service__name",
    "cluster": "placement__cluster__name",
    "state": "state",
}
_GROUPS = {"live": ACTIVE, "waiting": PENDING, "finished": TERMINAL}
STATES = (
    ("", "Any state"),
    ("live", "Live"),
    ("waiting", "Waiting"),
    ("finished", "Finished"),
    *State.choices,
)


def visible(user: User) -> QuerySet[Rollout]:
    """Rollouts of the user's teams, with what a row of a list shows."""
    rows = Rollout.objects.select_related(
        "placement__service__team",
        "placement__cluster",
        "release",
        "stable__release",
        "created_by",
    ).prefetch_related("steps", "intents__actor")
    rows = rows.defer(*_LARGE)
    return access.visible(rows, user, team_path="placement__service__team")


def filtered(rows: QuerySet[Rollout], wanted: dict[str, str]) -> QuerySet[Rollout]:
    """Keeps what the filter form asks for: q, state, service, cluster."""
    if state := wanted.get("state"):
        rows = rows.filter(state__in=_GROUPS.get(state, (state,)))
    if service := wanted.get("service"):
        rows = rows.filter(placement__service__name=service)
    if cluster := wanted.get("cluster"):
        rows = rows.filter(placement__cluster__name=cluster)
    if text := wanted.get("q"):
        rows = rows.filter(
            Q(release__version__icontains=text)
            | Q(placement__service__name__icontains=text)
            | Q(placement__cluster__name__icontains=text)
            | Q(created_by__username__icontains=text)
        )
    return rows


def projected(rows: Iterable[Rollout]) -> list[dict[str, Any]]:
    """Rows as every door shows them."""
    return [rollout_projection(row) for row in rows]


def later(rollout: Rollout) -> Rollout | None:
    """The newest rollout of the placement, when an ended one is not it."""
    if not rollout.is_terminal:
        return None
    newest = rollout.placement.rollouts.select_related("release").order_by("-created_at").first()
    return newest if newest != rollout else None


def record(rollout: Rollout, limit: int = 40) -> list[dict[str, Any]]:
    """What people and the engine did, newest first: `{at, who, what, detail, tone}`."""
    audit = AuditEntry.objects.filter(
        object_type="deploy.rollout", object_id=str(rollout.pk)
    ).order_by("-at")[:limit]
    attempts = rollout.attempts.order_by("-at")[:limit]
    titles = [step.title for step in rollout.steps.all()]
    lines = [*(_audit_line(entry, titles) for entry in audit), *map(_attempt_line, attempts)]
    return sorted(lines, key=lambda line: line["at"], reverse=True)[:limit]


def _audit_line(entry: AuditEntry, titles: list[str]) -> dict[str, Any]:
    told = [f"{name}: {_change(v)}" for name, v in entry.change.items() if _tells(name, v)]
    detail = entry.reason or ", ".join([*told, *_step(entry.change.get("step"), titles)])
    verb = entry.verb.removeprefix("rollout.")
    what = _DONE.get(verb, verb.replace("_asked", " asked for").replace("_", " "))
    return {"at": entry.at, "who": entry.actor, "what": what, "detail": detail, "tone": "idle"}


def _step(change: Any, titles: list[str]) -> list[str]:
    """The step that was reached, by its title."""
    moved = isinstance(change, list) and len(change) == 2 and change[0] != change[1]
    return [f"step: {titles[change[1]]}"] if moved and change[1] < len(titles) else []


def _tells(name: str, value: Any) -> bool:
    """Whether a change says something to people: fences and unchanged pairs do not."""
    unchanged = isinstance(value, list) and len(value) == 2 and value[0] == value[1]
    return not unchanged and value not in (False, None, "") and name not in _MACHINERY


def _change(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2:
        return f"{value[0]} → {value[1]}"
    return str(value)


def _attempt_line(attempt: Attempt) -> dict[str, Any]:
    tone = {"ok": "good", "retry": "warn"}.get(attempt.outcome, "bad")
    what = f"{attempt.action.replace('_', ' ')}: {attempt.get_outcome_display().lower()}"
    return {
        "at": attempt.at,
        "who": "pilothouse",
        "what": what,
        "detail": attempt.detail,
        "tone": tone,
    }


def evidence(projection_steps: Iterable[Any]) -> list[dict[str, Any]]:
    """Findings of all steps, each with the tone of its verdict."""
    tones = {"passed": "good", "warning": "warn", "inconclusive": "warn", "failed": "bad"}
    return [
        {**finding, "step": step.title, "tone": tones.get(finding.get("verdict", ""), "idle")}
        for step in projection_steps
        for finding in step.evidence
    ]


def last_by_placement(placement_ids: Iterable[UUID], **conditions: Any) -> dict[UUID, Rollout]:
    """The newest rollout of each placement that meets the conditions; one query."""
    rows = (
        Rollout.objects.filter(placement_id__in=list(placement_ids), **conditions)
        .select_related("release", "stable__release", "placement__cluster", "created_by")
        .defer("plan", "memory", *_LARGE)
        .order_by("placement_id", "-created_at")
        .distinct("placement_id")
    )
    return {row.placement_id: row for row in rows}
