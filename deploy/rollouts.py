"""The operator's verbs. Page, REST, admin and commands all call these.

A verb writes a row (a Rollout or an Intent) and a wake in one transaction; the engine does the
rest. Verbs never talk to a cluster.
"""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from deploy import render
from deploy.models import Intent, Release, Rollout, RolloutStep
from deploy.models.rollout import ACTIVE, TERMINAL, TRANSITIONS, Kind, State
from deploy.projections import rollout_projection, topics_of
from deploy.strategies import STRATEGIES
from fleet.models import Placement
from portal.base import access, audit, events, transitions
from portal.base.models import Role, User
from portal.base.problems import Conflict, Invalid

DEFAULT_STRATEGY = "rolling"


# --- Reading ----------------------------------------------------------------------------------


def succeeded(placement: Placement) -> QuerySet[Rollout]:
    """The placement's successful rollouts, newest first."""
    done = placement.rollouts.filter(state=State.SUCCEEDED).select_related("release")
    return done.order_by("-finished_at")


def current_release(placement: Placement) -> Release | None:
    """What runs there: the release of the last success."""
    last = succeeded(placement).first()
    return last.release if last else None


def previous_release(placement: Placement) -> Release | None:
    """The last other release that ran there."""
    done = succeeded(placement)
    current = done.first()
    before = done.exclude(release=current.release).first() if current else None
    return before.release if before else None


def active_rollout(placement: Placement) -> Rollout | None:
    return placement.rollouts.filter(state__in=ACTIVE).select_related("release").first()


# --- Starting ---------------------------------------------------------------------------------


def start(
    *,
    release: Release,
    placement: Placement,
    actor: User | None,
    reason: str = "",
    parameters: dict[str, Any] | None = None,
) -> Rollout:
    """Begins to bring a release to a placement.

    A rollout that is under way there is aborted, and this one waits until it has ended.
    `parameters`: `progress_deadline_seconds`. Raises Conflict when one waits already, Invalid when
    the release cannot be rendered there, NotAllowed without the role.
    """
    objects = render.render(
        manifests=release.manifests,
        images=release.images,
        config=release.config,
        target=render.Target(placement.namespace, str(placement.pk), placement.overrides),
    )
    plan = _plan(objects, parameters or {})
    return _create(release, placement, actor, reason, plan=plan, kind=Kind.DEPLOY)


def roll_back(
    *,
    placement: Placement,
    actor: User | None,
    to_release: Release | None = None,
    reason: str = "",
) -> Rollout:
    """Brings back an earlier release (by default the last other one) with the very objects it had.

    Raises Invalid when there is none, or when that release never ran there.
    """
    target = to_release or previous_release(placement)
    if target is None:
        raise Invalid.at("/to_release", "no_earlier_release", "No earlier release ran here")
    origin = succeeded(placement).filter(release=target).first()
    if origin is None:
        message = f"{target.version} never ran here; start it as a rollout instead"
        raise Invalid.at("/to_release", "never_ran", message)
    return _create(
        target, placement, actor, reason, plan=origin.plan, kind=Kind.ROLLBACK, origin=origin
    )


def retry(*, rollout: Rollout, actor: User | None, reason: str = "") -> Rollout:
    """Starts an ended rollout's plan again. Raises Conflict while it has not ended."""
    if rollout.state not in TERMINAL:
        raise Conflict("Only an ended rollout can be retried", code="illegal_transition")
    return _create(
        rollout.release,
        rollout.placement,
        actor,
        reason,
        plan=rollout.plan,
        kind=Kind.RETRY,
        origin=rollout,
    )


def _plan(objects: list[dict], parameters: dict[str, Any]) -> dict[str, Any]:
    given = [
        obj["spec"]["progressDeadlineSeconds"]
        for obj in render.deployments(objects)
        if "progressDeadlineSeconds" in obj["spec"]
    ]
    seconds = parameters.get(
        "progress_deadline_seconds", min(given, default=settings.PROGRESS_DEADLINE_SECONDS)
    )
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= 86_400:
        message = "The deadline is a whole number of seconds, 1 to 86,400"
        raise Invalid.at("/parameters/progress_deadline_seconds", "out_of_range", message)
    return {
        "strategy": DEFAULT_STRATEGY,
        "parameters": {"progress_deadline_seconds": seconds},
        "objects": objects,
        "steps": [list(step) for step in STRATEGIES[DEFAULT_STRATEGY].steps],
    }


def _create(
    release: Release,
    placement: Placement,
    actor: User | None,
    reason: str,
    *,
    plan: dict[str, Any],
    kind: Kind,
    origin: Rollout | None = None,
) -> Rollout:
    if actor is not None:
        access.require(actor, placement.service.team_id, Role.OPERATOR)
    if release.service_id != placement.service_id:
        raise Invalid.at("/release", "other_service", "The release belongs to another service")
    with events.transaction():
        # The placement's lock orders starts and aborts of one placement.
        Placement.objects.select_for_update(of=("self",)).get(pk=placement.pk)
        _clear_the_way(placement, release, actor)
        rollout = _insert(
            release=release,
            placement=placement,
            kind=kind,
            origin=origin,
            strategy=plan["strategy"],
            plan=plan,
            plan_sha256=render.digest(plan),
            created_by=actor,
            reason=reason,
            next_due=timezone.now(),
        )
        change = {"release": str(release), "plan_sha256": rollout.plan_sha256}
        audit.record(
            actor=actor, verb=f"rollout.{kind}", target=rollout, change=change, reason=reason
        )
        _announce(rollout, actor)
    return rollout


def _insert(**values: Any) -> Rollout:
    rollout = Rollout.objects.create(**values)
    RolloutStep.objects.bulk_create(
        RolloutStep(rollout=rollout, index=index, kind=kind, title=title)
        for index, (kind, title) in enumerate(rollout.plan["steps"])
    )
    return rollout


def _clear_the_way(placement: Placement, release: Release, actor: User | None) -> None:
    waiting = placement.rollouts.filter(state=State.QUEUED).select_related("release").first()
    if waiting:
        message = f"{waiting.release.version} waits here already; abort it first"
        raise Conflict(message, code="already_queued")
    active = active_rollout(placement)
    if active and active.state != State.ABORTING:
        _wish(active, Intent.Verb.ABORT, actor, f"superseded by {release.version}")


# --- Steering ---------------------------------------------------------------------------------


def pause(*, rollout: Rollout, actor: User | None, reason: str = "") -> Intent:
    """Stops moving pods at the next tick. Raises Conflict when the rollout cannot be paused."""
    return _ask(rollout, Intent.Verb.PAUSE, actor, reason)


def resume(*, rollout: Rollout, actor: User | None, reason: str = "") -> Intent:
    """Goes on; after a foreign change the plan's fields are taken back first."""
    return _ask(rollout, Intent.Verb.RESUME, actor, reason)


def abort(*, rollout: Rollout, actor: User | None, reason: str = "") -> Intent:
    """Returns to the stable release. One that waits in the queue is dropped at once."""
    return _ask(rollout, Intent.Verb.ABORT, actor, reason)


_POSSIBLE_IN = {
    Intent.Verb.PAUSE: frozenset({State.PREPARING, State.PROGRESSING}),
    Intent.Verb.RESUME: frozenset({State.PAUSED}),
    Intent.Verb.ABORT: frozenset({State.QUEUED, *ACTIVE} - {State.ABORTING}),
}


def _ask(rollout: Rollout, verb: Intent.Verb, actor: User | None, reason: str) -> Intent:
    if actor is not None:
        access.require(actor, rollout.placement.service.team_id, Role.OPERATOR)
    with events.transaction():
        # FOR NO KEY UPDATE: the engine's commit and this wish see each other.
        fresh = Rollout.objects.select_for_update(of=("self",), no_key=True).get(pk=rollout.pk)
        if why := _why_not(fresh, verb):
            raise Conflict(why, code="illegal_transition")
        intent = _wish(fresh, verb, actor, reason)
        if fresh.state == State.QUEUED:
            _drop(fresh, intent, actor, reason)
        _announce(fresh, actor)
    return intent


def _wish(rollout: Rollout, verb: Intent.Verb, actor: User | None, reason: str) -> Intent:
    intent = Intent.objects.create(rollout=rollout, verb=verb, actor=actor, reason=reason)
    audit.record(actor=actor, verb=f"rollout.{verb}_asked", target=rollout, reason=reason)
    events.wake(rollout.placement_id)
    return intent


def _drop(rollout: Rollout, intent: Intent, actor: User | None, reason: str) -> None:
    now = timezone.now()
    who = audit.actor_name(actor)
    transitions.transition(
        rollout,
        to=State.ABORTED,
        allowed=TRANSITIONS,
        finished_at=now,
        next_due=None,
        reason=f"Aborted by {who}" + (f": {reason}" if reason else ""),
        explanation={"waiting_for": "nothing: the cluster was not changed"},
    )
    rollout.steps.update(state=RolloutStep.State.SKIPPED)
    Intent.objects.filter(pk=intent.pk).update(consumed_at=now, outcome="dropped from the queue")


def _why_not(rollout: Rollout, verb: Intent.Verb) -> str:
    """Why a wish cannot be taken now, "" when it can."""
    state = State(rollout.state)
    if state not in _POSSIBLE_IN[verb]:
        return f"A rollout that is {state.label.lower()} cannot be asked to {verb}"
    if rollout.intents.filter(verb=verb, consumed_at=None).exists():
        return f"It has been asked to {verb} already"
    return ""


def _announce(rollout: Rollout, actor: User | None) -> None:
    events.wake(rollout.placement_id)
    events.emit(
        topics=topics_of(rollout),
        kind="rollout.changed",
        object_id=rollout.pk,
        payload=rollout_projection(rollout),
        actor=actor,
    )


# --- What can be done -------------------------------------------------------------------------


def available_actions(rollout: Rollout) -> list[dict[str, Any]]:
    """The buttons of a rollout: `[{verb, label, effect, enabled, why_not}]`, effects by name."""
    stable = rollout.stable or succeeded(rollout.placement).exclude(pk=rollout.pk).first()
    back = stable.release.version if stable else None
    to_stable = f"Abort, return to {back}" if back else "Abort, stop here"
    drifted = bool(rollout.drift)
    wishes = [
        (Intent.Verb.PAUSE, "Pause", "Pods stay as they are until somebody resumes"),
        (
            Intent.Verb.RESUME,
            "Overwrite and resume" if drifted else "Resume",
            "Takes the changed fields back and goes on" if drifted else "Goes on to all pods",
        ),
        (
            Intent.Verb.ABORT,
            to_stable if rollout.is_active else "Drop from the queue",
            f"All pods run {back} again" if back else "Objects stay to be looked at",
        ),
    ]
    if rollout.is_terminal:
        return [_retry_action(rollout)]
    actions = [
        {"verb": str(verb), "label": label, "effect": effect, "why_not": _why_not(rollout, verb)}
        for verb, label, effect in wishes
    ]
    return [{**action, "enabled": not action["why_not"]} for action in actions]


def _retry_action(rollout: Rollout) -> dict[str, Any]:
    version = rollout.release.version
    return {
        "verb": "retry",
        "label": f"Roll out {version} again",
        "effect": f"Starts a new rollout of {version} with the same objects",
        "enabled": True,
        "why_not": "",
    }
