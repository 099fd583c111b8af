"""A watch under test: run in a thread, with a sink that keeps what it was given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fleet.kube import projections
from fleet.kube.changes import Change, State
from fleet.kube.connect import gateway_for
from fleet.kube.endpoint import Endpoint
from fleet.kube.projections import Watched
from fleet.kube.watch import ListWatch, Timing

PODS = Watched("v1", "Pod", projections.pod)

# Short waits, so that the tests of back-off and watchdog take no minutes.
QUICK = Timing(
    watch_min=20, watch_max=20, idle=20, backoff_min=0.05, backoff_max=0.4, healthy=5,
    stale_after=1.0, coalesce=0.25, audit=10**6,
)  # fmt: skip


class Store:
    """A sink with memory: the picture, the cursor, all batches, all states."""

    def __init__(self) -> None:
        self.objects: dict[str, Change] = {}
        self.batches: list[tuple[float, list[Change], str]] = []
        self.states: list[tuple[State, str]] = []
        self.drifts: list[list[Change]] = []
        self.cursor = ""
        self.refuse = 0  # raise this many times

    def batch(self, changes: list[Change], resource_version: str) -> None:
        if self.refuse:
            self.refuse -= 1
            raise TimeoutError("the database is away")
        self.batches.append((time.monotonic(), list(changes), resource_version))
        self.cursor = resource_version
        for change in changes:
            if change.type == "delete":
                self.objects.pop(change.uid)
            else:
                self.objects[change.uid] = change

    def state(self, state: State, detail: str) -> None:
        self.states.append((state, detail))

    def drift(self, changes: list[Change]) -> None:
        self.drifts.append(changes)

    def names(self) -> set[str]:
        return {change.name for change in self.objects.values()}

    def phase(self, name: str) -> str:
        found = [c for c in self.objects.values() if c.name == name]
        return found[0].projection["phase"] if found else ""

    def changes(self, name: str) -> list[Change]:
        return [c for _, batch, _ in self.batches for c in batch if c.name == name]

    def stored(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        return [(u, c.namespace, c.name, c.projection) for u, c in self.objects.items()]


@contextmanager
def running(
    endpoint: Endpoint,
    store: Store,
    watched: Watched = PODS,
    resume: bool = False,
    namespace: str | None = None,
    **timing: float,
) -> Iterator[ListWatch]:
    """A watch in its thread; it must end within 5 s of being asked to."""
    pace = replace(QUICK, **timing)
    watch = ListWatch(gateway_for(endpoint), watched, store, namespace=namespace, timing=pace)
    if resume:
        watch.resume_from(store.cursor, store.stored())
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join(5)
        assert not thread.is_alive(), "the watch did not stop"


def eventually(holds: Callable[[], object], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.01)
