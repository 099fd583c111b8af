"""What the portal keeps of each observed object: a small JSON-ready dict instead of 11 kB.

Anything that ticks without meaning (heartbeats, fences, managedFields) is left out, so that an
unchanged projection means that nothing worth telling happened. Shapes are in the docstrings;
times are RFC 3339 text as the API server wrote them, absent text is "". Raise `VERSION` with any
change of shape: cursors stored under another version must not be resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.kube.quantities import amounts, total

VERSION = 1

Object = dict[str, Any]

PLACEMENT_LABEL = "pilothouse.io/placement"
ROLLOUT_ANNOTATION = "pilothouse.io/rollout"
TEMPLATE_HASH_LABEL = "pod-template-hash"
REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
_ZONE, _REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_NODE_LABEL_PREFIXES = (
    "topology.kubernetes.io/", "node.kubernetes.io/", "node-role.kubernetes.io/",
    "kubernetes.io/arch", "nvidia.com/gpu.product", "pilothouse.io/", "cloud.google.com/gke-node",
    "eks.amazonaws.com/nodegroup", "agentpool",
)  # fmt: skip


def pod(obj: Object) -> Object:
    """`{phase, ready, restarts, node, reason, message, images, requests: {cpu_cores, memory_bytes,
    gpus}, owner: {kind, name, uid}, template_hash, placement, created, ready_since, deleting}`.

    `reason` is what kubectl shows when it is not the phase: CrashLoopBackOff, ImagePullBackOff,
    Unschedulable, Evicted, Init:…, Terminating.
    """
    meta, spec, status = _meta(obj), _part(obj, "spec"), _part(obj, "status")
    labels = meta.get("labels") or {}
    ready = _condition(status, "Ready")
    statuses = status.get("containerStatuses") or []
    reason, message = _pod_reason(meta, status)
    return {
        "phase": status.get("phase", ""),
        "ready": ready.get("status") == "True",
        "restarts": sum(int(c.get("restartCount") or 0) for c in statuses),
        "node": spec.get("nodeName", ""),
        "reason": reason,
        "message": message[:500],
        "images": [c.get("image", "") for c in spec.get("containers") or []],
        "requests": _pod_requests(spec),
        "owner": _owner(meta),
        "template_hash": labels.get(TEMPLATE_HASH_LABEL, ""),
        "placement": labels.get(PLACEMENT_LABEL, ""),
        "created": meta.get("creationTimestamp") or "",
        "ready_since": _since(ready),
        "deleting": meta.get("deletionTimestamp") or "",
    }


def node(obj: Object) -> Object:
    """`{ready, reason, message, pressures: [type], unschedulable, allocatable and capacity:
    {cpu_cores, memory_bytes, gpus}, labels, taints: [{key, value, effect}], instance_type, zone,
    region, kubelet, created}`; `labels` holds the ones that say what the node is for."""
    meta, spec, status = _meta(obj), _part(obj, "spec"), _part(obj, "status")
    labels, ready = meta.get("labels") or {}, _condition(status, "Ready")
    conditions = status.get("conditions") or []
    return {
        "ready": ready.get("status") == "True",
        "reason": "" if ready.get("status") == "True" else ready.get("reason", ""),
        "message": "" if ready.get("status") == "True" else ready.get("message", "")[:500],
        "pressures": [
            c["type"] for c in conditions if c.get("type") != "Ready" and c.get("status") == "True"
        ],
        "unschedulable": bool(spec.get("unschedulable")),
        "allocatable": amounts(status.get("allocatable")),
        "capacity": amounts(status.get("capacity")),
        "labels": {k: v for k, v in labels.items() if k.startswith(_NODE_LABEL_PREFIXES)},
        "taints": [_subset(t, "key", "value", "effect") for t in spec.get("taints") or []],
        "instance_type": labels.get(_INSTANCE_TYPE, ""),
        "zone": labels.get(_ZONE, ""),
        "region": labels.get(_REGION, ""),
        "kubelet": _part(status, "nodeInfo").get("kubeletVersion", ""),
        "created": meta.get("creationTimestamp") or "",
    }


def deployment(obj: Object) -> Object:
    """`{generation, observed_generation, desired, replicas, updated, ready, available,
    unavailable, paused, conditions, images, requests (of one pod), revision, placement, rollout,
    progress_deadline_seconds, created, deleting}`; conditions: `[{type, status, reason, message,
    since}]`."""
    meta, spec, status = _meta(obj), _part(obj, "spec"), _part(obj, "status")
    return {
        **_template_facts(meta, spec),
        "generation": int(meta.get("generation") or 0),
        "observed_generation": int(status.get("observedGeneration") or 0),
        "desired": _desired(spec),
        "replicas": int(status.get("replicas") or 0),
        "updated": int(status.get("updatedReplicas") or 0),
        "ready": int(status.get("readyReplicas") or 0),
        "available": int(status.get("availableReplicas") or 0),
        "unavailable": int(status.get("unavailableReplicas") or 0),
        "paused": bool(spec.get("paused")),
        "conditions": _conditions(status),
        "progress_deadline_seconds": int(spec.get("progressDeadlineSeconds") or 600),
    }


def replica_set(obj: Object) -> Object:
    """`{generation, observed_generation, desired, replicas, ready, available, template_hash,
    owner, images, requests (of one pod), revision, placement, rollout, created, deleting}`."""
    meta, spec, status = _meta(obj), _part(obj, "spec"), _part(obj, "status")
    return {
        **_template_facts(meta, spec),
        "generation": int(meta.get("generation") or 0),
        "observed_generation": int(status.get("observedGeneration") or 0),
        "desired": _desired(spec),
        "replicas": int(status.get("replicas") or 0),
        "ready": int(status.get("readyReplicas") or 0),
        "available": int(status.get("availableReplicas") or 0),
        "template_hash": (meta.get("labels") or {}).get(TEMPLATE_HASH_LABEL, ""),
        "owner": _owner(meta),
    }


def autoscaler(obj: Object) -> Object:
    """`{target: {kind, name}, min, max, current, desired, metrics: [{name, current, target}],
    conditions, last_scaled, created}`; metric values are quantities or percentages as text."""
    meta, spec, status = _meta(obj), _part(obj, "spec"), _part(obj, "status")
    now = {_metric_name(m): _metric_value(m, "current") for m in status.get("currentMetrics") or []}
    return {
        "target": _subset(_part(spec, "scaleTargetRef"), "kind", "name"),
        "min": int(spec.get("minReplicas") or 1),
        "max": int(spec.get("maxReplicas") or 0),
        "current": int(status.get("currentReplicas") or 0),
        "desired": int(status.get("desiredReplicas") or 0),
        "metrics": [
            {
                "name": _metric_name(m),
                "current": now.get(_metric_name(m), ""),
                "target": _metric_value(m, "target"),
            }
            for m in spec.get("metrics") or []
        ],
        "conditions": _conditions(status),
        "last_scaled": status.get("lastScaleTime") or "",
        "created": meta.get("creationTimestamp") or "",
    }


def event(obj: Object) -> Object:
    """`{type, reason, message, count, first, last, source, regarding: {kind, namespace, name,
    uid}}`, from `v1` and `events.k8s.io/v1` alike."""
    series = _part(obj, "series")
    first = obj.get("firstTimestamp") or obj.get("eventTime") or _meta(obj).get("creationTimestamp")
    about = _part(obj, "involvedObject") or _part(obj, "regarding")
    source = _part(obj, "source").get("component")
    return {
        "type": obj.get("type", ""),
        "reason": obj.get("reason", ""),
        "message": str(obj.get("message") or obj.get("note") or "")[:1000],
        "count": int(series.get("count") or obj.get("count") or 1),
        "first": first or "",
        "last": series.get("lastObservedTime") or obj.get("lastTimestamp") or first or "",
        "source": source or obj.get("reportingComponent") or obj.get("reportingController") or "",
        "regarding": _subset(about, "kind", "namespace", "name", "uid"),
    }


@dataclass(frozen=True)
class Watched:
    """One kind that `watch_clusters` follows, and what it keeps of it."""

    api_version: str
    kind: str
    project: Callable[[Object], Object]
    label_selector: str = ""
    field_selector: str = ""


# Never Secrets.
WATCHED = (
    Watched("v1", "Pod", pod, label_selector=PLACEMENT_LABEL),
    Watched("v1", "Node", node),
    Watched("apps/v1", "Deployment", deployment),
    Watched("apps/v1", "ReplicaSet", replica_set),
    Watched("autoscaling/v2", "HorizontalPodAutoscaler", autoscaler),
    Watched("v1", "Event", event, field_selector="type=Warning"),
)


def _meta(obj: Object) -> Object:
    return obj.get("metadata") or {}


def _part(obj: Object, key: str) -> Object:
    return obj.get(key) or {}


def _subset(obj: Object, *keys: str) -> Object:
    return {key: obj.get(key) or "" for key in keys}


def _desired(spec: Object) -> int:
    replicas = spec.get("replicas")
    return 1 if replicas is None else int(replicas)


def _owner(meta: Object) -> Object:
    """The controller that owns the object, or empty text."""
    owners = meta.get("ownerReferences") or []
    controller = next((o for o in owners if o.get("controller")), {})
    return _subset(controller, "kind", "name", "uid")


def _template_facts(meta: Object, spec: Object) -> Object:
    annotations = meta.get("annotations") or {}
    template = _part(spec, "template")
    labels = _meta(template).get("labels") or {}
    inside = _part(template, "spec")
    return {
        "images": [c.get("image", "") for c in inside.get("containers") or []],
        "requests": _pod_requests(inside),
        "revision": annotations.get(REVISION_ANNOTATION, ""),
        "placement": labels.get(PLACEMENT_LABEL, ""),
        "rollout": annotations.get(ROLLOUT_ANNOTATION, ""),
        "created": meta.get("creationTimestamp") or "",
        "deleting": meta.get("deletionTimestamp") or "",
    }


def _pod_requests(spec: Object) -> Object:
    """What the scheduler reserves. An extended resource's request is its limit."""
    wanted = []
    for container in spec.get("containers") or []:
        resources = _part(container, "resources")
        wanted.append(amounts(_part(resources, "limits") | _part(resources, "requests")))
    return total(wanted)


def _condition(status: Object, kind: str) -> Object:
    return next((c for c in status.get("conditions") or [] if c.get("type") == kind), {})


def _conditions(status: Object) -> list[Object]:
    return [
        _subset(c, "type", "status", "reason")
        | {"message": (c.get("message") or "")[:500], "since": c.get("lastTransitionTime") or ""}
        for c in status.get("conditions") or []
    ]


def _since(condition: Object) -> str:
    is_true = condition.get("status") == "True"
    return (condition.get("lastTransitionTime") or "") if is_true else ""


def _pod_reason(meta: Object, status: Object) -> tuple[str, str]:
    if meta.get("deletionTimestamp"):
        return "Terminating", ""
    if status.get("reason"):  # Evicted, NodeLost, Shutdown
        return status["reason"], status.get("message", "")
    for container in status.get("initContainerStatuses") or []:
        reason, message = _container_reason(container)
        if reason and reason != "Completed":
            return f"Init:{reason}", message
    for container in status.get("containerStatuses") or []:
        reason, message = _container_reason(container)
        if reason:
            return reason, message
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return scheduled.get("reason", ""), scheduled.get("message", "")
    return "", ""


def _container_reason(container: Object) -> tuple[str, str]:
    state = _part(container, "state")
    if waiting := state.get("waiting"):
        message = waiting.get("message") or _last_end(container)
        return waiting.get("reason", ""), message
    if ended := state.get("terminated"):
        return ended.get("reason") or f"ExitCode:{ended.get('exitCode')}", ended.get("message", "")
    return "", ""


def _last_end(container: Object) -> str:
    ended = _part(container, "lastState").get("terminated")
    if not ended:
        return ""
    return f"last exit: {ended.get('reason') or 'exit'} (code {ended.get('exitCode')})"


def _metric_name(metric: Object) -> str:
    kind = metric.get("type") or ""
    part = _part(metric, kind[:1].lower() + kind[1:])
    return part.get("name") or _part(part, "metric").get("name") or kind


def _metric_value(metric: Object, which: str) -> str:
    kind = metric.get("type") or ""
    value = _part(_part(metric, kind[:1].lower() + kind[1:]), which)
    if value.get("averageUtilization") is not None:
        return f"{value['averageUtilization']}%"
    return str(value.get("averageValue") or value.get("value") or "")
