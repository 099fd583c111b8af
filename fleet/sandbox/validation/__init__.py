"""The rules that manifests break in practice, with the API server's own words.

Each rule yields `FieldError`s; the API turns them into one 422. Source: pkg/apis/*/validation and
k8s.io/apimachinery/pkg/api/validation.
"""

from collections.abc import Iterator
from typing import Any

from ..errors import FieldError
from . import metadata, network, pods, workloads

Object = dict[str, Any]
_BY_KIND = {
    "Deployment": workloads.deployment,
    "ReplicaSet": workloads.replica_set,
    "StatefulSet": workloads.stateful_set,
    "DaemonSet": workloads.replica_set,
    "Pod": pods.pod,
    "Service": network.service,
    "ConfigMap": network.config_map,
    "Secret": network.config_map,
    "HorizontalPodAutoscaler": workloads.autoscaler,
}
_UPDATES_BY_KIND = {
    "Deployment": workloads.selector_is_immutable,
    "ReplicaSet": workloads.selector_is_immutable,
    "DaemonSet": workloads.selector_is_immutable,
    "StatefulSet": workloads.selector_is_immutable,
    "Pod": pods.update,
    "Service": network.service_update,
    "ConfigMap": network.immutable_data,
    "Secret": network.immutable_data,
}

_STATUS_BY_KIND = {
    "Deployment": workloads.status_counts,
    "ReplicaSet": workloads.status_counts,
}


def validate(obj: Object, namespaced: bool) -> Iterator[FieldError]:
    """Everything wrong with a complete object."""
    yield from metadata.object_meta(obj, namespaced)
    if rule := _BY_KIND.get(obj["kind"]):
        yield from rule(obj)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    """Everything wrong with the way from `old` to `new`."""
    for _ in range(2):  # upstream checks metadata in the generic registry and in the kind's own
        yield from metadata.meta_update(new["metadata"], old["metadata"])
    if rule := _UPDATES_BY_KIND.get(new["kind"]):
        yield from rule(new, old)


def validate_status(new: Object) -> Iterator[FieldError]:
    """Everything wrong with a status somebody wrote."""
    if rule := _STATUS_BY_KIND.get(new["kind"]):
        yield from rule(new)
