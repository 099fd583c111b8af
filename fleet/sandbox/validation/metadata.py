"""Names, labels, annotations and what may never change about them."""

import re
from collections.abc import Iterator
from typing import Any

from ..errors import FieldError, duplicate, forbidden_field, invalid_value, required

Object = dict[str, Any]
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
KEY_TEXT = QUALIFIED_TEXT.replace("name part", "a valid label key", 1)
VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', "
    " or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SERVICE = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_NAMED = {"Namespace", "Service"}
_FREE_NAMED = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
ANNOTATIONS_LIMIT_BYTES = 256 * 1024


def label_name(name: str) -> str:
    """What is wrong with a DNS label, "" when nothing is."""
    if len(name) > 63:
        return "must be no more than 63 characters"
    return "" if _LABEL.match(name) else LABEL_TEXT


def subdomain_name(name: str) -> str:
    if len(name) > 253:
        return "must be no more than 253 characters"
    return "" if _SUBDOMAIN.match(name) else SUBDOMAIN_TEXT


def _service_name(name: str) -> str:
    if len(name) > 63:
        return "must be no more than 63 characters"
    return "" if _SERVICE.match(name) else SERVICE_TEXT


def _name_problem(kind: str, name: str) -> str:
    if kind in _FREE_NAMED:
        return "" if "/" not in name and "%" not in name else "may not contain '/'"
    if kind == "Service":
        return _service_name(name)
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
        if problem := qualified_problem(key):
            yield invalid_value(path, key, problem)
        if len(value) > 63:
            yield invalid_value(path, value, "must be no more than 63 characters")
        elif not _VALUE.match(value):
            yield invalid_value(path, value, VALUE_TEXT)


def annotations(values: dict[str, str], path: str) -> Iterator[FieldError]:
    for key in values:
        if problem := qualified_problem(key.lower()):
            yield invalid_value(path, key, problem)
    if sum(len(k) + len(v) for k, v in values.items()) > ANNOTATIONS_LIMIT_BYTES:
        detail = f"may not be more than {ANNOTATIONS_LIMIT_BYTES} bytes"
        yield FieldError("FieldValueTooLong", path, "", detail)


def qualified_problem(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return f"{KEY_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
    if slash and (not prefix or subdomain_name(prefix)):
        return f"prefix part {subdomain_name(prefix)}" if prefix else "prefix part must be non-empty"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return "" if _QUALIFIED.match(name) else QUALIFIED_TEXT


def _owners(owners: list[Object]) -> Iterator[FieldError]:
    for index, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{index}]"
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                yield invalid_value(f"{path}.{key}", owner.get(key, ""), "must not be empty")
    controllers = [o for o in owners if o.get("controller")]
    if len(controllers) > 1:
        names = " and ".join(f"{o['kind']}/{o['name']}" for o in controllers[:2])
        detail = f"Only one reference can have Controller set to true. Found \"true\" in references for {names}"
        yield invalid_value("metadata.ownerReferences", owners, detail)


def meta_update(new: Object, old: Object) -> Iterator[FieldError]:
    """ValidateObjectMetaUpdate."""
    if old.get("deletionTimestamp"):
        added = [f for f in new.get("finalizers", ()) if f not in old.get("finalizers", ())]
        if added:
            detail = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{', '.join(map(_quoted, added))}}}"
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
