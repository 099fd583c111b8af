"""Claiming: one row, reserved for one worker by lease and fence, on the database's clock."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection

from deploy.models import Rollout
from deploy.models.rollout import ACTIVE, State
from deploy.strategies.base import Position, Wish

# The fence grows over all rollouts of a placement, so that the objects it is written on can tell
# a newer rollout's worker from an older one's. A queued rollout waits for the active one to end.
_CLAIM = """
UPDATE deploy_rollout AS mine
SET fence = 1 + (
        SELECT max(fence) FROM deploy_rollout AS all_ WHERE all_.placement_id = mine.placement_id),
    lease_owner = %(owner)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
    stable_id = CASE WHEN mine.state <> 'queued' THEN mine.stable_id ELSE (
        SELECT past.id FROM deploy_rollout AS past
        WHERE past.placement_id = mine.placement_id AND past.state = 'succeeded'
        ORDER BY past.finished_at DESC LIMIT 1) END
WHERE mine.id = (
    SELECT due.id FROM deploy_rollout AS due
    WHERE due.id = %(id)s AND due.next_due <= clock_timestamp()
      AND due.state = ANY(%(claimable)s)
      AND (due.lease_until IS NULL OR due.lease_until < clock_timestamp())
      AND (due.state <> 'queued' OR NOT EXISTS (
        SELECT 1 FROM deploy_rollout AS other
        WHERE other.placement_id = due.placement_id AND other.state = ANY(%(active)s)))
    FOR UPDATE SKIP LOCKED)
RETURNING clock_timestamp()
"""
_ACTIVE = [str(state) for state in ACTIVE]


@dataclass(frozen=True)
class Claimed:
    """A rollout reserved for this tick: its row, pending wishes, and the database's time."""

    rollout: Rollout
    position: Position
    now: datetime

    @property
    def fence(self) -> int:
        return self.rollout.fence


def claim(rollout_id: UUID) -> Claimed | None:
    """Reserves a due rollout, or returns None. Never waits for another worker."""
    parameters = {
        "id": rollout_id,
        "owner": f"{socket.gethostname()}:{os.getpid()}",
        "lease": settings.ENGINE_LEASE_SECONDS,
        "active": _ACTIVE,
        "claimable": [*_ACTIVE, str(State.QUEUED)],
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, parameters)
        row = cursor.fetchone()
    if row is None:
        return None
    rollout = Rollout.objects.select_related(
        "release__service",
        "placement__service",
        "placement__cluster",
        "stable__release",
        "created_by",
    ).get(pk=rollout_id)
    return Claimed(rollout, position_of(rollout), row[0])


def position_of(rollout: Rollout) -> Position:
    """The row as the strategy sees it."""
    pending = rollout.intents.filter(consumed_at=None).select_related("actor")
    wishes = tuple(
        Wish(str(i.pk), i.verb, i.reason, i.actor.username if i.actor else "pilothouse")
        for i in pending
    )
    return Position(
        state=rollout.state,
        step_index=rollout.step_index,
        steps=tuple(kind for kind, _ in rollout.plan["steps"]),
        memory=rollout.memory,
        wishes=wishes,
        deadline_seconds=rollout.plan["parameters"]["progress_deadline_seconds"],
        stable_version=rollout.stable.release.version if rollout.stable else None,
        version=rollout.release.version,
        stalled=rollout.stalled_since is not None,
        drifted=bool(rollout.drift),
    )
