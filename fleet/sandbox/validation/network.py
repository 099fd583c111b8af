"""Services, and the immutability of ConfigMaps and Secrets. Source: pkg/apis/core/validation."""

import re
from collections.abc import Iterator
from typing import Any

from ..errors import FieldError, duplicate, forbidden_field, invalid_value, not_supported, required
from ..names import label_name
from .metadata import labels

Object = dict[str, Any]
_DATA_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
DATA_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def service(obj: Object) -> Iterator[FieldError]:
    spec = obj["spec"]
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield required("spec.ports")
    if spec["type"] not in _TYPES:
        yield not_supported("spec.type", spec["type"], _TYPES)
    yield from labels(spec.get("selector", {}), "spec.selector")
    names: set[str] = set()
    for index, port in enumerate(ports):
        yield from _port(port, f"spec.ports[{index}]", len(ports) > 1, names)


def _port(port: Object, path: str, needs_name: bool, names: set[str]) -> Iterator[FieldError]:
    name, number = port.get("name", ""), port.get("port", 0)
    if needs_name and not name:
        yield required(f"{path}.name")
    elif name and (problem := label_name(name)):
        yield invalid_value(f"{path}.name", name, problem)
    elif name in names:
        yield duplicate(f"{path}.name", name)
    names.add(name)
    if not 0 < number < 65536:
        yield invalid_value(f"{path}.port", number, "must be between 1 and 65535, inclusive")
    target = port.get("targetPort")
    if isinstance(target, int) and not 0 < target < 65536:
        yield invalid_value(f"{path}.targetPort", target, "must be between 1 and 65535, inclusive")


def service_update(new: Object, old: Object) -> Iterator[FieldError]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and after != before and new["spec"]["type"] != "ExternalName":
        yield invalid_value("spec.clusterIPs[0]", [after], "may not change once set")


def config_map(obj: Object) -> Iterator[FieldError]:
    for field in ("data", "binaryData"):
        for key in obj.get(field, {}):
            if not _DATA_KEY.match(key):
                yield invalid_value(f"{field}[{key}]", key, DATA_KEY_TEXT)


def immutable_data(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("type") != old.get("type"):
        yield invalid_value("type", new.get("type"), "field is immutable")
    if not old.get("immutable"):
        return
    for field in ("data", "binaryData"):
        if new.get(field) != old.get(field):
            yield forbidden_field(field, "field is immutable when `immutable` is set")
    if not new.get("immutable"):
        yield forbidden_field("immutable", "field is immutable when `immutable` is set")
