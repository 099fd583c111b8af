"""From a client's JSON to a complete object: decode, report unknown fields, fill in defaults.

Source: k8s.io/apiserver/pkg/endpoints/handlers/{create,update,patch}.go.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from . import defaults, errors
from .resources import Resource
from .schema.decode import Decoder, WrongType
from .store import Object


@dataclass(frozen=True, slots=True)
class Options:
    """What a writer asks for beside the object itself."""

    manager: str = "unknown"
    dry_run: bool = False
    validation: str = "Ignore"  # Ignore, Warn, Strict: what to do about unknown fields
    force: bool = False
    subresource: str = ""
    warnings: list[str] = field(default_factory=list)
    duplicates: tuple[str, ...] = ()  # paths of fields the body names twice


def decode(resource: Resource, body: Any, options: Options) -> Object:
    """An object a client sent; raises StatusError 400."""
    if not isinstance(body, dict):
        text = f"the object provided is unrecognized (must be of type {resource.kind})"
        raise errors.bad_request(text)
    body = _typed(resource, body)
    prefix = (
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    )
    try:
        obj, problems = _decoded(resource, body, options)
    except WrongType as error:
        raise errors.bad_request(f"{prefix}: {error}") from None
    if problems and options.validation == "Strict":
        raise errors.bad_request(f"{prefix}: strict decoding error: {', '.join(problems)}")
    return _completed(resource, obj)


def decode_patched(resource: Resource, patched: Any, shown: str, options: Options) -> Object:
    """The result of a patch; raises StatusError 422. `shown` stands for it in messages."""
    if not isinstance(patched, dict):
        raise errors.invalid_patch(shown, "the result is not an object")
    body = _typed(resource, patched)
    try:
        obj, problems = _decoded(resource, body, options)
    except WrongType as error:
        raise errors.invalid_patch(shown, str(error)) from None
    if problems and options.validation == "Strict":
        text = f"strict decoding error: {', '.join(problems)}"
        raise errors.invalid_patch(shown, text)
    return _completed(resource, obj)


def _typed(resource: Resource, body: Object) -> Object:
    """The body with apiVersion and kind, which must be those of the path."""
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
    sent, kind = body["apiVersion"], body["kind"]
    if sent != resource.api_version:
        raise errors.bad_request(
            f"the API version in the data ({sent}) does not match the expected API version "
            f"({resource.api_version})"
        )
    if kind != resource.kind:
        group = resource.group.partition(".")[0] or "core"
        raise errors.bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"converting ({resource.version}.{kind}) to ({group}.{resource.kind}): unknown "
            "conversion"
        )
    return body


def _decoded(resource: Resource, body: Object, options: Options) -> tuple[Object, list[str]]:
    decoder = Decoder()
    obj = decoder.decode(body, resource.schema)
    problems = [f'unknown field "{path}"' for path in decoder.unknown]
    problems += [f'duplicate field "{path}"' for path in options.duplicates]
    if options.validation == "Warn":
        options.warnings.extend(problems)
    return obj, problems


def _completed(resource: Resource, obj: Object) -> Object:
    obj.setdefault("metadata", {})
    if resource.custom is None:
        defaults.apply_defaults(obj)
    return obj


class JsonError(ValueError):
    """JSON that cannot be read, in Go's words."""


def read_json(raw: bytes) -> tuple[Any, list[str]]:
    """JSON and the paths of fields it names twice; raises JsonError."""
    repeated: dict[int, list[str]] = {}

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            keys = [key for key, _ in items]
            repeated[id(found)] = [key for key in found if keys.count(key) > 1]
        return found

    try:
        value = json.loads(
            raw.decode("latin-1" if not _is_text(raw) else "utf-8"), object_pairs_hook=pairs
        )
    except ValueError as error:
        raise JsonError(_go_complaint(raw, error)) from None
    return value, _paths(value, repeated) if repeated else []


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _paths(value: Any, repeated: dict[int, list[str]], path: str = "") -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        found += [prefix + key for key in repeated.get(id(value), ())]
        for key, item in value.items():
            found += _paths(item, repeated, prefix + key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _paths(item, repeated, f"{path}[{index}]")
    return found


def _go_complaint(raw: bytes, error: ValueError) -> str:
    if not isinstance(error, json.JSONDecodeError) or error.pos >= len(error.doc):
        return "unexpected end of JSON input"
    letter = go_letter(error.doc[error.pos])
    where = "object key string" if "property name" in error.msg else "value"
    if "delimiter" in error.msg:
        return f"invalid character {letter} after object key:value pair"
    return f"invalid character {letter} looking for beginning of {where}"


def go_letter(letter: str) -> str:
    """A character as Go's JSON errors quote it."""
    if letter in ("'", '"'):
        return "'\\''" if letter == "'" else "'\"'"
    return f"'{letter}'" if letter.isprintable() else f"'\\u{ord(letter):04x}'"
