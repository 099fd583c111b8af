"""The audit log: platform-wide for administrators, else what concerns the user's own teams."""

from typing import Any

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from deploy.models import Release, Rollout
from fleet.models import Placement, Service
from portal.base import access
from portal.base.models import AuditEntry, User

_OWNED = (
    ("fleet.service", Service, "team"),
    ("fleet.placement", Placement, "service__team"),
    ("deploy.release", Release, "service__team"),
    ("deploy.rollout", Rollout, "placement__service__team"),
)


def visible(user: User) -> QuerySet[AuditEntry]:
    """Entries about the user's own deeds and the objects of their teams; all for superusers."""
    if user.is_superuser:
        return AuditEntry.objects.all()
    wanted = Q(actor=user.get_username()) | Q(object_type="fleet.cluster")
    for label, model, path in _OWNED:
        ids = access.visible(model.objects.all(), user, team_path=path)
        texts = ids.annotate(text_id=Cast("pk", CharField())).values("text_id")
        wanted |= Q(object_type=label, object_id__in=texts)
    return AuditEntry.objects.filter(wanted)


def filtered(rows: QuerySet[AuditEntry], wanted: dict[str, str]) -> QuerySet[AuditEntry]:
    """Keeps what the filter form asks for: q, actor, verb, object."""
    if text := wanted.get("q"):
        rows = rows.filter(
            Q(object_label__icontains=text) | Q(reason__icontains=text) | Q(request_id=text)
        )
    if actor := wanted.get("actor"):
        rows = rows.filter(actor=actor)
    if verb := wanted.get("verb"):
        rows = rows.filter(verb=verb)
    if object_id := wanted.get("object"):
        rows = rows.filter(object_id=object_id)
    return rows


def choices(rows: QuerySet[AuditEntry]) -> dict[str, Any]:
    """What can be chosen in the filter form."""
    return {
        "actors": rows.order_by("actor").values_list("actor", flat=True).distinct()[:200],
        "verbs": rows.order_by("verb").values_list("verb", flat=True).distinct()[:200],
    }
