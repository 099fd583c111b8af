"""Follows one kind of object on one cluster: list, watch, resume, and never lose a change.

The recipe: list in pages, keep a small projection of each object, watch from the list's version
with bookmarks, resume from the last version after any trouble with full-jitter back-off, list
again and tell the difference when the version is too old (410), and once an hour compare the
cluster with what is known. One object of this class is one thread.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from fleet.kube.changes import Change, Coalescer, Known, Sink, State, digest
from fleet.kube.clock import Interrupted, Interruption
from fleet.kube.errors import Forbidden, Gone, KubeError, NotFound, TooManyRequests, Unavailable
from fleet.kube.gateway import Gateway
from fleet.kube.listening import Listening, Timing, lines
from fleet.kube.listing import Page
from fleet.kube.projections import Watched
from fleet.kube.status import Asked, error_from_event
from fleet.kube.wire import Limits, Request

__all__ = ["ListWatch", "Timing"]

log = logging.getLogger(__name__)

BATCH = 500
LIST_LIMITS = Limits(connect=3.0, read=20.0, total=60.0)
WATCH_LIMITS = Limits(connect=3.0, read=20.0)


class _SinkFailed(Exception):
    pass


class ListWatch:
    """One kind on one cluster. `run` blocks; only `stop` may be called from other threads.

    `namespace` narrows it to one, for credentials that may see no more.
    """

    def __init__(
        self,
        gateway: Gateway,
        watched: Watched,
        sink: Sink,
        *,
        namespace: str | None = None,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._gateway, self._watched, self._sink = gateway, watched, sink
        self._namespace = namespace
        self._timing, self._clock, self._uniform = timing, clock, uniform
        self._coalescer = Coalescer(timing.coalesce, clock)
        self._seen = ""  # the last version heard of
        self._cursor = ""  # the version the sink has stored
        self._stopping = Interruption()
        self._list_limits = replace(LIST_LIMITS, interruption=self._stopping)
        self._failures = 0
        self._quiet = False  # the last watch heard nothing
        self._opened_at: float | None = None
        self._lost_at: float | None = clock()
        self._reported: tuple[State, str] | None = None
        self._next_audit = self._audit_time()

    def resume_from(
        self, resource_version: str, stored: Iterable[tuple[str, str, str, dict[str, Any]]]
    ) -> None:
        """Go on where an earlier process stopped; `stored` yields (uid, namespace, name,
        projection) of all objects it left. Call before `run`. A version of "" lists anew."""
        self._seen = self._cursor = resource_version
        for uid, namespace, name, projection in stored:
            self._coalescer.known[uid] = Known(namespace, name, digest(projection))

    def run(self) -> None:
        """List and watch until `stop` is called. Never raises for what a cluster or sink does."""
        while not self._stopping.is_set():
            try:
                self._turn()
            except Interrupted:
                return
            except Exception as error:  # noqa: BLE001 - a watch outlives any single failure
                if not self._stopping.is_set():
                    self._recover(error)

    def stop(self) -> None:
        """Make `run` return soon; a blocked read is ended."""
        self._stopping.set()

    # One turn: be up to date, then listen until the watch ends.

    def _turn(self) -> None:
        if not self._seen:
            self._list()
        elif self._clock() >= self._next_audit:
            self._audit()
        self._watch()
        if not self._was_open_for(self._timing.backoff_min):
            # A server that hangs up at once must not be asked in a tight loop.
            raise Unavailable("the watch was closed at once")
        self._failures = 0

    def _recover(self, error: Exception) -> None:
        error = self._save(error)
        self._failures = 1 if self._was_open_for(self._timing.healthy) else self._failures + 1
        self._opened_at = None
        if not isinstance(error, KubeError):
            log.warning("watch of %s: %r", self._watched.kind, error, exc_info=error)
        if isinstance(error, Gone) and self._failures == 1:
            return  # an expired version is ordinary: list at once, but only once
        if self._lost_at is None:
            self._lost_at = self._clock()
        self._report(self._lost_state(error), str(error))
        self._pause(self._delay(error), error)

    def _save(self, error: Exception) -> Exception:
        """Keep what was heard before the trouble; what cannot be stored will be heard again."""
        if isinstance(error, Gone):
            self._seen = ""
        elif not isinstance(error, _SinkFailed):
            try:
                self._flush(all_of_them=True, even_if_empty=True)
                return error
            except _SinkFailed as failure:
                error = failure
        self._coalescer.drop_pending()
        self._seen = self._seen and self._cursor
        return error

    def _was_open_for(self, seconds: float) -> bool:
        return self._opened_at is not None and self._clock() - self._opened_at >= seconds

    def _delay(self, error: Exception) -> float:
        ceiling = min(
            self._timing.backoff_max, self._timing.backoff_min * 2 ** min(self._failures - 1, 20)
        )
        asked = error.retry_after_seconds if isinstance(error, TooManyRequests) else 0.0
        return max(self._uniform(0, ceiling), asked)

    def _pause(self, seconds: float, error: Exception) -> None:
        until_stale = (self._lost_at or 0) + self._timing.stale_after - self._clock()
        if 0 < until_stale < seconds:
            self._stopping.wait(until_stale)
            self._report(self._lost_state(error), str(error))
            seconds -= until_stale
        self._stopping.wait(seconds)

    def _lost_state(self, error: Exception) -> State:
        if isinstance(error, Forbidden | NotFound):
            return "forbidden"
        long_lost = self._clock() - (self._lost_at or 0) >= self._timing.stale_after
        return "stale" if long_lost else "reconnecting"

    def _report(self, state: State, detail: str = "") -> None:
        if (state, detail) == self._reported:
            return
        self._reported = (state, detail)
        try:
            self._sink.state(state, detail)
        except Exception:  # noqa: BLE001 - the state is a courtesy; the watch goes on
            log.warning("the sink refused the state %s", state, exc_info=True)

    # Listing.

    def _list(self) -> None:
        self._compare({})

    def _audit(self) -> None:
        """Compare with the cluster *at the version we have*: then any difference is a defect."""
        self._flush(all_of_them=True)
        self._next_audit = self._audit_time()
        at, found = self._seen, []
        try:
            self._compare({"resourceVersion": at, "resourceVersionMatch": "Exact"}, found.extend)
        except Gone:
            self._compare({})  # too old to compare; the plain list repairs just as well
            return
        if found and self._seen == at:
            log.error("audit: the watch of %s missed %d changes", self._watched.kind, len(found))
            self._sink.drift(found)

    def _audit_time(self) -> float:
        return self._clock() + self._timing.audit * self._uniform(0.8, 1.2)

    def _compare(
        self, query: dict[str, str], note: Callable[[list[Change]], None] = lambda _: None
    ) -> None:
        """List all; store and note what differs from what is known."""
        self._coalescer.drop_pending()
        missing = {(k.namespace, k.name): uid for uid, k in self._coalescer.known.items()}
        unseen = set(self._coalescer.known)
        version = ""
        for page in self._pages(query):
            listed = [self._upsert(item) for item in page.items()]
            # The first page's: should a server not keep its snapshot, too old only means more news.
            version = version or page.resource_version
            unseen.difference_update(change.uid for change in listed)
            ended = [self._end(uid) for uid in self._replaced(listed, missing) if uid in unseen]
            unseen.difference_update(change.uid for change in ended)
            changed = ended + [change for change in listed if self._coalescer.differs(change)]
            self._store(changed, self._cursor)
            note(changed)
        if not version:
            raise Unavailable(f"the list of {self._watched.kind} has no resourceVersion")
        gone = [self._end(uid) for uid in unseen]
        self._store(gone, version, even_if_empty=True)
        self._seen = version
        note(gone)

    def _pages(self, query: dict[str, str]) -> Iterator[Page]:
        wanted = self._selectors() | {"limit": str(BATCH)} | query
        watched = self._watched
        return self._gateway.pages(
            watched.api_version, watched.kind, self._namespace, wanted, self._list_limits
        )

    def _replaced(self, listed: list[Change], by_name: dict[tuple[str, str], str]) -> list[str]:
        """Known objects whose names now belong to others; they end before those begin."""
        found = []
        for change in listed:
            uid = by_name.get((change.namespace, change.name))
            if uid and uid != change.uid:
                found.append(uid)
        return found

    # Watching.

    def _watch(self) -> None:
        seconds = self._seconds()
        resource = self._gateway.resource(self._watched.api_version, self._watched.kind)
        asked = Asked("watch", resource.qualified)
        query = self._selectors() | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._seen,
            "timeoutSeconds": str(max(1, int(seconds))),
        }
        listening = Listening(
            self._timing, self._clock, self._coalescer, self._flush, self._stopping, seconds
        )
        self._opened_at = None
        try:
            self._listen(Request(asked, "GET", resource.path(self._namespace), query), listening)
        except Unavailable:
            # Nothing going on, or half-open: only a new connection can tell.
            if not listening.gave_up or self._opened_at is None:
                raise
        finally:
            self._quiet = not listening.has_heard
        self._flush(all_of_them=True)

    def _listen(self, request: Request, listening: Listening) -> None:
        with self._gateway.wire.stream(request, WATCH_LIMITS, listening) as response:
            self._opened()
            for line in lines(response):
                listening.heard()
                self._hear(json.loads(line), request.asked)

    def _seconds(self) -> float:
        """How long to watch. API servers send bookmarks rarely, but always at a watch's end: where
        it is quiet, a watch shorter than the watchdog's patience keeps the version fresh."""
        seconds = self._uniform(self._timing.watch_min, self._timing.watch_max)
        return min(seconds, self._timing.idle * 0.8) if self._quiet else seconds

    def _opened(self) -> None:
        self._opened_at, self._lost_at = self._clock(), None
        self._report("live")

    def _hear(self, event: dict[str, Any], asked: Asked) -> None:
        obj = event.get("object") or {}
        if event.get("type") == "ERROR":
            raise error_from_event(obj, asked)
        version = str((obj.get("metadata") or {}).get("resourceVersion") or self._seen)
        if event.get("type") == "BOOKMARK":
            self._seen = version
            self._flush(even_if_empty=True)
            return
        change = self._upsert(obj) if event.get("type") != "DELETED" else self._end_of(obj)
        self._coalescer.see(change, self._seen)
        self._seen = version

    def _flush(self, *, all_of_them: bool = False, even_if_empty: bool = False) -> None:
        while due := self._next_batch(all_of_them):
            self._store(due, self._coalescer.resume_version(self._seen, due))
            even_if_empty = False
        if even_if_empty:
            self._store([], self._coalescer.resume_version(self._seen, []), even_if_empty=True)

    def _next_batch(self, all_of_them: bool) -> list[Change]:
        coalescer = self._coalescer
        return coalescer.all_pending()[:BATCH] if all_of_them else coalescer.due(BATCH)

    def _store(self, changes: list[Change], cursor: str, *, even_if_empty: bool = False) -> None:
        if not changes and (cursor == self._cursor or not even_if_empty):
            return
        try:
            self._sink.batch(changes, cursor)
        except Exception as error:
            # Its own type, so that no layer of the HTTP stack mistakes it for a network error.
            raise _SinkFailed(f"changes could not be stored: {error}") from error
        self._cursor = cursor
        self._coalescer.stored(changes)

    # Objects to changes.

    def _upsert(self, obj: dict[str, Any]) -> Change:
        meta = obj.get("metadata") or {}
        try:
            projection = self._watched.project(obj)
        except Exception as error:  # noqa: BLE001 - one odd object must not end the watch
            projection = {"unreadable": f"{type(error).__name__}: {error}"}
        return self._change("upsert", meta, projection)

    def _end_of(self, obj: dict[str, Any]) -> Change:
        return self._change("delete", obj.get("metadata") or {}, {})

    def _end(self, uid: str) -> Change:
        known = self._coalescer.known[uid]
        return self._change("delete", known._asdict() | {"uid": uid}, {})

    def _change(self, kind_of: Any, meta: dict[str, Any], projection: dict[str, Any]) -> Change:
        texts = (meta.get(k) or "" for k in ("namespace", "name", "uid"))
        version = meta.get("resourceVersion") or ""
        mark = digest(projection) if kind_of == "upsert" else b""
        return Change(kind_of, self._watched.kind, *texts, projection, version, mark)

    def _selectors(self) -> dict[str, str]:
        watched = self._watched
        both = {"labelSelector": watched.label_selector, "fieldSelector": watched.field_selector}
        return {key: value for key, value in both.items() if value}
