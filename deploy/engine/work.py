"""The middle of a tick: observe, decide, act. Whatever goes wrong outside becomes an outcome."""

import logging
from dataclasses import replace

from django.conf import settings

from deploy.engine.act import Superseded, drift_of, perform, rebase
from deploy.engine.claim import Claimed
from deploy.engine.commit import Outcome
from deploy.engine.observe import look
from deploy.models.rollout import State
from deploy.strategies import STRATEGIES
from deploy.strategies.base import Action, Decision, Explanation, Observed
from fleet import clusters
from fleet.kube import errors
from fleet.kube.gateway import Budget, Gateway

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
DEFECT_SECONDS = 30.0
STALL_SECONDS = (1.0, 2.0, 5.0, 10.0, 15.0)


def work(claimed: Claimed) -> Outcome | None:
    """Observes, decides and acts for a claimed rollout.

    Returns what to commit, or None when a newer fence is in the cluster: then this worker is late.
    """
    try:
        outcome = _work(claimed)
    except Superseded as newer:
        rebase(claimed, newer.fence)
        return None
    except errors.Unavailable as error:
        clusters.record_error(claimed.rollout.placement.cluster_id, error)
        return _stalled(claimed, error)
    except errors.TooManyRequests as error:
        return _again(claimed, error, max(error.retry_after_seconds, RETRY_SECONDS))
    except errors.Conflict as error:
        return _again(claimed, error, RETRY_SECONDS)
    except Exception as error:
        # A defect must neither strand the row until its lease ends nor spin a worker.
        log.exception("rollout %s: the tick failed", claimed.rollout.pk)
        return _again(claimed, error, DEFECT_SECONDS)
    return outcome


def _work(claimed: Claimed) -> Outcome:
    decide = STRATEGIES[claimed.rollout.strategy].decide
    position, now = claimed.position, claimed.now
    if position.state == State.QUEUED:
        return Outcome(decide(position, Observed(), now))
    gateway = clusters.gateway(claimed.rollout.placement.cluster)
    gateway = gateway.within(Budget(settings.ENGINE_TICK_BUDGET_SECONDS))
    seen = Observed()
    try:
        seen, noted = look(claimed, gateway)
        decision = decide(position, seen, now)
        done = _act(claimed, decision, gateway)
        return Outcome(decision, seen, {**noted, **done}, contacted=True)
    except errors.FieldConflict as error:
        observed = replace(seen, drift=tuple(drift_of(error)))
    except (errors.Invalid, errors.NotFound) as error:
        observed = replace(seen, refusal=str(error))
    except (errors.Forbidden, errors.Unauthorized, errors.BadCredentials) as error:
        clusters.record_error(claimed.rollout.placement.cluster_id, error)
        observed = replace(seen, refusal=str(error), refused_access=True)
    # What the API server said no to is an observation too: decide again, without acting.
    return Outcome(decide(position, observed, now), observed, error=_sentence(observed))


def _act(claimed: Claimed, decision: Decision, gateway: Gateway) -> dict:
    if decision.action == Action.NONE:
        return {}
    return perform(claimed, decision.action, gateway)


def _sentence(observed: Observed) -> str:
    return observed.refusal or "; ".join(f"{d.manager} owns {d.object}" for d in observed.drift)


def _stalled(claimed: Claimed, error: errors.Unavailable) -> Outcome:
    """The API server does not answer: nothing moves, the deadline stands still, wishes wait."""
    position = claimed.position
    tries = claimed.rollout.memory.get("stall_tries", 0)
    name = claimed.rollout.placement.cluster.name
    waiting = Explanation(f"{name} to answer again", None, "nothing changes until then")
    decision = Decision(
        position.state,
        position.step_index,
        waiting,
        due_in_seconds=STALL_SECONDS[min(tries, len(STALL_SECONDS) - 1)],
        memory={"stall_tries": tries + 1},
    )
    return Outcome(decision, error=str(error), stalled=True)


def _again(claimed: Claimed, error: Exception, seconds: float) -> Outcome:
    position = claimed.position
    waiting = Explanation(f"a repeated try: {error}", None, "")
    decision = Decision(position.state, position.step_index, waiting, due_in_seconds=seconds)
    return Outcome(decision, error=str(error), contacted=True)
