"""A Deployment's status: counts, conditions, and whether its rollout still makes progress.

Source: pkg/controller/deployment/progress.go and sync.go (`calculateStatus`).
"""

from typing import Any

from ..clock import Clock
from . import conditions, rollout_math

Object = dict[str, Any]
NO_DEADLINE_SECONDS = 2**31 - 1  # upstream's "wait for ever"
TIMED_OUT = "ProgressDeadlineExceeded"
AVAILABLE = "NewReplicaSetAvailable"


def has_deadline(deployment: Object) -> bool:
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return deadline is not None and deadline != NO_DEADLINE_SECONDS


def progressing(obj: Object) -> Object | None:
    return conditions.find(obj.get("status", {}), "Progressing")


def with_progress(deployment: Object, value: str, reason: str, message: str, now: str) -> Object:
    """The Deployment with another Progressing condition."""
    status = dict(deployment.get("status", {}))
    condition = conditions.deployment_condition("Progressing", value, reason, message, now)
    conditions.put(status, condition)
    return {**deployment, "status": status}


def with_pause(deployment: Object, now: str) -> Object:
    """Note that a Deployment was paused or resumed (checkPausedConditions)."""
    current = progressing(deployment)
    reason = current["reason"] if current else ""
    if not has_deadline(deployment) or reason == TIMED_OUT:
        return deployment
    paused = bool(deployment["spec"].get("paused"))
    if paused == (reason == "DeploymentPaused"):
        return deployment
    what = "paused" if paused else "resumed"
    return with_progress(
        deployment, "Unknown", f"Deployment{what.capitalize()}", f"Deployment is {what}", now
    )


def calculate(deployment: Object, all_sets: list[Object], new: Object | None, now: str) -> Object:
    """Counts and the Available condition; zero counts are left out, as Go does."""
    total = rollout_math.total_status
    available = total(all_sets, "availableReplicas")
    old = deployment.get("status", {})
    counts = {
        "replicas": total(all_sets, "replicas"),
        "updatedReplicas": total([new] if new else [], "replicas"),
        "readyReplicas": total(all_sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(rollout_math.total_replicas(all_sets) - available, 0),
    }
    status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
    status |= {name: count for name, count in counts.items() if count}
    status["terminatingReplicas"] = total(all_sets, "terminatingReplicas")
    for kept in ("collisionCount", "conditions"):
        if kept in old:
            status[kept] = old[kept]
    conditions.put(status, _availability(deployment, available, now))
    return status


def _availability(deployment: Object, available: int, now: str) -> Object:
    least = rollout_math.replicas_of(deployment) - rollout_math.max_unavailable(deployment)
    if available >= least:
        verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        verdict = (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    return conditions.deployment_condition("Available", *verdict, now)


def progress(
    deployment: Object, all_sets: list[Object], new: Object | None, clock: Clock
) -> Object:
    """The status during a rollout, Progressing and ReplicaFailure included."""
    now = clock.stamp()
    status = calculate(deployment, all_sets, new, now)
    current = progressing(deployment)
    if not has_deadline(deployment):
        conditions.remove(status, "Progressing")
    elif not _is_settled(status, current):
        _note_progress(deployment, status, new, current, clock)
    failure = _replica_failure(all_sets, new)
    if failure:
        conditions.put(status, failure)
    else:
        conditions.remove(status, "ReplicaFailure")
    return status


def _is_settled(status: Object, current: Object | None) -> bool:
    counts_agree = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return counts_agree and current is not None and current["reason"] == AVAILABLE


def _note_progress(
    deployment: Object, status: Object, new: Object | None, current: Object | None, clock: Clock
) -> None:
    now = clock.stamp()
    what = (
        f'ReplicaSet "{new["metadata"]["name"]}"'
        if new
        else f'Deployment "{deployment["metadata"]["name"]}"'
    )

    def condition(value: str, reason: str, message: str) -> Object:
        text = f"{what} {message}"
        return conditions.deployment_condition("Progressing", value, reason, text, now)

    if rollout_math.is_complete(deployment, status):
        conditions.put(status, condition("True", AVAILABLE, "has successfully progressed."))
    elif rollout_math.has_progressed(deployment.get("status", {}), status):
        fresh = condition("True", "ReplicaSetUpdated", "is progressing.")
        if current and current["status"] == "True":
            fresh["lastTransitionTime"] = current["lastTransitionTime"]
        conditions.remove(status, "Progressing")
        conditions.put(status, fresh)
    elif has_timed_out(deployment, status, clock):
        conditions.put(status, condition("False", TIMED_OUT, "has timed out progressing."))


def has_timed_out(deployment: Object, status: Object, clock: Clock) -> bool:
    current = conditions.find(status, "Progressing")
    if current is None or current["reason"] == AVAILABLE:
        return False
    if current["reason"] == TIMED_OUT:
        return True
    deadline = deployment["spec"]["progressDeadlineSeconds"]
    return clock.seconds_until(current["lastUpdateTime"]) + deadline < 0


def seconds_to_deadline(deployment: Object, status: Object, clock: Clock) -> float | None:
    """When to look again at a rollout that does not move; None when there is no need to."""
    current = progressing(deployment)
    if not has_deadline(deployment) or current is None:
        return None
    if rollout_math.is_complete(deployment, status) or current["reason"] == TIMED_OUT:
        return None
    deadline = deployment["spec"]["progressDeadlineSeconds"]
    left = clock.seconds_until(current["lastUpdateTime"]) + deadline
    return left + 1 if left >= 1 else 0.5


def _replica_failure(all_sets: list[Object], new: Object | None) -> Object | None:
    for replica_set in [*([new] if new else []), *all_sets]:
        failure = conditions.find(replica_set.get("status", {}), "ReplicaFailure")
        if failure:
            return {**failure, "lastUpdateTime": failure["lastTransitionTime"]}
    return None
