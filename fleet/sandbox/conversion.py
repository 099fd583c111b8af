"""Kinds that are served in a form other than the stored one.

Events are kept as core/v1 and also served as events.k8s.io/v1; HorizontalPodAutoscalers are kept
as v2 and also served as v1. Source: pkg/apis/core/v1/conversion.go, pkg/apis/autoscaling/v1.
"""

from typing import Any

from .resources import Resource

Object = dict[str, Any]
_EVENT_NAMES = {  # core/v1 -> events.k8s.io/v1
    "involvedObject": "regarding",
    "source": "deprecatedSource",
    "message": "note",
    "reportingComponent": "reportingController",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_CORE_NAMES = {new: old for old, new in _EVENT_NAMES.items()}


def to_served(obj: Object, resource: Resource) -> Object:
    """The object as `resource`'s version shows it (the same object where nothing differs)."""
    if obj["apiVersion"] == resource.api_version:
        return obj
    served = {**obj, "apiVersion": resource.api_version}
    if resource.kind == "Event":
        return _renamed(served, _EVENT_NAMES)
    if resource.kind == "HorizontalPodAutoscaler":
        return _autoscaler_v1(served)
    return served


def to_stored(obj: Object, stored: Resource) -> Object:
    """The object as the store keeps it."""
    if obj["apiVersion"] == stored.api_version:
        return obj
    kept = {**obj, "apiVersion": stored.api_version}
    if stored.kind == "Event":
        return _renamed(kept, _CORE_NAMES)
    if stored.kind == "HorizontalPodAutoscaler":
        return _autoscaler_v2(kept)
    return kept


def _renamed(obj: Object, names: dict[str, str]) -> Object:
    return {names.get(key, key): value for key, value in obj.items()}


def _autoscaler_v1(obj: Object) -> Object:
    spec = {k: v for k, v in obj["spec"].items() if k not in ("metrics", "behavior")}
    for metric in obj["spec"].get("metrics", ()):
        if metric.get("resource", {}).get("name") == "cpu":
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"].get(
                "averageUtilization"
            )
    status = obj.get("status", {})
    kept = {k: v for k, v in status.items() if k not in ("conditions", "currentMetrics")}
    kept.setdefault("currentReplicas", 0)
    return {**obj, "spec": spec, "status": kept}


def _autoscaler_v2(obj: Object) -> Object:
    spec = dict(obj["spec"])
    percentage = spec.pop("targetCPUUtilizationPercentage", None) or 80
    target = {"type": "Utilization", "averageUtilization": percentage}
    spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return {**obj, "spec": spec}
