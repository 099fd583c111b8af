"""Status conditions of Deployments and ReplicaSets: set, found, removed as upstream does."""

from typing import Any

Object = dict[str, Any]


def find(status: Object, kind: str) -> Object | None:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), None)


def remove(status: Object, kind: str) -> None:
    left = [c for c in status.get("conditions", ()) if c["type"] != kind]
    status.pop("conditions", None)
    if left:
        status["conditions"] = left


def put(status: Object, condition: Object) -> None:
    """Replace the condition of that type, unless status and reason are the same already."""
    current = find(status, condition["type"])
    same_status = current is not None and current["status"] == condition["status"]
    if current is not None and same_status:
        if current.get("reason") == condition["reason"]:
            return
        condition = {**condition, "lastTransitionTime": current["lastTransitionTime"]}
    remove(status, condition["type"])
    status["conditions"] = [*status.get("conditions", ()), condition]


def deployment_condition(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }
