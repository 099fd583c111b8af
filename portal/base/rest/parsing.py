"""JSON as RFC 8259 means it: no NaN, no doubled names, no text PostgreSQL cannot store."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

MAX_DEPTH = 64


class StrictJSONParser(BaseParser):
    """`application/json` and nothing else; every refusal is a ParseError (400) with a code."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        value = _decoded(stream.read())
        _check(value)
        return value


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_doubles,
        )
    except UnicodeDecodeError as error:
        raise ParseError("The body is not UTF-8", code="malformed_json") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise ParseError(f"The body is not JSON: {error}", code="malformed_json") from error


def _refuse_constant(name: str) -> None:
    raise ParseError(f"{name} is not a JSON number", code="not_a_number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ParseError("A number is too large", code="not_a_number")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ParseError("An object names the same member twice", code="duplicate_member")
    return found


def _too_deep() -> ParseError:
    return ParseError(f"The body is nested deeper than {MAX_DEPTH} levels", code="too_deep")


def _check(value: Any) -> None:
    """Walks level by level: an own stack cannot overflow."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise _too_deep()


def _children(value: Any) -> list[Any]:
    if isinstance(value, str):
        _check_text(value)
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ParseError("Text must not hold the NUL character", code="nul_character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ParseError("Text holds half of a surrogate pair", code="lone_surrogate") from error
