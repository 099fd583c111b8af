"""Rendering: a release and a placement become Kubernetes objects. Pure; same input, same output.

- Images are pinned: a container whose image has the name of a key of `images` gets that reference.
- ConfigMaps carry a suffix of their content and references are rewritten, so that running pods
  keep the configuration they started with and a rollback brings the older one back.
- Every object and pod template carries one constant placement label. Nothing that changes from
  tick to tick stands in a pod template: it would start new pods.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.well_formed import misshapen
from portal.base.problems import FieldProblem, Invalid

PLACEMENT_LABEL = "pilothouse.io/placement"
MANAGED_BY = {"app.kubernetes.io/managed-by": "pilothouse"}
_PINNED = re.compile(r"^[^\s@]+@sha256:[0-9a-f]{64}$")
_DNS_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
_REFUSED_KINDS = {
    "Secret": "Secrets are referenced by name and stay in the cluster",
    "StatefulSet": "Only Deployments are rolled out",
    "DaemonSet": "Only Deployments are rolled out",
    "ReplicaSet": "Only Deployments are rolled out",
    "Pod": "Only Deployments are rolled out",
    "Job": "Only Deployments are rolled out",
    **dict.fromkeys(
        ("Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding"),
        "A release holds namespaced objects only",
    ),
    "CustomResourceDefinition": "A release holds namespaced objects only",
}
_ORDER = {"ServiceAccount": 0, "ConfigMap": 1, "PersistentVolumeClaim": 2, "Deployment": 9}


@dataclass(frozen=True)
class Target:
    """Where the objects go: namespace, placement id, and the placement's overrides."""

    namespace: str
    placement_id: str
    overrides: dict[str, Any] = field(default_factory=dict)


def render(
    *,
    manifests: list[dict],
    images: dict[str, str],
    config: dict[str, dict[str, str]],
    target: Target,
) -> list[dict]:
    """The objects to apply, in order. Raises Invalid with a pointer for each wrong input."""
    check(manifests=manifests, images=images, config=config)
    objects = [copy.deepcopy(obj) for obj in manifests]
    objects += [_config_map(name, data) for name, data in sorted(config.items())]
    for obj in objects:
        _place(obj, target)
        _override(obj, target.overrides)
        _require_shape(obj)
    _pin_images(objects, images)
    _suffix_config(objects)
    return sorted(objects, key=lambda o: (_ORDER.get(o["kind"], 5), o["kind"], _name(o)))


def check(*, manifests: Any, images: Any, config: Any) -> None:
    """Raises Invalid listing everything wrong with the content of a release."""
    problems = [*_manifest_problems(manifests), *_image_problems(images), *_config_problems(config)]
    if problems:
        raise Invalid(problems[0].message, code=problems[0].code, errors=problems)


def pod_spec(obj: dict) -> dict | None:
    """The pod spec inside a workload, None for other objects."""
    return obj.get("spec", {}).get("template", {}).get("spec") if "spec" in obj else None


def containers(spec: dict) -> list[dict]:
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def deployments(objects: list[dict]) -> list[dict]:
    return [obj for obj in objects if obj["kind"] == "Deployment"]


def digest(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _name(obj: dict) -> str:
    return obj["metadata"]["name"]


def _manifest_problems(manifests: Any) -> Iterator[FieldProblem]:
    if not isinstance(manifests, list) or not all(isinstance(o, dict) for o in manifests):
        yield FieldProblem("/manifests", "type", "Give a list of Kubernetes objects")
        return
    seen: set[tuple[str, str]] = set()
    for index, obj in enumerate(manifests):
        yield from _object_problems(f"/manifests/{index}", obj, seen)
    if not any(obj.get("kind") == "Deployment" for obj in manifests):
        yield FieldProblem("/manifests", "no_workload", "A release needs at least one Deployment")


def _object_problems(at: str, obj: dict, seen: set[tuple[str, str]]) -> Iterator[FieldProblem]:
    kind, meta = obj.get("kind"), obj.get("metadata")
    if not isinstance(kind, str) or not isinstance(obj.get("apiVersion"), str):
        yield FieldProblem(at, "required", "Each object needs apiVersion and kind")
        return
    name = meta.get("name") if isinstance(meta, dict) else None
    if not isinstance(name, str) or not _DNS_NAME.match(name):
        yield FieldProblem(f"{at}/metadata/name", "name", "Each object needs a DNS name")
        return
    if wrong := list(misshapen(obj, at)):
        yield from wrong
        return
    if kind in _REFUSED_KINDS:
        yield FieldProblem(f"{at}/kind", "kind", f"{kind}: {_REFUSED_KINDS[kind]}")
    if (kind, name) in seen:
        yield FieldProblem(f"{at}/metadata/name", "duplicate", f"{kind} {name} is given twice")
    seen.add((kind, name))
    if kind == "Deployment":
        yield from _deployment_problems(at, obj)


def _deployment_problems(at: str, obj: dict) -> Iterator[FieldProblem]:
    try:
        listed = obj["spec"]["template"]["spec"]["containers"]
        well_formed = listed and all(c["name"] and isinstance(c["image"], str) for c in listed)
        obj["spec"]["selector"]["matchLabels"].items()
    except (KeyError, TypeError, AttributeError):
        well_formed = False
    if not well_formed:
        yield FieldProblem(
            f"{at}/spec", "deployment", "A Deployment needs a selector and named containers"
        )


def _image_problems(images: Any) -> Iterator[FieldProblem]:
    if not isinstance(images, dict):
        yield FieldProblem("/images", "type", "Give an object: image name to pinned reference")
        return
    for name, reference in images.items():
        at = f"/images/{name.replace('~', '~0').replace('/', '~1')}"
        if not isinstance(reference, str) or "@" not in reference:
            yield FieldProblem(at, "unpinned_image", f"{name} must be pinned: name@sha256:…")
        elif not _PINNED.match(reference):
            yield FieldProblem(at, "digest", f"{name} needs a sha256 digest of 64 hex digits")


def _config_problems(config: Any) -> Iterator[FieldProblem]:
    if not isinstance(config, dict):
        yield FieldProblem("/config", "type", "Give an object: ConfigMap name to keys and texts")
        return
    for name, data in config.items():
        texts = isinstance(data, dict) and all(isinstance(v, str) for v in data.values())
        if not texts or not _DNS_NAME.match(name):
            yield FieldProblem(f"/config/{name}", "type", f"{name}: keys and texts only")


def _config_map(name: str, data: dict[str, str]) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _place(obj: dict, target: Target) -> None:
    marks = {PLACEMENT_LABEL: target.placement_id, **MANAGED_BY}
    meta = obj["metadata"]
    meta["namespace"] = target.namespace
    meta["labels"] = {**(meta.get("labels") or {}), **marks}
    obj.pop("status", None)
    if pod_spec(obj) is not None:
        template = obj["spec"]["template"].setdefault("metadata", {})
        label = {PLACEMENT_LABEL: target.placement_id}
        template["labels"] = {**(template.get("labels") or {}), **label}


def _override(obj: dict, overrides: dict[str, Any]) -> None:
    if obj["kind"] == "Deployment":
        replicas = overrides.get("replicas", {}).get(_name(obj))
        if replicas is not None:
            obj["spec"]["replicas"] = replicas
        for container in containers(pod_spec(obj) or {}):
            key = f"{_name(obj)}/{container['name']}"
            if key in overrides.get("resources", {}):
                container["resources"] = overrides["resources"][key]
    for patch in overrides.get("patches", []):
        if (patch["kind"], patch["name"]) == (obj["kind"], _name(obj)):
            merged = _merge(obj, patch["patch"])
            obj.clear()
            obj.update(merged)


def _require_shape(obj: dict) -> None:
    """A patch can turn a part into something else."""
    if wrong := list(misshapen(obj, "/overrides/patches")):
        raise Invalid(f"After the patches: {wrong[0].message}", code="type", errors=wrong)


def _merge(value: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), change)
    return result


def _pin_images(objects: list[dict], images: dict[str, str]) -> None:
    problems = []
    for obj in objects:
        for container in containers(pod_spec(obj) or {}):
            name = _image_name(container["image"])
            container["image"] = images.get(name, container["image"])
            if not _PINNED.match(container["image"]):
                where = f"{obj['kind']} {_name(obj)}, container {container['name']}"
                text = f"{where}: no digest given for {container['image']}"
                problems.append(FieldProblem("/images", "unpinned_image", text))
    if problems:
        raise Invalid(problems[0].message, code="unpinned_image", errors=problems)


def _image_name(reference: str) -> str:
    """`registry:5000/asr:1.4@sha256:…` -> `registry:5000/asr` (as kustomize compares names)."""
    name = reference.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def _suffix_config(objects: list[dict]) -> None:
    names = {}
    for obj in objects:
        if obj["kind"] == "ConfigMap":
            content = [obj.get("data"), obj.get("binaryData")]
            names[_name(obj)] = f"{_name(obj)}-{digest(content)[:10]}"
            obj["metadata"]["name"] = names[_name(obj)]
    for obj in objects:
        spec = pod_spec(obj)
        if spec is not None:
            for reference in _config_references(spec):
                reference["name"] = names.get(reference.get("name"), reference.get("name"))


def config_names(spec: dict) -> set[str]:
    """Names of the ConfigMaps a pod spec refers to."""
    return {ref["name"] for ref in _config_references(spec) if ref.get("name")}


def _config_references(spec: dict) -> Iterator[dict]:
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            yield volume["configMap"]
        for source in volume.get("projected", {}).get("sources", []):
            if "configMap" in source:
                yield source["configMap"]
    for container in containers(spec):
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                yield source["configMapRef"]
        for variable in container.get("env", []):
            if "configMapKeyRef" in variable.get("valueFrom", {}):
                yield variable["valueFrom"]["configMapKeyRef"]
