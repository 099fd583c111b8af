"""What hangs below an object: scale, binding, eviction, finalize; and the review kinds.

Source: pkg/registry/apps/*/storage (scale), pkg/registry/core/pod/storage (binding, eviction).
"""

from typing import Any

from . import codec, deletion, errors
from .api import Api
from .codec import Options
from .patches import json_patch, merge_patch
from .resources import Resource
from .store import Object

READ_VERBS = {"get", "list", "watch"}


def scale_of(obj: Object) -> Object:
    """The `autoscaling/v1 Scale` of a Deployment or ReplicaSet."""
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = obj["spec"].get("replicas", 0)
    status: Object = {"replicas": obj.get("status", {}).get("replicas", 0)}
    selector = _selector_text(obj["spec"].get("selector"))
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector_text(selector: Object | None) -> str:
    terms = [
        f"{key}={value}" for key, value in sorted((selector or {}).get("matchLabels", {}).items())
    ]
    for entry in (selector or {}).get("matchExpressions", ()):
        key, values = entry["key"], ",".join(entry.get("values", ()))
        text = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append(text.get(entry["operator"], f"!{key}"))
    return ",".join(terms)


def write_scale(
    api: Api,
    resource: Resource,
    namespace: str,
    name: str,
    body: Any,
    style: str,
    options: Options,
) -> Object:
    """Replace (style "") or patch the scale; raises StatusError 409 or 422."""
    live = api.get(resource, namespace, name)
    current = scale_of(live)
    scale = current | body if style == "" else current
    if style == "json":
        scale = json_patch(current, body)
    elif style:
        scale = merge_patch(current, body)
    meta = scale.get("metadata", {})
    if meta.get("resourceVersion") not in (None, "", live["metadata"]["resourceVersion"]):
        raise errors.stale(resource.group, resource.plural, name)
    replicas = scale.get("spec", {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise errors.bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot '
            "unmarshal string into Go struct field ScaleSpec.spec.replicas of "
            "type int32"
        )
    if replicas < 0:
        problem = errors.invalid_value(
            "spec.replicas", replicas, "must be greater than or equal to 0"
        )
        raise errors.invalid("autoscaling", "Scale", name, [problem])
    changed = {
        **live,
        "metadata": dict(live["metadata"]),
        "spec": {**live["spec"], "replicas": replicas},
    }
    return scale_of(api.write(resource, live, changed, options))


def bind(api: Api, namespace: str, name: str, body: Object, options: Options) -> Object:
    """Assign a pod to a node; raises StatusError 409 when it has one already."""
    resource = api.resource("pods")
    pod = api.get(resource, namespace, name)
    node = body.get("target", {}).get("name", "")
    if pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise errors.conflict("", "pods/binding", name, why)
    if pod["metadata"].get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise errors.conflict("", "pods/binding", name, why)
    condition = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": api.clock.stamp(),
    }
    others = [c for c in pod["status"].get("conditions", ()) if c["type"] != "PodScheduled"]
    bound = {
        **pod,
        "metadata": dict(pod["metadata"]),
        "spec": {**pod["spec"], "nodeName": node},
        "status": {**pod["status"], "conditions": [*others, condition]},
    }
    api.commit(resource, bound, options)
    return success()


def evict(api: Api, namespace: str, name: str, body: Object, options: Options) -> Object:
    """Delete a pod the polite way."""
    wanted = deletion.DeleteOptions.from_body(body.get("deleteOptions") or {})
    deletion.delete(api, api.resource("pods"), namespace, name, wanted)
    return success()


def finalize_namespace(api: Api, name: str, body: Object, options: Options) -> Object:
    """Replace a namespace's spec.finalizers; without any, a deleted one is gone."""
    resource = api.resource("namespaces")
    live = api.get(resource, "", name)
    spec = {**live["spec"], "finalizers": body.get("spec", {}).get("finalizers", [])}
    if not spec["finalizers"]:
        del spec["finalizers"]
    changed = {**live, "metadata": dict(live["metadata"]), "spec": spec}
    return api.commit(resource, changed, options)


def success() -> Object:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def review(resource: Resource, body: Object, user: str, read_only: bool) -> Object:
    """Answer a review: the main token may do everything, the read-only one may look."""
    answered = codec.decode(resource, body, Options())
    if resource.kind == "SelfSubjectRulesReview":
        answered["status"] = _rules(read_only)
    elif resource.kind == "SelfSubjectReview":
        answered["status"] = {"userInfo": {"username": user, "groups": ["system:authenticated"]}}
    elif resource.kind == "TokenReview":
        answered["status"] = {"authenticated": False, "user": {}}
    else:
        answered["status"] = _access(body.get("spec", {}), read_only)
    return answered


def _access(spec: Object, read_only: bool) -> Object:
    attributes = spec.get("resourceAttributes") or spec.get("nonResourceAttributes") or {}
    allowed = not read_only or attributes.get("verb") in READ_VERBS
    return {"allowed": True} if allowed else {"allowed": False, "reason": ""}


def _rules(read_only: bool) -> Object:
    verbs = sorted(READ_VERBS) if read_only else ["*"]
    return {
        "resourceRules": [{"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": verbs, "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }
