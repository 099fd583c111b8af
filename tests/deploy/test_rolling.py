"""The rolling strategy, pure: what it does in each state, and that it always finds an end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.models.rollout import ACTIVE, TERMINAL, TRANSITIONS, State
from deploy.strategies import rolling
from deploy.strategies.base import (
    Action,
    Decision,
    Drift,
    Finding,
    Observed,
    Position,
    Wish,
    Workload,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = tuple(kind for kind, _ in rolling.steps)
DRIFT = Drift("Deployment/web", "kubectl-set", (".spec.template",))
ROLLING = Workload("web", desired=3, replicas=4, updated=2, ready=3, available=3)
DONE = Workload("web", desired=3, replicas=3, updated=3, ready=3, available=3)


def position(state=State.PROGRESSING, step="roll", **changes) -> Position:
    values = {
        "state": state,
        "step_index": STEPS.index(step),
        "steps": STEPS,
        "memory": {"applied": {"web": 1}},
        "wishes": (),
        "deadline_seconds": 20,
        "stable_version": "1.4.0",
        "version": "1.5.0",
    }
    return Position(**{**values, **changes})


def decide(where: Position, *workloads: Workload, now=NOW, **seen) -> Decision:
    return rolling.decide(where, Observed(workloads=workloads, **seen), now)


def wish(verb: str) -> Wish:
    return Wish(id=verb, verb=verb, actor="ada", reason="because")


def test_a_queued_rollout_begins_with_the_preflight():
    decision = decide(position(State.QUEUED, "preflight", memory={}))
    assert (decision.state, decision.step_index) == (State.PREPARING, 0)


def test_a_blocking_finding_ends_it_with_the_cluster_untouched():
    finding = Finding("capacity", "failed", "each pod asks 2 GPUs", blocking=True)
    decision = decide(position(State.PREPARING, "preflight", memory={}), findings=(finding,))
    assert (decision.state, decision.action) == (State.ABORTED, Action.NONE)
    assert decision.reason == "each pod asks 2 GPUs"


def test_a_warning_does_not_stop_it():
    finding = Finding("capacity", "warning", "no room for the surge")
    decision = decide(position(State.PREPARING, "preflight", memory={}), findings=(finding,))
    assert (decision.state, decision.step_index) == (State.PROGRESSING, 1)


def test_the_apply_step_applies_and_moves_on():
    decision = decide(position(step="apply", memory={}))
    assert (decision.action, decision.step_index) == (Action.APPLY, STEPS.index("roll"))


@pytest.mark.parametrize(
    "unfinished",
    [
        replace(DONE, updated=2, replicas=3),
        replace(DONE, replicas=4),
        replace(DONE, available=2),
        replace(DONE, up_to_date=False),
    ],
)
def test_it_waits_until_every_condition_of_kubectl_rollout_status_holds(unfinished):
    decision = decide(position(), unfinished)
    assert decision.state == State.PROGRESSING
    assert 0 < decision.due_in_seconds <= rolling.SWEEP_SECONDS
    assert decision.explanation.until == NOW + timedelta(seconds=20)
    assert "1.4.0" in decision.explanation.on_failure


def test_all_workloads_must_be_complete():
    assert decide(position(), DONE, ROLLING).state == State.PROGRESSING
    assert decide(position(), DONE, DONE).state == State.PROMOTING


def test_cleaning_up_ends_in_success():
    decision = decide(position(State.PROMOTING, "prune"))
    assert (decision.state, decision.action) == (State.SUCCEEDED, Action.PRUNE)


def ticks(where: Position, *steps: tuple[float, Workload]) -> Decision:
    """Plays observations at given seconds, carrying the memory along."""
    for seconds, workload in steps:
        decision = decide(where, workload, now=NOW + timedelta(seconds=seconds))
        where = replace(where, memory={**where.memory, **decision.memory})
    return decision


def test_no_progress_for_the_deadline_leads_back():
    decision = ticks(position(), (0, ROLLING), (19, ROLLING), (20, ROLLING))
    assert decision.state == State.ABORTING
    assert "No progress for 20 s" in decision.reason


def test_progress_starts_the_deadline_anew():
    moved = replace(ROLLING, updated=3)
    decision = ticks(position(), (0, ROLLING), (19, moved), (38, moved))
    assert decision.state == State.PROGRESSING


def test_a_pod_that_flaps_is_no_progress():
    flap = replace(ROLLING, available=4)
    decision = ticks(position(), (0, ROLLING), (1, flap), (8, ROLLING), (15, flap), (22, ROLLING))
    assert decision.state == State.ABORTING


def test_time_while_stalled_does_not_count():
    first = decide(position(), ROLLING)
    later = position(memory={"applied": {"web": 1}, **first.memory}, stalled=True)
    decision = decide(later, ROLLING, now=NOW + timedelta(seconds=500))
    assert decision.state == State.PROGRESSING
    assert decision.memory["progress"]["idle_seconds"] == 0


def test_time_while_paused_does_not_count():
    first = ticks(position(), (0, ROLLING), (15, ROLLING))
    where = position(memory={"applied": {"web": 1}, **first.memory}, wishes=(wish("pause"),))
    held = decide(where, ROLLING, now=NOW + timedelta(seconds=16))
    assert (held.state, held.action) == (State.PAUSED, Action.HOLD)
    paused = position(
        State.PAUSED, memory={**where.memory, **held.memory}, wishes=(wish("resume"),)
    )
    resumed = decide(paused, now=NOW + timedelta(seconds=400))
    assert (resumed.state, resumed.action) == (State.PROGRESSING, Action.CONTINUE)
    again = position(memory={**paused.memory, **resumed.memory})
    decision = decide(again, ROLLING, now=NOW + timedelta(seconds=401))
    assert decision.memory["progress"]["idle_seconds"] == 15


def test_foreign_changes_pause_and_name_who_made_them():
    decision = decide(position(), ROLLING, drift=(DRIFT,))
    assert (decision.state, decision.drift) == (State.PAUSED, (DRIFT,))
    assert decision.reason == "kubectl-set changed .spec.template of Deployment/web"


def test_resuming_after_drift_takes_the_fields_back():
    paused = position(State.PAUSED, drifted=True, wishes=(wish("resume"),))
    decision = decide(paused)
    assert (decision.action, decision.drift) == (Action.TAKE_OVER, ())
    assert decision.step_index == STEPS.index("roll")


def test_an_abort_goes_before_every_other_wish():
    decision = decide(position(wishes=(wish("pause"), wish("abort"))), ROLLING)
    assert decision.state == State.ABORTING
    assert decision.reason == "Aborted by ada: because"
    assert dict(decision.consumed) == {"pause": "accepted", "abort": "accepted"}


def test_the_way_back_restores_then_waits_then_ends():
    back = position(State.ABORTING)
    assert decide(back).action == Action.RESTORE
    restored = position(State.ABORTING, memory={"applied": {"web": 1}, "restored": {"web": 2}})
    assert decide(restored, ROLLING).state == State.ABORTING
    assert decide(restored, DONE).state == State.ABORTED
    assert decide(restored, DONE, drift=(DRIFT,)).action == Action.RESTORE


def test_a_first_release_that_fails_has_nothing_to_return_to():
    decision = decide(position(stable_version=None, wishes=(wish("abort"),)), ROLLING)
    assert decision.state == State.FAILED


def test_without_the_right_it_pauses_for_a_person():
    decision = decide(position(), refusal="may not patch", refused_access=True)
    assert (decision.state, decision.reason) == (State.PAUSED, "may not patch")


def test_what_the_api_server_cannot_accept_leads_back():
    decision = decide(position(step="apply"), refusal="spec.x: invalid")
    assert (decision.state, decision.reason) == (State.ABORTING, "spec.x: invalid")


workloads = st.builds(
    Workload,
    name=st.just("web"),
    desired=st.integers(0, 4),
    replicas=st.integers(0, 8),
    updated=st.integers(0, 4),
    ready=st.integers(0, 4),
    available=st.integers(0, 4),
    up_to_date=st.booleans(),
)
# Nothing has been applied yet in these, and the preflight is the step.
BEGINNING = (State.QUEUED, State.PREPARING)
observations = st.builds(
    Observed,
    workloads=st.tuples(workloads),
    drift=st.sampled_from([(), (DRIFT,)]),
    findings=st.sampled_from([(), (Finding("x", "failed", "no", blocking=True),)]),
    refusal=st.sampled_from(["", "no"]),
    refused_access=st.booleans(),
)
positions = (
    st.builds(
        position,
        state=st.sampled_from([State.QUEUED, *(set(ACTIVE) - {State.ANALYSING})]),
        step=st.sampled_from(STEPS),
        memory=st.sampled_from(
            [{}, {"applied": {"web": 1}}, {"applied": {"web": 1}, "restored": {}}]
        ),
        wishes=st.lists(st.sampled_from(["pause", "resume", "abort"]).map(wish), max_size=3).map(
            tuple
        ),
        stable_version=st.sampled_from([None, "1.4.0"]),
        drifted=st.booleans(),
    )
    .filter(lambda p: not p.memory if p.state in BEGINNING else True)
    .filter(lambda p: p.step == "preflight" if p.state in BEGINNING else True)
)


@given(positions, observations)
def test_every_decision_is_allowed_bounded_and_explained(where, seen):
    decision = rolling.decide(where, seen, NOW)
    allowed = {where.state, *TRANSITIONS[where.state]}
    assert decision.state in allowed
    assert 0 <= decision.due_in_seconds <= 60
    assert decision.explanation.waiting_for
    acts_or_waits = decision.action != Action.NONE or decision.due_in_seconds > 0
    moves = (decision.state, decision.step_index) != (where.state, where.step_index)
    assert acts_or_waits or moves


@given(positions, observations)
def test_an_abort_is_accepted_in_every_active_state(where, seen):
    where = replace(where, wishes=(*where.wishes, wish("abort")))
    decision = rolling.decide(where, seen, NOW)
    assert decision.state in (State.ABORTING, *TERMINAL)
    assert decision.state != State.SUCCEEDED
