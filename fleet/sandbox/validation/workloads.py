"""Deployments, ReplicaSets and their kin. Source: pkg/apis/apps/validation/validation.go."""

import re
from collections.abc import Iterator
from typing import Any

from ..errors import FieldError, forbidden_field, invalid_value, not_supported, required
from ..selectors import label_selector
from . import pods
from .metadata import annotations, labels

Object = dict[str, Any]
_PERCENT = re.compile(r"^[0-9]+%$")
PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)
_UPDATED, _LABELLED = "updatedReplicas", "fullyLabeledReplicas"
_PARTS = (_UPDATED, _LABELLED, "readyReplicas", "availableReplicas")
NOT_NEGATIVE = "must be greater than or equal to 0"


def deployment(obj: Object) -> Iterator[FieldError]:
    spec = obj["spec"]
    yield from _not_negative(spec, "replicas")
    yield from _selector_and_template(spec)
    yield from _strategy(spec.get("strategy", {}))
    yield from _not_negative(spec, "minReadySeconds", "revisionHistoryLimit")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        yield from _not_negative(spec, "progressDeadlineSeconds")
        if deadline <= spec.get("minReadySeconds", 0):
            yield invalid_value(
                "spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"
            )


def replica_set(obj: Object) -> Iterator[FieldError]:
    yield from _not_negative(obj["spec"], "replicas", "minReadySeconds")
    yield from _selector_and_template(obj["spec"])


def stateful_set(obj: Object) -> Iterator[FieldError]:
    yield from replica_set(obj)


def _not_negative(spec: Object, *names: str) -> Iterator[FieldError]:
    for name in names:
        value = spec.get(name) or 0
        if value < 0:
            yield invalid_value(f"spec.{name}", value, NOT_NEGATIVE)


def _selector_and_template(spec: Object) -> Iterator[FieldError]:
    selector, template = spec.get("selector"), spec.get("template") or {}
    template_labels = template.get("metadata", {}).get("labels", {})
    if selector is None:
        yield required("spec.selector")
        yield _mismatch(template_labels)
    else:
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            yield invalid_value(
                "spec.selector", selector, "empty selector is invalid for deployment"
            )
        elif not label_selector(selector)(template_labels):
            yield _mismatch(template_labels)
        yield from labels(selector.get("matchLabels", {}), "spec.selector.matchLabels")
    yield from labels(template_labels, "spec.template.labels")
    yield from annotations(
        template.get("metadata", {}).get("annotations", {}), "spec.template.annotations"
    )
    pod_spec = template.get("spec") or {}
    yield from pods.pod_spec(pod_spec, "spec.template.spec")
    policy = pod_spec.get("restartPolicy")
    if policy in ("OnFailure", "Never"):
        yield not_supported("spec.template.spec.restartPolicy", policy, ["Always"])


def _mismatch(template_labels: dict[str, str]) -> FieldError:
    return invalid_value(
        "spec.template.metadata.labels",
        template_labels,
        "`selector` does not match template `labels`",
    )


def _strategy(strategy: Object) -> Iterator[FieldError]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            yield forbidden_field("spec.strategy.rollingUpdate", detail)
    elif kind == "RollingUpdate":
        yield from _rolling(rolling or {})
    else:
        shown = {"Type": kind, "RollingUpdate": rolling}
        yield not_supported("spec.strategy", shown, ["Recreate", "RollingUpdate"])


def _rolling(rolling: Object) -> Iterator[FieldError]:
    path = "spec.strategy.rollingUpdate"
    for name in ("maxUnavailable", "maxSurge"):
        yield from _int_or_percent(rolling.get(name, 0), f"{path}.{name}")
    if _is_zero(rolling.get("maxUnavailable", 0)) and _is_zero(rolling.get("maxSurge", 0)):
        yield invalid_value(
            f"{path}.maxUnavailable",
            rolling.get("maxUnavailable", 0),
            "may not be 0 when `maxSurge` is 0",
        )
    unavailable = rolling.get("maxUnavailable")
    if isinstance(unavailable, str) and _PERCENT.match(unavailable) and int(unavailable[:-1]) > 100:
        yield invalid_value(f"{path}.maxUnavailable", unavailable, "must not be greater than 100%")


def _int_or_percent(value: int | str, path: str) -> Iterator[FieldError]:
    if isinstance(value, str) and not _PERCENT.match(value):
        yield invalid_value(path, value, PERCENT_TEXT)
    elif isinstance(value, int) and value < 0:
        yield invalid_value(path, value, NOT_NEGATIVE)


def _is_zero(value: int | str) -> bool:
    """Zero as upstream reads it: nonsense counts as nothing."""
    return (
        not value
        if isinstance(value, int)
        else not int(value.rstrip("%") or 0)
        if (_PERCENT.match(value))
        else True
    )


def status_counts(obj: Object) -> Iterator[FieldError]:
    """Counts of a status that contradict each other."""
    kind, status = obj["kind"], obj.get("status", {})
    total, ready = status.get("replicas", 0), status.get("readyReplicas", 0)
    for name in ("observedGeneration", "replicas", *_PARTS, "unavailableReplicas"):
        if status.get(name, 0) < 0:
            yield invalid_value(f"status.{name}", status[name], NOT_NEGATIVE)
    for name in (_LABELLED if kind == "ReplicaSet" else _UPDATED, *_PARTS[2:]):
        if status.get(name, 0) > total:
            yield invalid_value(
                f"status.{name}", status.get(name, 0), "cannot be greater than status.replicas"
            )
    if status.get("availableReplicas", 0) > ready:
        yield invalid_value(
            "status.availableReplicas",
            status["availableReplicas"],
            "cannot be greater than readyReplicas",
        )


def selector_is_immutable(new: Object, old: Object) -> Iterator[FieldError]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        yield invalid_value("spec.selector", new["spec"].get("selector"), "field is immutable")


def autoscaler(obj: Object) -> Iterator[FieldError]:
    spec = obj["spec"]
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if least < 1:
        yield invalid_value("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield invalid_value("spec.maxReplicas", most, "must be greater than 0")
    elif most < least:
        yield invalid_value(
            "spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"
        )
    for key in ("kind", "name"):
        if not spec.get("scaleTargetRef", {}).get(key):
            yield required(f"spec.scaleTargetRef.{key}")
