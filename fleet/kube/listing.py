"""A page of a list, one object at a time.

Parsed whole, 500 pods are some 300,000 live containers, and Python's search for cycles among them
costs twice what the parsing does. Object by object they die young: a third of the CPU time and a
tenth of the memory (bench/watch_list.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fleet.kube.status import Asked, silent

_decode = json.JSONDecoder().raw_decode
_space = re.compile(r"[ \t\r\n]*")


class Page:
    """The body of one list answer. `metadata` is complete once `items` is exhausted."""

    def __init__(self, body: bytes, asked: Asked) -> None:
        self.metadata: dict[str, Any] = {}
        self._asked = asked
        self._is_list = False
        self._items = self._walk(body)

    def items(self) -> Iterator[dict[str, Any]]:
        """The objects that were not taken yet. Raises Unavailable if this is not a list."""
        try:
            yield from (item for item in self._items if isinstance(item, dict))
        except (ValueError, IndexError, RecursionError):
            self._is_list = False
        # An empty-handed answer must not pass for an empty cluster.
        if not self._is_list:
            raise silent(self._asked, "the answer is not a list of a Kubernetes API server")

    @property
    def resource_version(self) -> str:
        return str(self.metadata.get("resourceVersion") or "")

    @property
    def next_token(self) -> str:
        """What to continue with, "" on the last page. Skips what is left of `items`."""
        for _ in self.items():
            pass
        return str(self.metadata.get("continue") or "")

    def _walk(self, body: bytes) -> Iterator[Any]:
        text = body.decode()
        del body
        at = _after(text, 0, "{")
        while True:
            key, at = _decode(text, at)
            at = _after(text, at, ":")
            if key == "items":
                self._is_list = True
            if key == "items" and text[at] == "[":
                at = yield from _elements(text, at + 1)
            else:
                value, at = _decode(text, at)
                if key == "metadata" and isinstance(value, dict):
                    self.metadata = value
            at = _skip(text, at)
            if text[at] == "}":
                return
            at = _after(text, at, ",")


def _elements(text: str, at: int) -> Iterator[Any]:
    """The elements of an array whose inside begins at `at`; returns where it ends."""
    at = _skip(text, at)
    while text[at] != "]":
        element, at = _decode(text, at)
        yield element
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return at + 1


def _skip(text: str, at: int) -> int:
    return _space.match(text, at).end()  # type: ignore[union-attr] - matches the empty string


def _after(text: str, at: int, sign: str) -> int:
    at = _skip(text, at)
    if text[at] != sign:
        raise ValueError(f"{sign!r} expected at {at}")
    return _skip(text, at + 1)
