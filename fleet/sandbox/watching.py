"""Watches: the log as a stream of events, from a resourceVersion on, with bookmarks.

Source: k8s.io/apiserver/pkg/storage/cacher and pkg/endpoints/handlers/watch.go.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from . import errors
from .api import Api
from .listing import Matcher, Query
from .resources import Resource
from .store import Change, HistoryLost, Object, Record, dumps

BOOKMARK_SECONDS = 10.0
SHORTEST_WATCH_SECONDS = 1800.0
BACKLOG_EVENTS = 50_000
Encode = Callable[[Record], bytes]


@dataclass(frozen=True, slots=True)
class WatchOptions:
    revision: str = ""
    bookmarks: bool = False
    send_initial_events: bool | None = None
    timeout_seconds: float = 0.0


class Watch:
    """One client's stream of a kind. `async for` yields JSON lines."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        query: Query,
        options: WatchOptions,
        encode: Encode,
    ) -> None:
        self.api, self.resource, self.options = api, resource, options
        self.matches = Matcher(query, resource.kind)
        self.encode = encode
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._is_overrun = False

    async def lines(self) -> AsyncIterator[bytes]:
        """Events until the time-out; an ERROR event when the history is gone."""
        stop = self.api.store.listen(self._hear)
        try:
            try:
                start = self._initial_lines()
            except HistoryLost as lost:
                yield self._line("ERROR", dumps(errors.expired(str(lost)).status))
                return
            if start:
                yield start
            async for lines in self._follow():
                yield lines
        finally:
            stop()

    def _hear(self, change: Change) -> None:
        """Queue a change; a client too slow to read what piled up is cut off, and lists again."""
        if change.storage != self.resource.storage or self._is_overrun:
            return
        self._is_overrun = self._changes.qsize() >= BACKLOG_EVENTS
        self._changes.put_nowait(change)

    def _initial_lines(self) -> bytes:
        store, options = self.api.store, self.options
        from_now = options.revision in ("", "0")
        initial = from_now if options.send_initial_events is None else options.send_initial_events
        lines: list[bytes] = []
        if initial:
            lines = [
                self._line("ADDED", self.encode(record))
                for record in store.records(self.resource.storage)
                if self.matches(record.obj)
            ]
            if options.send_initial_events and options.bookmarks:
                lines.append(self._bookmark({"k8s.io/initial-events-end": "true"}))
        elif not from_now:
            missed = store.changes_since(int(options.revision))
            lines = [line for change in missed if (line := self._event(change))]
        return b"".join(lines)

    async def _follow(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        limit = self.options.timeout_seconds or SHORTEST_WATCH_SECONDS * (1 + random.random())
        end = loop.time() + limit
        next_bookmark = loop.time() + BOOKMARK_SECONDS
        while (now := loop.time()) < end and not self._is_overrun:
            try:
                async with asyncio.timeout(min(end, next_bookmark) - now):
                    first = await self._changes.get()
            except TimeoutError:
                next_bookmark = loop.time() + BOOKMARK_SECONDS
                if self.options.bookmarks:
                    yield self._bookmark()
                continue
            if lines := self._drain(first):
                yield lines

    def _drain(self, first: Change) -> bytes:
        lines = [self._event(first)]
        while not self._changes.empty():
            lines.append(self._event(self._changes.get_nowait()))
        return b"".join(lines)

    def _event(self, change: Change) -> bytes:
        """The event as this watch sees it: objects enter and leave its selectors."""
        if change.storage != self.resource.storage:
            return b""
        was = change.previous is not None and self.matches(change.previous.obj)
        is_now = change.type != "DELETED" and self.matches(change.record.obj)
        if is_now:
            return self._line("MODIFIED" if was else "ADDED", self.encode(change.record))
        if not was:
            return b""
        record = change.record
        if change.type != "DELETED":  # it left the selector: the old state, at the new revision
            assert change.previous is not None
            previous = change.previous.obj
            meta = {**previous["metadata"], "resourceVersion": str(change.revision)}
            record = Record({**previous, "metadata": meta})
        return self._line("DELETED", self.encode(record))

    def _line(self, kind: str, encoded: bytes) -> bytes:
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), encoded)

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        meta: Object = {"resourceVersion": str(self.api.store.revision)}
        if annotations:
            meta["annotations"] = annotations
        head = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return self._line("BOOKMARK", dumps({**head, "metadata": meta}))
