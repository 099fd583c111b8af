"""What a watch tells: changes of projected objects, coalesced, and where a restart goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any, Literal, NamedTuple, Protocol

State = Literal["live", "stale", "reconnecting", "forbidden"]


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it is now, or its end. A re-created object has a new `uid`: go by that."""

    type: Literal["upsert", "delete"]
    kind: str
    namespace: str  # "" for objects of the cluster
    name: str
    uid: str
    projection: dict[str, Any]  # {} for a delete
    resource_version: str
    digest: bytes = b""  # of the projection; empty for a delete


class Known(NamedTuple):
    """What is remembered of a stored object: who it is and a digest of its projection."""

    namespace: str
    name: str
    digest: bytes


class Sink(Protocol):
    """Where changes go. Called in the watch's own thread, never at the same time twice.

    When a call raises, nothing counts as stored and the same changes come again.
    """

    def batch(self, changes: list[Change], resource_version: str) -> None:
        """Store the changes and `resource_version` (the cursor) in one transaction.

        The cursor is where a restart may resume, so store exactly what is given: it lags behind
        the changes during a first list ("": list anew) and while coalesced changes wait. `changes`
        may be empty when only the cursor moved on.
        """

    def state(self, state: State, detail: str) -> None:
        """How fresh the picture is: `live`, `reconnecting` (just lost), `stale` (lost for long),
        `forbidden` (the credential may not watch this kind, or the cluster does not have it)."""

    def drift(self, changes: list[Change]) -> None:
        """The audit found that the watch had missed these. They were given to `batch` too."""


def digest(projection: dict[str, Any]) -> bytes:
    """16 bytes that change with the projection, the same in every process."""
    text = json.dumps(projection, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).digest()


class _Pending(NamedTuple):
    change: Change
    due_at: float
    resume_version: str  # the version seen just before the first change that waits here


class Coalescer:
    """Holds back changes of objects that change often: last one wins, one per interval and object.

    The first change of an object is due at once, and so is its deletion. What ends up equal to
    what is stored is dropped.
    """

    def __init__(self, interval_seconds: float, clock: Callable[[], float]) -> None:
        self.known: dict[str, Known] = {}
        self._interval = interval_seconds
        self._clock = clock
        self._pending: dict[str, _Pending] = {}  # in order of the first waiting change
        self._due: list[tuple[float, int, str]] = []  # a heap; may hold entries of the past
        self._count = itertools.count()
        self._stored_at: dict[str, float] = {}  # in order of time

    def see(self, change: Change, resume_version: str) -> None:
        """Take note of a change; `resume_version` is the version seen just before it."""
        if not self.differs(change):
            self._pending.pop(change.uid, None)
            return
        now = self._clock()
        due_at = now
        if change.type == "upsert":
            due_at = self._stored_at.get(change.uid, now - self._interval) + self._interval
        waiting = self._pending.get(change.uid)
        if waiting:
            resume_version = waiting.resume_version
        if not waiting or waiting.due_at != due_at:
            heappush(self._due, (due_at, next(self._count), change.uid))
        self._pending[change.uid] = _Pending(change, due_at, resume_version)

    def differs(self, change: Change) -> bool:
        """Whether the change would alter what is stored."""
        known = self.known.get(change.uid)
        return change.digest != (known.digest if known else b"")

    def due(self, limit: int) -> list[Change]:
        """Up to `limit` changes to store now. If that fails, `drop_pending`; else tell `stored`."""
        now, found = self._clock(), dict[str, Change]()
        while len(found) < limit:
            due_at = self.next_due()
            if due_at is None or due_at > now:
                break
            _, _, uid = heappop(self._due)
            found[uid] = self._pending[uid].change
        return list(found.values())

    def all_pending(self) -> list[Change]:
        """Everything that waits, due or not."""
        return [waiting.change for waiting in self._pending.values()]

    def next_due(self) -> float | None:
        """When the next change is due (by the clock), None if none waits."""
        while self._due:
            due_at, _, uid = self._due[0]
            waiting = self._pending.get(uid)
            if waiting and waiting.due_at == due_at:
                return due_at
            heappop(self._due)  # of a change that was replaced or stored
        return None

    def stored(self, changes: list[Change]) -> None:
        """The sink has taken these."""
        now = self._clock()
        for change in changes:
            self._pending.pop(change.uid, None)
            self._stored_at.pop(change.uid, None)
            if change.type == "delete":
                self.known.pop(change.uid, None)
                continue
            self.known[change.uid] = Known(change.namespace, change.name, change.digest)
            self._stored_at[change.uid] = now
        self._forget_old(now)

    def resume_version(self, seen: str, without: list[Change]) -> str:
        """Where a restart may go on, once `without` is stored: nothing that waits may be lost."""
        taken = {change.uid for change in without}
        for uid, waiting in self._pending.items():
            if uid not in taken:
                return waiting.resume_version
        return seen

    def drop_pending(self) -> None:
        """Forget what waits; it will be seen again from an older version or in a list."""
        self._pending.clear()
        self._due.clear()

    def _forget_old(self, now: float) -> None:
        while self._stored_at:
            oldest = next(iter(self._stored_at))
            if self._stored_at[oldest] + self._interval > now:
                return
            del self._stored_at[oldest]
