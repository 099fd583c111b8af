"""Names, labels, annotations and what may never change about them."""

from collections.abc import Iterator
from typing import Any

from ..errors import FieldError, duplicate, forbidden_field, invalid_value, required
from ..names import label_key, label_name, label_value, service_name, subdomain_name

Object = dict[str, Any]
_LABEL_NAMED = {"Namespace", "Service"}
_FREE_NAMED = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
ANNOTATIONS_LIMIT_BYTES = 256 * 1024


def _name_problem(kind: str, name: str) -> str:
    if kind in _FREE_NAMED:
        return "" if "/" not in name and "%" not in name else "may not contain '/'"
    if kind == "Service":
        return service_name(name)
    return label_name(name) if kind in _LABEL_NAMED else subdomain_name(name)


def object_meta(obj: Object, namespaced: bool) -> Iterator[FieldError]:
    """ValidateObjectMeta."""
    meta = obj["metadata"]
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif problem := _name_problem(obj["kind"], name):
        yield invalid_value("metadata.name", name, problem)
    if namespaced and not meta.get("namespace"):
        yield required("metadata.namespace")
    yield from labels(meta.get("labels", {}), "metadata.labels")
    yield from annotations(meta.get("annotations", {}), "metadata.annotations")
    yield from _owners(meta.get("ownerReferences", []))


def labels(values: dict[str, str], path: str) -> Iterator[FieldError]:
    for key, value in values.items():
        if problem := label_key(key):
            yield invalid_value(path, key, problem)
        if problem := label_value(value):
            yield invalid_value(path, value, problem)


def annotations(values: dict[str, str], path: str) -> Iterator[FieldError]:
    for key in values:
        if problem := label_key(key.lower()):
            yield invalid_value(path, key, problem)
    if sum(len(k) + len(v) for k, v in values.items()) > ANNOTATIONS_LIMIT_BYTES:
        detail = f"may not be more than {ANNOTATIONS_LIMIT_BYTES} bytes"
        yield FieldError("FieldValueTooLong", path, "", detail)


def _owners(owners: list[Object]) -> Iterator[FieldError]:
    for index, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{index}]"
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                yield invalid_value(f"{path}.{key}", owner.get(key, ""), "must not be empty")
    controllers = [o for o in owners if o.get("controller")]
    if len(controllers) > 1:
        names = " and ".join(f"{o['kind']}/{o['name']}" for o in controllers[:2])
        detail = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{names}"
        )
        yield invalid_value("metadata.ownerReferences", owners, detail)


def meta_update(new: Object, old: Object) -> Iterator[FieldError]:
    """ValidateObjectMetaUpdate."""
    if old.get("deletionTimestamp"):
        added = [f for f in new.get("finalizers", ()) if f not in old.get("finalizers", ())]
        if added:
            shown = f"[]string{{{', '.join(map(_quoted, added))}}}"
            detail = (
                "no new finalizers can be added if the object is being deleted, found new "
                f"finalizers {shown}"
            )
            yield forbidden_field("metadata.finalizers", detail)
    for key in ("name", "namespace", "uid", "creationTimestamp"):
        if new.get(key) != old.get(key):
            yield invalid_value(f"metadata.{key}", new.get(key), "field is immutable")


def _quoted(text: str) -> str:
    return f'"{text}"'


def unique(items: list[Object], key: str, path: str) -> Iterator[FieldError]:
    """Items of a list may not share a key."""
    seen: set[Any] = set()
    for index, item in enumerate(items):
        value = item.get(key)
        if value in seen:
            yield duplicate(f"{path}[{index}].{key}", value)
        seen.add(value)
