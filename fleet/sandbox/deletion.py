"""Deleting: graceful for pods, by finalizers for what has dependents, at once for the rest.

Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go (`Delete`, `BeforeDelete`) and
pkg/registry/core/pod/strategy.go (`CheckGracefulDelete`).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from . import errors
from .api import Api
from .clock import rfc3339
from .codec import Options
from .resources import Resource
from .store import Object, name_of

PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_ANSWERS_WITH_OBJECT = {
    *("Pod", "Service", "ServiceAccount", "PersistentVolumeClaim", "PersistentVolume"),
    *("ResourceQuota", "ReplicationController", "PodTemplate"),
}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What `metav1.DeleteOptions` can say; None means not said."""

    grace_period_seconds: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> "DeleteOptions":
        preconditions = body.get("preconditions") or {}
        propagation = body.get("propagationPolicy") or ""
        if body.get("orphanDependents") is not None:
            propagation = "Orphan" if body["orphanDependents"] else "Background"
        if propagation not in ("", "Orphan", "Background", "Foreground"):
            problem = errors.not_supported(
                "propagationPolicy", propagation, ["Foreground", "Background", "Orphan", "nil"]
            )
            raise errors.invalid("", "DeleteOptions", "", [problem])
        return cls(
            body.get("gracePeriodSeconds"),
            propagation,
            preconditions.get("uid") or "",
            preconditions.get("resourceVersion") or "",
            bool(body.get("dryRun")),
        )


def delete(
    api: Api,
    resource: Resource,
    namespace: str,
    name: str,
    options: DeleteOptions | None = None,
) -> Object:
    """Delete an object. Returns what the API answers: the object, or a `Status`."""
    options = options or DeleteOptions()
    if resource.storage == "namespaces" and name in PROTECTED_NAMESPACES:
        raise errors.forbidden("", "namespaces", name, "this namespace may not be deleted")
    resource = api.resource(resource.storage)
    live = api.get(resource, namespace, name)
    _check(resource, live, options)
    doomed = _with_finalizers(live, options)
    grace = _grace_seconds(live, options)
    if live["kind"] == "Namespace":
        doomed["status"] = {**live.get("status", {}), "phase": "Terminating"}
    pending = (
        bool(doomed["metadata"].get("finalizers"))
        or grace > 0
        or (live["kind"] == "Namespace" and bool(live["spec"].get("finalizers")))
    )
    if not pending:
        return _remove(api, resource, live, options)
    if not _mark(api, doomed, live, grace):
        return live
    return api.commit(resource, doomed, Options(dry_run=options.dry_run))


def _check(resource: Resource, live: Object, options: DeleteOptions) -> None:
    meta = live["metadata"]
    pairs = (
        ("UID", options.uid, meta["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.resource_version, meta["resourceVersion"], "modified"),
    )
    for what, wanted, actual, reason in pairs:
        if wanted and wanted != actual:
            why = (
                f"the {what} in the precondition ({wanted}) does not match the {what} in record "
                f"({actual}). The object might have been {reason}"
            )
            raise errors.conflict(resource.group, resource.kind, meta["name"], why)


def _with_finalizers(live: Object, options: DeleteOptions) -> Object:
    """The object with the finalizer that its propagation policy asks for."""
    finalizers = list(live["metadata"].get("finalizers", ()))
    if options.propagation:
        finalizers = [f for f in finalizers if f not in (ORPHAN, FOREGROUND)]
    if options.propagation == "Orphan":
        finalizers.append(ORPHAN)
    elif options.propagation == "Foreground":
        finalizers.append(FOREGROUND)
    meta = {**live["metadata"], "finalizers": finalizers}
    if not finalizers:
        del meta["finalizers"]
    return {**live, "metadata": meta}


def _grace_seconds(live: Object, options: DeleteOptions) -> int:
    """Only pods that may be running get time to stop."""
    if live["kind"] != "Pod":
        return 0
    if not live["spec"].get("nodeName"):
        return 0
    if live.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    if options.grace_period_seconds is not None:
        return max(options.grace_period_seconds, 0)
    return live["spec"].get("terminationGracePeriodSeconds", 30)


def _mark(api: Api, doomed: Object, live: Object, grace: int) -> bool:
    """Set the deletion timestamp; False when it is set already and nothing changes."""
    meta, old = doomed["metadata"], live["metadata"]
    if "deletionTimestamp" in old and grace >= old.get("deletionGracePeriodSeconds", 0):
        return meta.get("finalizers") != old.get("finalizers")
    moment = api.clock.now() + timedelta(seconds=grace)
    meta["deletionTimestamp"] = rfc3339(moment)
    meta["deletionGracePeriodSeconds"] = grace
    if "generation" in meta:
        meta["generation"] += 1
    return True


def _remove(api: Api, resource: Resource, live: Object, options: DeleteOptions) -> Object:
    last = live if options.dry_run else api.store.remove(resource.storage, name_of(live))
    if resource.kind in _ANSWERS_WITH_OBJECT:
        return last
    meta = live["metadata"]
    details = {"name": meta["name"], "group": resource.group, "kind": resource.plural}
    if not resource.group:
        del details["group"]
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return status | {"details": {**details, "uid": meta["uid"]}}
