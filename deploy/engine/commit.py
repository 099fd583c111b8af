"""Committing: state, step, attempt, wishes, audit and event in one transaction, under the fence."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Case, DateTimeField, ExpressionWrapper, Func, Value, When

from deploy.engine.claim import Claimed
from deploy.models import Attempt, Intent, Rollout, RolloutStep
from deploy.models.rollout import TERMINAL, TRANSITIONS, State
from deploy.projections import rollout_projection, topics_of
from deploy.strategies.base import Action, Decision, Observed
from fleet import clusters
from portal.base import audit, events, transitions

log = logging.getLogger(__name__)

_CLOCK = Func(function="clock_timestamp", output_field=DateTimeField())
_STEP_STATE = RolloutStep.State


class FencedOut(Exception):
    """The row moved on under a newer fence while this tick was working."""


@dataclass(frozen=True)
class Outcome:
    """What a tick found and did. `memory` is remembered on top of the decision's own."""

    decision: Decision
    observed: Observed = field(default_factory=Observed)
    memory: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    stalled: bool = False
    contacted: bool = False


def commit(claimed: Claimed, outcome: Outcome) -> bool:
    """Writes everything or nothing; False when another worker holds a newer fence."""
    try:
        with events.transaction():
            _write(claimed, outcome)
    except FencedOut:
        log.warning("rollout %s: fence %s is stale", claimed.rollout.pk, claimed.fence)
        return False
    if outcome.contacted:
        clusters.record_contact(claimed.rollout.placement.cluster_id, True)
    return True


def _write(claimed: Claimed, outcome: Outcome) -> None:
    before, decision = claimed.rollout, outcome.decision
    if decision.state != before.state:
        transitions.check(TRANSITIONS, before=before.state, after=decision.state)
    held = Rollout.objects.filter(
        pk=before.pk, fence=claimed.fence, step_index=before.step_index, state=before.state
    )
    if not held.update(**_values(claimed, outcome)):
        raise FencedOut
    seen = rollout_projection(before)
    _consume(claimed, decision)
    _record_attempt(claimed, outcome)
    _move_steps(claimed, outcome)
    after = Rollout.objects.select_related(
        "release__service",
        "placement__service",
        "placement__cluster",
        "stable__release",
        "created_by",
    ).get(pk=before.pk)
    _tell(before, after, seen, decision)


def _values(claimed: Claimed, outcome: Outcome) -> dict[str, Any]:
    row, decision = claimed.rollout, outcome.decision
    ended = decision.state in TERMINAL
    memory = {**row.memory, **outcome.memory, **decision.memory}
    if not outcome.stalled:
        memory.pop("stall_tries", None)
    if outcome.observed.workloads:
        memory["workloads"] = [asdict(workload) for workload in outcome.observed.workloads]
    values: dict[str, Any] = {
        "state": decision.state,
        "step_index": decision.step_index,
        "memory": memory,
        "explanation": decision.explanation.as_json(),
        "stalled_since": (row.stalled_since or claimed.now) if outcome.stalled else None,
        "lease_until": None,
        "lease_owner": "",
        "next_due": None if ended else _next_due(claimed, decision.due_in_seconds),
    }
    if decision.reason:
        values["reason"] = decision.reason
    if decision.drift is not None:
        values["drift"] = [asdict(drift) for drift in decision.drift]
    if row.state == State.QUEUED:
        values["started_at"] = claimed.now
    if ended:
        values["finished_at"] = _CLOCK
    return values


def _next_due(claimed: Claimed, seconds: float) -> Case:
    """When to tick again; at once if somebody sent a wake while this tick was under way."""
    later = ExpressionWrapper(
        _CLOCK + Value(timedelta(seconds=seconds)), output_field=DateTimeField()
    )
    return Case(When(woken_at__gt=claimed.now, then=_CLOCK), default=later)


def _consume(claimed: Claimed, decision: Decision) -> None:
    for intent_id, text in decision.consumed:
        Intent.objects.filter(pk=intent_id).update(consumed_at=_CLOCK, outcome=text[:200])


def _record_attempt(claimed: Claimed, outcome: Outcome) -> None:
    action = outcome.decision.action
    if action == Action.NONE and not outcome.error:
        return
    result = Attempt.Outcome.ERROR if outcome.error else Attempt.Outcome.OK
    Attempt.objects.create(
        rollout=claimed.rollout,
        step_index=claimed.rollout.step_index,
        action=str(action) if action != Action.NONE else "observe",
        fence=claimed.fence,
        outcome=Attempt.Outcome.RETRY if outcome.stalled else result,
        detail=outcome.error,
        at=claimed.now,
    )


# --- The timeline -----------------------------------------------------------------------------


def _move_steps(claimed: Claimed, outcome: Outcome) -> None:
    """Keeps the timeline in step: done or failed behind, running here, waiting ahead."""
    before, decision = claimed.rollout, outcome.decision
    steps = RolloutStep.objects.filter(rollout=before)
    here = steps.filter(index=before.step_index)
    if outcome.observed.findings:
        here.update(evidence=[asdict(finding) for finding in outcome.observed.findings])
    if decision.detail and before.state != State.ABORTING:
        here.update(detail=decision.detail[:300])
    lost = decision.state in (State.ABORTING, State.ABORTED, State.FAILED)
    if before.state == State.QUEUED:
        here.update(state=_STEP_STATE.RUNNING, started_at=_CLOCK)
    elif lost and before.state != State.ABORTING:
        here.update(state=_STEP_STATE.FAILED, finished_at=_CLOCK)
        steps.filter(state=_STEP_STATE.WAITING).update(state=_STEP_STATE.SKIPPED)
    elif decision.step_index > before.step_index:
        passed = steps.filter(index__gte=before.step_index, index__lt=decision.step_index)
        passed.update(state=_STEP_STATE.DONE, finished_at=_CLOCK)
        steps.filter(index=decision.step_index).update(state=_STEP_STATE.RUNNING, started_at=_CLOCK)
    elif decision.state == State.SUCCEEDED:
        here.update(state=_STEP_STATE.DONE, finished_at=_CLOCK)


# --- Telling people ---------------------------------------------------------------------------


def _tell(before: Rollout, after: Rollout, seen: dict[str, Any], decision: Decision) -> None:
    moved = (before.state, before.step_index) != (after.state, after.step_index)
    stalled = (before.stalled_since is None) != (after.stalled_since is None)
    if moved or stalled:
        change = {
            "state": [before.state, after.state],
            "step": [before.step_index, after.step_index],
            "stalled": after.stalled_since is not None,
            "fence": after.fence,
        }
        reason = after.reason if after.reason != before.reason else ""
        verb = f"rollout.{after.state}" if moved else "rollout.stalled"
        audit.record(actor=None, verb=verb, target=after, change=change, reason=reason)
    shown = rollout_projection(after)
    if shown != seen:
        events.emit(
            topics=topics_of(after), kind="rollout.changed", object_id=after.pk, payload=shown
        )
    if after.is_terminal:
        # A successor may be waiting in the queue.
        events.wake(after.placement_id)
