"""The work queue every controller runs on."""

import asyncio
import logging
from typing import TYPE_CHECKING

from ..errors import StatusError
from ..event_recorder import Note
from ..store import Change, Object, name_of

if TYPE_CHECKING:
    from ..cluster import Cluster

Key = tuple[str, str]
RETRY_SECONDS = (0.01, 0.05, 0.2, 1.0, 5.0, 15.0)
log = logging.getLogger("fleet.sandbox")


class Controller:
    """Calls `sync(key)` for every key that was enqueued, once however often that was."""

    component = ""  # the name under which it writes and records events
    watches: tuple[str, ...] = ()  # the shelves whose changes it hears of

    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.api, self.store, self.clock = cluster.api, cluster.store, cluster.clock
        self._queue: dict[Key, None] = {}
        self._failures: dict[Key, int] = {}
        self._settling: set[Key] = set()
        self._wake = asyncio.Event()
        self.store.listen(self._hear)

    def start(self) -> None:
        """Look at everything that is there already."""
        for storage in self.watches:
            for record in self.store.records(storage):
                self.observe(Change(self.store.revision, "ADDED", storage, record, None))

    def _hear(self, change: Change) -> None:
        if change.storage in self.watches:
            self.observe(change)

    def observe(self, change: Change) -> None:
        """Decide what a change means; by default: look at that object."""
        self.enqueue(name_of(change.record.obj))

    def sync(self, key: Key) -> None:
        raise NotImplementedError

    @property
    def is_busy(self) -> bool:
        return bool(self._queue)

    def enqueue(self, key: Key) -> None:
        self._queue[key] = None
        self._wake.set()

    def enqueue_settled(self, key: Key, delay_seconds: float) -> None:
        """Wait for more changes to come together, then look at the key once."""
        if key not in self._settling and key not in self._queue:
            self._settling.add(key)
            self.clock.later(delay_seconds, lambda: self._settle(key))

    def _settle(self, key: Key) -> None:
        self._settling.discard(key)
        self.enqueue(key)

    def enqueue_after(self, key: Key, delay_seconds: float) -> None:
        self.clock.later(delay_seconds, lambda: self.enqueue(key))

    async def run(self) -> None:
        """Work until cancelled, giving way to requests between two keys."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                self.work_once()
                await asyncio.sleep(0)

    def work_once(self) -> None:
        """Handle the oldest key; a failed one comes back later."""
        key = next(iter(self._queue))
        del self._queue[key]
        try:
            self.sync(key)
        except StatusError as error:
            self._retry(key, error)
        except Exception as error:  # a bug in one object's handling must not stop the others
            log.exception("%s: %s/%s", self.component, *key)
            self._retry(key, error)
        else:
            self._failures.pop(key, None)

    def _retry(self, key: Key, error: Exception) -> None:
        tries = self._failures.get(key, 0)
        self._failures[key] = tries + 1
        log.debug("%s: %s/%s: %s", self.component, *key, error)
        self.enqueue_after(key, RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])

    def record(self, obj: Object, kind: str, reason: str, message: str, action: str = "") -> None:
        """Record an event about `obj`; `kind` is Normal or Warning."""
        self.cluster.events.record(self.component, obj, Note(kind, reason, message, action))


def controller_of(obj: Object) -> Object | None:
    """The owner reference that manages an object."""
    for owner in obj["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return owner
    return None


def owner_reference(owner: Object) -> Object:
    """A controller reference to `owner` (metav1.NewControllerRef)."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
