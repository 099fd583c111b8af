"""Objects with resourceVersions, and the log of their changes that watches read.

An object in the store is never changed in place: a write puts a new dictionary there. Readers may
therefore keep what they got, and must copy before they change anything.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .database import Journal

HISTORY_EVENTS = 20_000
Object = dict[str, Any]
Name = tuple[str, str]  # namespace ("" when cluster-scoped), name


def dumps(value: Any) -> bytes:
    """JSON as small as it gets."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Record:
    """One version of one object, with its JSON made at most once for all its readers."""

    __slots__ = ("obj", "_json")

    def __init__(self, obj: Object, encoded: bytes | None = None) -> None:
        self.obj = obj
        self._json = encoded

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = dumps(self.obj)
        return self._json


class Change(NamedTuple):
    """One entry of the log. `record` is the newest state, for DELETED the last one."""

    revision: int
    type: str  # ADDED, MODIFIED, DELETED
    storage: str
    record: Record
    previous: Record | None


class HistoryLost(Exception):
    """The log does not reach back to the revision asked for."""


def meta(obj: Object) -> Object:
    return obj["metadata"]


def name_of(obj: Object) -> Name:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


class Store:
    """All objects of one cluster. `storage` names a kind's shelf, e.g. `apps/deployments`."""

    def __init__(self, journal: Journal, history_events: int = HISTORY_EVENTS) -> None:
        self._journal = journal
        self._shelves: dict[str, dict[Name, Record]] = {}
        self._dependents: dict[str, set[tuple[str, Name]]] = {}
        self._uids: dict[str, tuple[str, Name]] = {}
        self._log: deque[Change] = deque(maxlen=history_events)
        self._listeners: list[Callable[[Change], None]] = []
        self.revision = journal.first_revision
        self._oldest_revision = self.revision
        for storage, namespace, name, data in journal.rows():
            self._place(storage, (namespace, name), Record(json.loads(data), data))

    def record(self, storage: str, name: Name) -> Record | None:
        return self._shelves.get(storage, {}).get(name)

    def get(self, storage: str, namespace: str, name: str) -> Object | None:
        record = self.record(storage, (namespace, name))
        return record.obj if record else None

    def records(self, storage: str, namespace: str = "") -> list[Record]:
        """Every object of a shelf, or of one namespace of it, in no particular order."""
        shelf = self._shelves.get(storage, {})
        if not namespace:
            return list(shelf.values())
        return [record for name, record in shelf.items() if name[0] == namespace]

    def objects(self, storage: str, namespace: str = "") -> Iterator[Object]:
        return (record.obj for record in self.records(storage, namespace))

    def storages(self) -> list[str]:
        return [storage for storage, shelf in self._shelves.items() if shelf]

    def owned_by(self, uid: str, storage: str = "") -> list[tuple[str, Object]]:
        """Objects with an owner reference to `uid`, with their shelf."""
        found = self._dependents.get(uid, ())
        return [
            (shelf, self._shelves[shelf][name].obj)
            for shelf, name in found
            if not storage or shelf == storage
        ]

    def dependents_of(self, uid: str) -> int:
        """How many objects name `uid` as an owner."""
        return len(self._dependents.get(uid, ()))

    def exists(self, uid: str) -> bool:
        return uid in self._uids

    def by_uid(self, uid: str) -> tuple[str, Object] | None:
        place = self._uids.get(uid)
        return (place[0], self._shelves[place[0]][place[1]].obj) if place else None

    def put(self, storage: str, obj: Object) -> Object:
        """Store `obj` (which becomes the store's own) under a new resourceVersion."""
        name = name_of(obj)
        previous = self.record(storage, name)
        self._advance(obj)
        record = Record(obj)
        if previous:
            self._unlink(storage, name, previous.obj)
        self._place(storage, name, record)
        self._journal.write(storage, *name, record.json)
        self._announce("MODIFIED" if previous else "ADDED", storage, record, previous)
        return obj

    def remove(self, storage: str, name: Name) -> Object:
        """Take an object away; the returned last state carries the revision of its deletion."""
        previous = self._shelves[storage].pop(name)
        self._unlink(storage, name, previous.obj)
        last = {**previous.obj, "metadata": dict(previous.obj["metadata"])}
        self._advance(last)
        self._journal.write(storage, *name, None)
        self._announce("DELETED", storage, Record(last), previous)
        return last

    def _advance(self, obj: Object) -> None:
        self.revision += 1
        self._journal.reserve(self.revision)
        obj["metadata"]["resourceVersion"] = str(self.revision)

    def _place(self, storage: str, name: Name, record: Record) -> None:
        self._shelves.setdefault(storage, {})[name] = record
        metadata = record.obj["metadata"]
        self._uids[metadata["uid"]] = (storage, name)
        for owner in metadata.get("ownerReferences", ()):
            self._dependents.setdefault(owner["uid"], set()).add((storage, name))

    def _unlink(self, storage: str, name: Name, obj: Object) -> None:
        self._uids.pop(obj["metadata"]["uid"], None)
        for owner in obj["metadata"].get("ownerReferences", ()):
            dependents = self._dependents.get(owner["uid"], set())
            dependents.discard((storage, name))
            if not dependents:
                self._dependents.pop(owner["uid"], None)

    def _announce(self, kind: str, storage: str, record: Record, previous: Record | None) -> None:
        if len(self._log) == self._log.maxlen:
            self._oldest_revision = self._log[0].revision
        change = Change(self.revision, kind, storage, record, previous)
        self._log.append(change)
        for listener in list(self._listeners):
            listener(change)

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Hear of every change from now on; the returned function ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def changes_since(self, revision: int) -> list[Change]:
        """The log after `revision`; raises HistoryLost when it no longer reaches back that far."""
        if revision < self._oldest_revision:
            raise HistoryLost(f"too old resource version: {revision} ({self._oldest_revision})")
        newer: list[Change] = []
        for change in reversed(self._log):
            if change.revision <= revision:
                break
            newer.append(change)
        return newer[::-1]
