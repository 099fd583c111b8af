"""Rolling update: Kubernetes' own controller moves the pods, this strategy watches and judges.

Preflight (dry run, capacity) -> apply -> wait for the Deployments -> clean up. No progress for
`progress_deadline_seconds`, an impossible preflight or a person's abort lead back to the stable
release; foreign changes to our fields pause.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from deploy.models.rollout import State
from deploy.strategies.base import (
    Action,
    Decision,
    Drift,
    Explanation,
    Observed,
    Position,
    Wish,
    deadline,
    progress,
)

steps = (
    ("preflight", "Preflight"),
    ("apply", "Apply"),
    ("roll", "Rolling update"),
    ("prune", "Clean up"),
)
# The watcher wakes a tick at every change; this is the safety net below it.
SWEEP_SECONDS = 5.0
IDLE_SECONDS = 30.0
# Kubernetes is not held back: the foreign change may be somebody's emergency fix.
_WAITS_AFTER_DRIFT = Explanation(
    "somebody to overwrite the foreign change, or to abort",
    None,
    "the cluster follows the foreign change until then",
)


def decide(position: Position, observed: Observed, now: datetime) -> Decision:
    """The next move. Wishes come first, an abort before all others."""
    if position.state == State.ABORTING:
        return _consume_all(position, _restore(position, observed), "already returning")
    abort = next((wish for wish in position.wishes if wish.verb == "abort"), None)
    if abort:
        why = f"Aborted by {abort.actor}" + (f": {abort.reason}" if abort.reason else "")
        return _consume_all(position, _give_up(position, why, "accepted"), "accepted")
    if observed.refusal:
        return _consume_all(position, _refused(position, observed), "refused")
    decision = _BY_STATE[position.state](position, observed, now)
    if position.wishes:
        return _heed(position.wishes[0], position, decision)
    return decision


# --- Wishes -----------------------------------------------------------------------------------


def _heed(wish: Wish, position: Position, decision: Decision) -> Decision:
    """Carries out a pause or resume unless the tick itself already leads elsewhere."""
    if wish.verb == "pause" and position.state == State.PROGRESSING:
        moved_on = decision.state != State.PROGRESSING
        if moved_on:
            return replace(decision, consumed=((wish.id, f"too late: {decision.state}"),))
        return replace(_hold(position, wish), consumed=((wish.id, "accepted"),))
    if wish.verb == "resume" and position.state == State.PAUSED:
        return replace(_resume(position), consumed=((wish.id, "accepted"),))
    if position.state == State.PREPARING:
        return decision  # kept until there is something to pause
    return replace(decision, consumed=((wish.id, f"nothing to {wish.verb} now"),))


def _consume_all(position: Position, decision: Decision, outcome: str) -> Decision:
    return replace(decision, consumed=tuple((wish.id, outcome) for wish in position.wishes))


def _hold(position: Position, wish: Wish) -> Decision:
    why = f"Paused by {wish.actor}" + (f": {wish.reason}" if wish.reason else "")
    return Decision(
        State.PAUSED,
        position.step_index,
        Explanation("somebody to resume or abort", None, "pods stay as they are"),
        action=Action.HOLD if position.step == "roll" else Action.NONE,
        due_in_seconds=IDLE_SECONDS,
        memory={"progress": _frozen(position)},
        reason=why,
    )


def _resume(position: Position) -> Decision:
    """Goes on where it was paused; after drift the plan's fields are taken back first."""
    action = Action.NONE
    step = position.step_index
    if position.drifted:
        action, step = Action.TAKE_OVER, position.steps.index("roll")
    elif position.step == "roll":
        action = Action.CONTINUE
    return Decision(
        State.PROGRESSING if step else State.PREPARING,
        step,
        Explanation("the cluster to move on", None, _on_failure(position)),
        action=action,
        memory={"progress": _frozen(position)},
        detail="taken back from others" if position.drifted else "",
        drift=(),
    )


def _frozen(position: Position) -> dict[str, Any]:
    """The progress record without its mark: time that passes now does not count."""
    record = position.memory.get("progress")
    return {**record, "at": None} if record else {}


# --- One function per state -------------------------------------------------------------------


def _queued(position: Position, observed: Observed, now: datetime) -> Decision:
    return Decision(State.PREPARING, 0, Explanation("preflight checks", None, "nothing changes"))


def _preparing(position: Position, observed: Observed, now: datetime) -> Decision:
    blocking = next((f for f in observed.findings if f.blocking), None)
    if blocking:
        return _give_up(position, blocking.message, blocking.check)
    if observed.drift:
        return _drifted(position, observed.drift)
    waiting = Explanation("the API server to accept the objects", None, _on_failure(position))
    return Decision(State.PROGRESSING, position.step_index + 1, waiting, detail="passed")


def _progressing(position: Position, observed: Observed, now: datetime) -> Decision:
    if observed.drift:
        return _drifted(position, observed.drift)
    if position.step == "apply":
        waiting = Explanation("the Deployment controller", None, _on_failure(position))
        return Decision(
            State.PROGRESSING, position.step_index + 1, waiting, Action.APPLY, detail="applied"
        )
    if all(workload.complete for workload in observed.workloads):
        waiting = Explanation("the clean-up of what nothing needs any more")
        return Decision(State.PROMOTING, position.step_index + 1, waiting, detail=_counts(observed))
    return _wait(position, observed, now)


def _wait(position: Position, observed: Observed, now: datetime) -> Decision:
    record = progress(position, observed.workloads, now)
    if record["idle_seconds"] >= position.deadline_seconds:
        why = f"No progress for {position.deadline_seconds} s"
        return _give_up(position, f"{why}: {observed.trouble or _counts(observed)}", "deadline")
    until = deadline(position, record, now)
    waiting = observed.trouble or _counts(observed)
    return Decision(
        State.PROGRESSING,
        position.step_index,
        Explanation(waiting, until, _on_failure(position)),
        due_in_seconds=min(SWEEP_SECONDS, max((until - now).total_seconds(), 0.05)),
        memory={"progress": record},
        # The timeline shows the reason alone; the whole message stands in "what happens next".
        detail=waiting.partition(" (")[0],
    )


def _paused(position: Position, observed: Observed, now: datetime) -> Decision:
    waiting = Explanation("somebody to resume or abort", None, "pods stay as they are")
    if position.drifted:
        waiting = _WAITS_AFTER_DRIFT
    return Decision(State.PAUSED, position.step_index, waiting, due_in_seconds=IDLE_SECONDS)


def _promoting(position: Position, observed: Observed, now: datetime) -> Decision:
    done = Explanation(f"nothing: {position.version} runs")
    return Decision(State.SUCCEEDED, position.step_index, done, Action.PRUNE, detail="done")


_BY_STATE: Mapping[str, Any] = {
    State.QUEUED: _queued,
    State.PREPARING: _preparing,
    State.PROGRESSING: _progressing,
    State.PAUSED: _paused,
    State.PROMOTING: _promoting,
}


# --- The way back -----------------------------------------------------------------------------


def _give_up(position: Position, why: str, detail: str) -> Decision:
    """Towards the stable release; with nothing touched yet, or nothing to return to, at once."""
    untouched = not position.memory.get("applied")
    if position.state in (State.QUEUED, State.PREPARING) and untouched:
        end = Explanation("nothing: the cluster was not changed")
        return Decision(State.ABORTED, position.step_index, end, reason=why, detail=detail)
    if position.stable_version is None and not untouched:
        end = Explanation("nothing: there is no earlier release, the objects stay to be looked at")
        return Decision(State.FAILED, position.step_index, end, reason=why, detail=detail)
    back = Explanation(f"the return to {position.stable_version}", None, "it is tried for ever")
    return Decision(State.ABORTING, position.step_index, back, reason=why, detail=detail)


def _refused(position: Position, observed: Observed) -> Decision:
    """The API server says no: without the right, a person must help; else there is no way on."""
    if not observed.refused_access or position.state == State.PREPARING:
        return _give_up(position, observed.refusal, "refused")
    return Decision(
        State.PAUSED,
        position.step_index,
        Explanation("working credentials; then resume or abort", None, "pods stay as they are"),
        due_in_seconds=IDLE_SECONDS,
        memory={"progress": _frozen(position)},
        reason=observed.refusal,
        detail="refused",
    )


def _restore(position: Position, observed: Observed) -> Decision:
    if observed.refusal:
        trying = Explanation(f"the API server, which says: {observed.refusal}", None, "it retries")
        return Decision(State.ABORTING, position.step_index, trying, due_in_seconds=IDLE_SECONDS)
    if not position.memory.get("applied"):
        end = Explanation("nothing: the cluster was not changed")
        return Decision(State.ABORTED, position.step_index, end)
    back = f"the return to {position.stable_version}"
    if not position.memory.get("restored") or observed.drift:
        waiting = Explanation(back, None, "it is tried for ever")
        return Decision(State.ABORTING, position.step_index, waiting, Action.RESTORE)
    if all(workload.complete for workload in observed.workloads):
        end = Explanation(f"nothing: {position.stable_version} runs at 100 %")
        return Decision(State.ABORTED, position.step_index, end, Action.PRUNE, detail="returned")
    waiting = Explanation(f"{back}: {observed.trouble or _counts(observed)}", None, "")
    return Decision(State.ABORTING, position.step_index, waiting, due_in_seconds=SWEEP_SECONDS)


def _drifted(position: Position, drift: tuple[Drift, ...]) -> Decision:
    first = drift[0]
    what = ", ".join(first.fields[:3]) or "fields of ours"
    return Decision(
        State.PAUSED,
        position.step_index,
        _WAITS_AFTER_DRIFT,
        due_in_seconds=IDLE_SECONDS,
        memory={"progress": _frozen(position)},
        reason=f"{first.manager} changed {what} of {first.object}",
        detail="changed by somebody else",
        drift=drift,
    )


# --- Sentences --------------------------------------------------------------------------------


def _on_failure(position: Position) -> str:
    back = position.stable_version
    return f"it returns to {back}" if back else "it stops and leaves the objects to be looked at"


def _counts(observed: Observed) -> str:
    parts = []
    for workload in observed.workloads:
        if not workload.up_to_date:
            parts.append(f"{workload.name}: the controller has not seen it yet")
        elif workload.updated < workload.desired:
            parts.append(f"{workload.name}: {workload.updated} of {workload.desired} pods are new")
        elif workload.old:
            leaving = "pod still leaves" if workload.old == 1 else "pods still leave"
            parts.append(f"{workload.name}: {workload.old} old {leaving}")
        else:
            ready = f"{workload.available} of {workload.desired} pods available"
            parts.append(f"{workload.name}: {ready}")
    return "; ".join(parts)
