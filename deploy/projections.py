"""What people see of a rollout: one dict for pages, REST and the live frames alike."""

from typing import Any

from deploy.models import Rollout
from deploy.models.rollout import State
from deploy.releases import summary

_TONE = {
    State.SUCCEEDED: "good",
    State.FAILED: "bad",
    State.ABORTED: "bad",
    State.ABORTING: "bad",
    State.PAUSED: "warn",
    State.AWAITING_APPROVAL: "warn",
    State.DRAFT: "idle",
    State.QUEUED: "idle",
}


def rollout_projection(rollout: Rollout) -> dict[str, Any]:
    """A rollout as every door shows it; times are ISO 8601, counts are pods.

    Reads the steps and the pending intents; everything else comes from the row and its relations.
    """
    placement, cluster = rollout.placement, rollout.placement.cluster
    stable = rollout.stable
    return {
        "id": str(rollout.pk),
        "service": {"id": str(placement.service_id), "name": placement.service.name},
        "cluster": {"id": str(cluster.pk), "name": cluster.name, "region": cluster.region},
        "environment": cluster.environment,
        "placement_id": str(placement.pk),
        "namespace": placement.namespace,
        "release": summary(rollout.release),
        "from_release": summary(stable.release) if stable else None,
        "kind": rollout.kind,
        "strategy": rollout.strategy,
        "state": rollout.state,
        "state_label": _label(rollout),
        "tone": tone_of(rollout),
        "step_index": rollout.step_index,
        "steps": [_step(step) for step in rollout.steps.all()],
        "explanation": _explanation(rollout),
        "reason": rollout.reason,
        "drift": rollout.drift,
        "stalled_since": _time(rollout.stalled_since),
        "progress_deadline_seconds": rollout.plan["parameters"].get("progress_deadline_seconds"),
        "workloads": _workloads(rollout),
        "template_hashes": rollout.memory.get("template_hashes", []),
        "pending_intents": [_intent(i) for i in rollout.intents.all() if i.consumed_at is None],
        "created_by": rollout.created_by.username if rollout.created_by else "pilothouse",
        "created_at": _time(rollout.created_at),
        "started_at": _time(rollout.started_at),
        "finished_at": _time(rollout.finished_at),
    }


def tone_of(rollout: Rollout) -> str:
    """How a state looks: good, bad, warn, busy or idle."""
    return "warn" if rollout.stalled_since else _TONE.get(State(rollout.state), "busy")


def topics_of(rollout: Rollout) -> list[str]:
    """Everybody who wants to know: the rollout's own page, its placement, service, cluster, team.

    The cluster's topic is open to everyone who is signed in, so it is not among them.
    """
    placement = rollout.placement
    return [
        rollout.topic,
        placement.topic,
        placement.service.topic,
        f"team:{placement.service.team_id}",
    ]


def _label(rollout: Rollout) -> str:
    label = State(rollout.state).label
    if rollout.stalled_since:
        return f"{label}, stalled"
    if rollout.drift and rollout.state == State.PAUSED:
        return f"{label}, changed by others"
    return label


def _step(step: Any) -> dict[str, Any]:
    return {
        "index": step.index,
        "title": step.title,
        "state": step.state,
        "detail": step.detail,
        "started_at": _time(step.started_at),
        "finished_at": _time(step.finished_at),
    }


def _explanation(rollout: Rollout) -> dict[str, Any]:
    """The deadline is shown to the second: it moves by rounding from tick to tick."""
    given = {"waiting_for": "", "until": None, "on_failure": "", **rollout.explanation}
    if given["until"]:
        given["until"] = given["until"][:19] + "Z"
    return given


def _workloads(rollout: Rollout) -> list[dict[str, Any]]:
    """Pods by side: `updated` ones run this rollout's release, `old` ones another.

    On the way back the cluster counts the pods of the stable release as updated.
    """
    returning = "restored" in rollout.memory
    return [_workload(seen, returning) for seen in rollout.memory.get("workloads", [])]


def _workload(seen: dict[str, Any], returning: bool) -> dict[str, Any]:
    counts = {key: seen[key] for key in ("desired", "ready", "available")}
    others = max(seen["replicas"] - seen["updated"], 0)
    new, old = (others, seen["updated"]) if returning else (seen["updated"], others)
    return {"kind": "Deployment", "name": seen["name"], **counts, "updated": new, "old": old}


def _intent(intent: Any) -> dict[str, Any]:
    actor = intent.actor.username if intent.actor else "pilothouse"
    return {"verb": intent.verb, "reason": intent.reason, "actor": actor}


def _time(value: Any) -> str | None:
    return value.isoformat() if value else None
