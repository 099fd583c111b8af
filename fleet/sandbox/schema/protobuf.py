"""Read the protobuf bodies that `kubectl` and the Go clients send, as plain JSON data.

Field numbers come from Kubernetes' `generated.proto` files (`protobuf.json`). Answers are always
JSON, which these clients accept as well.
Source: k8s.io/apimachinery/pkg/runtime/serializer/protobuf.
"""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from . import definition_name

MAGIC = b"k8s\x00"
META = "k8s.io.apimachinery.pkg.apis.meta.v1"
UNKNOWN = "k8s.io.apimachinery.pkg.runtime.Unknown"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INTEGERS = {"int32", "int64", "uint32", "uint64"}


class ProtobufError(ValueError):
    """A body that is no Kubernetes protobuf object, or one of an unknown kind."""


@cache
def _messages() -> dict[str, dict[str, list[str]]]:
    return json.loads(Path(__file__).with_name("protobuf.json").read_text())


def decode(raw: bytes) -> dict[str, Any]:
    """The object in an envelope, with its apiVersion and kind; raises ProtobufError."""
    if not raw.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message")
    try:
        envelope = {number: value for number, _, value in _fields(raw[len(MAGIC) :])}
        head = _message(bytes(envelope[1]), "k8s.io.apimachinery.pkg.runtime.TypeMeta")
        body = _message(bytes(envelope.get(2, b"")), _name_of(head["apiVersion"], head["kind"]))
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise ProtobufError(f"malformed protobuf message: {error!r}") from None
    return {"apiVersion": head["apiVersion"], "kind": head["kind"], **body}


def _name_of(api_version: str, kind: str) -> str:
    if kind == "DeleteOptions":
        return f"{META}.DeleteOptions"
    definition = definition_name(api_version, kind)
    name = definition.replace("io.k8s.", "k8s.io.", 1).replace("-", "_")
    if name not in _messages():
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
    return name


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        result |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return result, at


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, number or bytes) of everything in a message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        value: Any
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire == _BYTES:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, at = (
                struct.unpack("<d" if size == 8 else "<f", data[at : at + size])[0],
                at + size,
            )
        else:
            raise ProtobufError(f"unknown wire type {wire}")
        yield key >> 3, wire, value


def _message(data: bytes, name: str) -> dict[str, Any]:
    known, result = _messages().get(name, {}), {}
    for number, _, value in _fields(data):
        field, kind, shape = known.get(str(number), ("", "", "unknown"))
        if shape == "map":
            key, item = _map_entry(value, kind)
            result.setdefault(field, {})[key] = item
        elif shape == "repeated":
            result.setdefault(field, []).append(_value(value, kind))
        elif shape == "" and field:
            result[field] = _value(value, kind)
        elif shape == "":  # embedded: its fields are ours
            result |= _message(value, kind)
    return result


def _map_entry(data: bytes, kind: str) -> tuple[str, Any]:
    entry = {number: value for number, _, value in _fields(data)}
    empty: Any = 0 if kind in _INTEGERS else b""
    return bytes(entry.get(1, b"")).decode(), _value(entry.get(2, empty), kind)


def _value(value: Any, kind: str) -> Any:
    if kind == "string":
        return value.decode()
    if kind == "bool":
        return bool(value)
    if kind in _INTEGERS:
        return value - (1 << 64) if value >> 63 else value
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind in ("double", "float"):
        return value
    special = _SPECIAL.get(kind.rpartition(".")[2])
    return special(_message(value, kind)) if special else _message(value, kind)


def _time(fields: dict[str, Any]) -> str | None:
    if not fields:
        return None
    return _stamp(fields) + "Z"


def _micro_time(fields: dict[str, Any]) -> str | None:
    if not fields:
        return None
    microseconds = fields.get("nanos", 0) // 1000
    return f"{_stamp(fields)}.{microseconds:06}Z"


def _stamp(fields: dict[str, Any]) -> str:
    """Whole seconds. Not strftime, which writes the year 1 without its zeros."""
    moment = datetime.fromtimestamp(fields.get("seconds", 0), UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _int_or_string(fields: dict[str, Any]) -> int | str:
    return fields.get("strVal", "") if fields.get("type") else fields.get("intVal", 0)


def _embedded_json(fields: dict[str, Any]) -> Any:
    """RawExtension and FieldsV1 carry JSON as bytes."""
    raw = fields.get("raw") or fields.get("Raw")
    return json.loads(base64.b64decode(raw)) if raw else None


def _schema_or_other(fields: dict[str, Any]) -> Any:
    """JSONSchemaPropsOr…: one schema, or what else the name says."""
    if "schema" in fields:
        return fields["schema"]
    return fields.get("jSONSchemas") or fields.get("property") or fields.get("allows", False)


_SPECIAL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": lambda fields: fields.get("string", "0"),
    "IntOrString": _int_or_string,
    "RawExtension": _embedded_json,
    "FieldsV1": _embedded_json,
    "JSON": _embedded_json,
    **{f"JSONSchemaPropsOr{other}": _schema_or_other for other in ("Bool", "Array", "StringArray")},
    "ExtraValue": lambda fields: fields.get("items", []),
    "Duration": lambda fields: f"{fields.get('duration', 0) / 1e9:g}s",
}
