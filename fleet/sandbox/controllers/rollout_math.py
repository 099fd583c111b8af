"""The arithmetic of rolling updates, without any side effect.

Source: pkg/controller/deployment/util/deployment_util.go and
k8s.io/apimachinery/pkg/util/intstr.
"""

import math
from typing import Any

Object = dict[str, Any]
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"


def scaled_value(value: int | str, total: int, *, round_up: bool) -> int:
    """An integer, or a percentage of `total`; raises ValueError for other strings."""
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    share = int(value[:-1]) * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def resolve_fenceposts(
    max_surge: int | str, max_unavailable: int | str, desired: int
) -> tuple[int, int]:
    """(surge, unavailable) in pods; surge rounds up, unavailable down, never both zero."""
    surge = scaled_value(max_surge, desired, round_up=True)
    unavailable = scaled_value(max_unavailable, desired, round_up=False)
    if surge == 0 and unavailable == 0:
        # Validation refuses 0/0, but percentages may still round to it: make progress.
        unavailable = 1
    return surge, unavailable


def is_rolling(deployment: Object) -> bool:
    return deployment["spec"]["strategy"]["type"] == "RollingUpdate"


def _fenceposts(deployment: Object) -> tuple[int, int]:
    rolling = deployment["spec"]["strategy"].get("rollingUpdate", {})
    return resolve_fenceposts(
        rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 0), replicas_of(deployment)
    )


def replicas_of(obj: Object) -> int:
    return obj["spec"].get("replicas", 0)


def status_of(obj: Object, field: str) -> int:
    return obj.get("status", {}).get(field, 0)


def max_unavailable(deployment: Object) -> int:
    if not is_rolling(deployment) or replicas_of(deployment) == 0:
        return 0
    return min(_fenceposts(deployment)[1], replicas_of(deployment))


def max_surge(deployment: Object) -> int:
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def total_replicas(replica_sets: list[Object]) -> int:
    return sum(replicas_of(rs) for rs in replica_sets)


def total_status(replica_sets: list[Object], field: str) -> int:
    return sum(status_of(rs, field) for rs in replica_sets)


def new_replica_count(deployment: Object, all_sets: list[Object], new_set: Object) -> int:
    """How many replicas the new ReplicaSet may have right now (NewRSNewReplicas)."""
    desired, current = replicas_of(deployment), replicas_of(new_set)
    if not is_rolling(deployment):
        return desired
    surge = deployment["spec"]["strategy"]["rollingUpdate"].get("maxSurge", 0)
    limit = desired + scaled_value(surge, desired, round_up=True)
    pods = total_replicas(all_sets)
    if pods >= limit:
        return current
    return current + min(limit - pods, desired - current)


def proportion(replica_set: Object, deployment: Object, to_add: int, added: int) -> int:
    """This ReplicaSet's share of `to_add` replicas, `added` of them given away already."""
    if replicas_of(replica_set) == 0 or to_add == 0 or to_add == added:
        return 0
    fraction, allowed = _fraction(replica_set, deployment), to_add - added
    return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)


def _fraction(replica_set: Object, deployment: Object) -> int:
    current = replicas_of(replica_set)
    if replicas_of(deployment) == 0:
        return -current
    annotation = replica_set["metadata"].get("annotations", {}).get(MAX_REPLICAS, "")
    before = int(annotation) if annotation.isdigit() else 0
    before = before or status_of(deployment, "replicas")
    if before == 0:
        return 0
    size = current * (replicas_of(deployment) + max_surge(deployment)) / before
    return math.floor(size + 0.5) - current


def proportional_sizes(deployment: Object, active_sets: list[Object]) -> dict[str, int]:
    """New sizes by name when a Deployment is scaled in the middle of a rollout."""
    desired = replicas_of(deployment)
    allowed = desired + max_surge(deployment) if desired else 0
    to_add = allowed - total_replicas(active_sets)
    newest_first = to_add > 0
    ordered = sorted(active_sets, key=_created, reverse=newest_first)
    ordered.sort(key=replicas_of, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for replica_set in ordered:
        share = proportion(replica_set, deployment, to_add, added)
        sizes[replica_set["metadata"]["name"]] = replicas_of(replica_set) + share
        added += share
    if ordered and to_add:
        largest = ordered[0]["metadata"]["name"]
        sizes[largest] = max(sizes[largest] + to_add - added, 0)
    return sizes


def _created(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]


def by_creation(replica_sets: list[Object]) -> list[Object]:
    return sorted(replica_sets, key=_created)


def active(replica_sets: list[Object]) -> list[Object]:
    return [rs for rs in replica_sets if replicas_of(rs) > 0]


def is_complete(deployment: Object, status: Object) -> bool:
    desired = replicas_of(deployment)
    counts = [status.get(f, 0) for f in ("updatedReplicas", "replicas", "availableReplicas")]
    return counts == [desired] * 3 and (
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    )


def has_progressed(old: Object, new: Object) -> bool:
    """Whether a status shows more updated, ready or available pods, or fewer old ones."""

    def outdated(status: Object) -> int:
        return status.get("replicas", 0) - status.get("updatedReplicas", 0)

    grew = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return outdated(new) < outdated(old) or any(new.get(f, 0) > old.get(f, 0) for f in grew)


def is_saturated(deployment: Object, replica_set: Object | None) -> bool:
    if replica_set is None:
        return False
    annotation = replica_set["metadata"].get("annotations", {}).get(DESIRED_REPLICAS, "")
    desired = replicas_of(deployment)
    return (
        annotation == str(desired)
        and replicas_of(replica_set) == desired
        and status_of(replica_set, "availableReplicas") == desired
    )
