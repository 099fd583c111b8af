"""Pods and pod templates. Source: pkg/apis/core/validation/validation.go."""

import re
from collections.abc import Iterator
from typing import Any

from .. import quantities
from ..errors import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    not_supported,
    required,
)
from ..names import label_name
from .metadata import unique

Object = dict[str, Any]
_ENV_NAME = re.compile(r"^[^=\x00-\x1f\x7f]+$")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_SOURCES = (
    "emptyDir",
    "hostPath",
    "secret",
    "nfs",
    "persistentVolumeClaim",
    "downwardAPI",
    "configMap",
    "projected",
    "ephemeral",
    "csi",
    "image",
)
UPDATE_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def pod(obj: Object) -> Iterator[FieldError]:
    yield from pod_spec(obj["spec"], "spec")


def pod_spec(spec: Object, path: str) -> Iterator[FieldError]:
    volumes = spec.get("volumes") or []
    names = {volume.get("name") for volume in volumes}
    yield from _volumes(volumes, f"{path}.volumes")
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    yield from unique([*containers], "name", f"{path}.containers")
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield from _container(container, f"{path}.{field}[{index}]", names)
    policies = ("Always", "OnFailure", "Never")
    if spec.get("restartPolicy") not in policies:
        yield not_supported(f"{path}.restartPolicy", spec.get("restartPolicy"), policies)
    grace = spec.get("terminationGracePeriodSeconds", 0)
    if grace < 0:
        yield invalid_value(
            f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"
        )


def _volumes(volumes: list[Object], path: str) -> Iterator[FieldError]:
    yield from unique(volumes, "name", path)
    for index, volume in enumerate(volumes):
        if not volume.get("name"):
            yield required(f"{path}[{index}].name")
        elif problem := label_name(volume["name"]):
            yield invalid_value(f"{path}[{index}].name", volume["name"], problem)
        if len(volume.keys() - {"name"}) > 1:
            extra = sorted(volume.keys() - {"name"}, key=_source_order)[1]
            yield forbidden_field(
                f"{path}[{index}].{extra}", "may not specify more than 1 volume type"
            )


def _source_order(source: str) -> int:
    """Where upstream looks at a volume source; the first one found is the one that may stay."""
    return _SOURCES.index(source) if source in _SOURCES else len(_SOURCES)


def _container(container: Object, path: str, volumes: set[str]) -> Iterator[FieldError]:
    name = container.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif problem := label_name(name):
        yield invalid_value(f"{path}.name", name, problem)
    image = container.get("image", "")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace")
    policies = ("Always", "IfNotPresent", "Never")
    if container.get("imagePullPolicy") not in policies:
        yield not_supported(f"{path}.imagePullPolicy", container["imagePullPolicy"], policies)
    yield from _ports(container.get("ports", []), f"{path}.ports")
    yield from _environment(container.get("env", []), f"{path}.env")
    yield from _mounts(container.get("volumeMounts", []), f"{path}.volumeMounts", volumes)
    yield from resources(container.get("resources", {}), f"{path}.resources")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            yield from _probe(container[probe], f"{path}.{probe}", probe != "readinessProbe")


def _ports(ports: list[Object], path: str) -> Iterator[FieldError]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        number = port.get("containerPort", 0)
        if not number:
            yield required(f"{path}[{index}].containerPort")
        elif not 0 < number < 65536:
            yield invalid_value(
                f"{path}[{index}].containerPort", number, "must be between 1 and 65535, inclusive"
            )
        name = port.get("name", "")
        if name and name in names:
            yield duplicate(f"{path}[{index}].name", name)
        names.add(name)
        protocols = ("SCTP", "TCP", "UDP")
        if port.get("protocol") not in protocols:
            yield not_supported(f"{path}[{index}].protocol", port.get("protocol"), protocols)


def _environment(variables: list[Object], path: str) -> Iterator[FieldError]:
    for index, variable in enumerate(variables):
        name = variable.get("name", "")
        if not name:
            yield required(f"{path}[{index}].name")
        elif not _ENV_NAME.match(name):
            yield invalid_value(
                f"{path}[{index}].name",
                name,
                "a valid environment variable name must consist only of printable "
                "ASCII characters other than '='",
            )
        if variable.get("value") and variable.get("valueFrom"):
            yield invalid_value(
                f"{path}[{index}].valueFrom", "", "may not be specified when `value` is not empty"
            )


def _mounts(mounts: list[Object], path: str, volumes: set[str]) -> Iterator[FieldError]:
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        name, where = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{path}[{index}].name")
        elif name not in volumes:
            yield FieldError("FieldValueNotFound", f"{path}[{index}].name", name)
        if not where:
            yield required(f"{path}[{index}].mountPath")
        elif where in paths:
            yield invalid_value(f"{path}[{index}].mountPath", where, "must be unique")
        paths.add(where)


def resources(values: Object, path: str) -> Iterator[FieldError]:
    requests, limits = values.get("requests", {}), values.get("limits", {})
    for kind, quantities_by_name in (("limits", limits), ("requests", requests)):
        for name, amount in quantities_by_name.items():
            where = f"{path}.{kind}[{name}]" if "/" in name else f"{path}.{kind}.{name}"
            yield from _amount(name, amount, f"{path}.{kind}", where)
    for name, amount in requests.items():
        if name in limits and quantities.parse(amount) > quantities.parse(limits[name]):
            yield invalid_value(
                f"{path}.requests",
                amount,
                f"must be less than or equal to {name} limit of {limits[name]}",
            )
        elif "/" in name and name not in limits:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif "/" in name and quantities.parse(amount) != quantities.parse(limits[name]):
            yield invalid_value(
                f"{path}.requests", amount, f"must be equal to {name} limit of {limits[name]}"
            )


def _amount(name: str, amount: str, path: str, where: str) -> Iterator[FieldError]:
    if (
        "/" not in name
        and name not in ("cpu", "memory", "ephemeral-storage")
        and not (name.startswith("hugepages-"))
    ):
        yield invalid_value(f"{path}", name, "must be a standard resource type or fully qualified")
        yield invalid_value(f"{path}", name, "must be a standard resource for containers")
    value = quantities.parse(amount)
    if value < 0:
        yield invalid_value(where, amount, "must be greater than or equal to 0")
    elif "/" in name and value.denominator != 1:
        yield invalid_value(where, amount, "must be an integer")


def _probe(probe: Object, path: str, single_success: bool) -> Iterator[FieldError]:
    handlers = [name for name in _HANDLERS if name in probe]
    if not handlers:
        yield required(path, "must specify a handler type")
    for extra in handlers[1:]:
        yield forbidden_field(f"{path}.{extra}", "may not specify more than 1 handler type")
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"):
        if probe.get(field, 0) < 0:
            yield invalid_value(
                f"{path}.{field}", probe[field], "must be greater than or equal to 0"
            )
    if single_success and probe.get("successThreshold", 1) != 1:
        yield invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def update(new: Object, old: Object) -> Iterator[FieldError]:
    """ValidatePodUpdate: a pod's spec is nearly immutable."""
    if _fixed_part(new["spec"]) != _fixed_part(old["spec"]):
        yield forbidden_field("spec", UPDATE_TEXT)


def _fixed_part(spec: Object) -> Object:
    fixed = dict(spec)
    for key in ("activeDeadlineSeconds", "tolerations", "nodeName"):
        fixed.pop(key, None)
    for key in ("containers", "initContainers"):
        if key in fixed:
            fixed[key] = [{k: v for k, v in c.items() if k != "image"} for c in fixed[key]]
    return fixed
