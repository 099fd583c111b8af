"""The audit trail: every verb writes one entry in the transaction of its change."""

from typing import Any

from django.db import models

from portal.base import requests
from portal.base.models import AuditEntry, User

SYSTEM = "pilothouse"


def actor_name(actor: User | None) -> str:
    """The name written into records; the portal itself acts as `pilothouse`."""
    return actor.get_username() if actor is not None else SYSTEM


def record(
    *,
    actor: User | None,
    verb: str,
    target: models.Model,
    change: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditEntry:
    """Writes one entry. `change` maps a field to `[before, after]` or holds what was given."""
    context = requests.current()
    return AuditEntry.objects.create(
        actor=actor_name(actor),
        verb=verb,
        object_type=target._meta.label_lower,
        object_id=str(target.pk),
        object_label=str(target)[:200],
        change=change or {},
        reason=reason,
        request_id=context.request_id,
        remote_address=context.remote_address,
    )
