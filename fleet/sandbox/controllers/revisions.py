"""Revisions of a Deployment: which ReplicaSet is the new one, and what is written on it.

Source: pkg/controller/deployment/util/deployment_util.go, pkg/controller/deployment/sync.go.
"""

import hashlib
from typing import Any

from ..store import dumps
from . import rollout_math

Object = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HASH_LABEL = "pod-template-hash"
HISTORY_CHARACTERS = 2000
SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    rollout_math.DESIRED_REPLICAS,
    rollout_math.MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
}


def template_hash(template: Object, collisions: int) -> str:
    """A short name for a pod template. (Upstream hashes Go's memory layout; the value differs.)"""
    digest = hashlib.sha256(dumps(template) + str(collisions).encode()).digest()
    return "".join(SAFE_LETTERS[byte % len(SAFE_LETTERS)] for byte in digest[:10])


def _without_hash(template: Object) -> Object:
    meta = dict(template.get("metadata", {}))
    labels = {k: v for k, v in meta.pop("labels", {}).items() if k != HASH_LABEL}
    return {**template, "metadata": {**meta, "labels": labels}}


def find_new(deployment: Object, sets: list[Object]) -> Object | None:
    """The oldest ReplicaSet with the Deployment's own template."""
    wanted = _without_hash(deployment["spec"]["template"])
    for replica_set in rollout_math.by_creation(sets):
        if _without_hash(replica_set["spec"]["template"]) == wanted:
            return replica_set
    return None


def number(replica_set: Object) -> int:
    text = replica_set["metadata"].get("annotations", {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def newest(sets: list[Object]) -> int:
    return max((number(rs) for rs in sets), default=0)


def replica_annotations(deployment: Object) -> dict[str, str]:
    desired = rollout_math.replicas_of(deployment)
    return {
        rollout_math.DESIRED_REPLICAS: str(desired),
        rollout_math.MAX_REPLICAS: str(desired + rollout_math.max_surge(deployment)),
    }


def annotations_for(deployment: Object, replica_set: Object, revision: int) -> dict[str, str]:
    """A ReplicaSet's annotations once it carries `revision` (SetNewReplicaSetAnnotations)."""
    inherited = deployment["metadata"].get("annotations", {})
    annotations = dict(replica_set["metadata"].get("annotations", {}))
    annotations |= {k: v for k, v in inherited.items() if k not in _NOT_COPIED}
    old = annotations.get(REVISION)
    if int(old or 0) >= revision:
        return annotations
    annotations[REVISION] = str(revision)
    if old:
        history = [*filter(None, annotations.get(HISTORY, "").split(",")), old]
        while len(",".join(history)) > HISTORY_CHARACTERS:
            history.pop(0)
        annotations[HISTORY] = ",".join(history)
    return annotations


def with_revision(deployment: Object, revision: str) -> Object:
    annotations = deployment["metadata"].get("annotations", {})
    if annotations.get(REVISION) == revision:
        return deployment
    meta = {**deployment["metadata"], "annotations": {**annotations, REVISION: revision}}
    return {**deployment, "metadata": meta}


def new_replica_set(deployment: Object, revision: int) -> Object:
    """The ReplicaSet for the Deployment's template, without its owner and its size."""
    meta, spec = deployment["metadata"], deployment["spec"]
    template = spec["template"]
    short = template_hash(template, deployment.get("status", {}).get("collisionCount", 0))
    labels = {**template.get("metadata", {}).get("labels", {}), HASH_LABEL: short}
    selector = dict(spec["selector"])
    selector["matchLabels"] = {**selector.get("matchLabels", {}), HASH_LABEL: short}
    replica_set: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name'][: 253 - len(short) - 1]}-{short}",
            "namespace": meta["namespace"],
            "labels": labels,
        },
        "spec": {
            "replicas": 0,
            "selector": selector,
            "template": {
                **template,
                "metadata": {**template.get("metadata", {}), "labels": labels},
            },
        },
    }
    if spec.get("minReadySeconds"):
        replica_set["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    annotations = annotations_for(deployment, replica_set, revision)
    replica_set["metadata"]["annotations"] = annotations
    return replica_set
