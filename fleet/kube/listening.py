"""An open watch: its lines, its limits, and what is done while it waits for the next one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fleet.kube.changes import Coalescer
from fleet.kube.clock import Interruption
from fleet.kube.errors import Unavailable

MAX_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Timing:
    """All durations of a watch, in seconds. Tests shorten them; production has no reason to."""

    watch_min: float = 240.0
    watch_max: float = 480.0
    grace: float = 30.0  # beyond what the server was asked for
    idle: float = 60.0  # without an event or bookmark; then the connection is made anew
    backoff_min: float = 0.8
    backoff_max: float = 30.0
    healthy: float = 60.0  # a watch this long forgives earlier failures
    stale_after: float = 30.0
    coalesce: float = 0.25
    linger: float = 0.05  # how long a due change may wait for others to share its transaction
    audit: float = 3600.0  # +-20 %


class Listening:
    """The patience of an open watch: due changes are stored while it waits for the next byte.

    `has_heard` tells whether anything came, `gave_up` whether it ended by silence or overtime.
    """

    def __init__(
        self,
        timing: Timing,
        clock: Callable[[], float],
        coalescer: Coalescer,
        flush: Callable[[], None],
        stopping: Interruption,
        seconds: float,
    ) -> None:
        self._timing, self._clock = timing, clock
        self._coalescer, self._flush, self._stopping = coalescer, flush, stopping
        self._ends = clock() + seconds + timing.grace
        self._heard_at = clock()
        self.has_heard = self.gave_up = False

    def heard(self) -> None:
        """A whole event or bookmark came: the connection is alive."""
        self.has_heard = True
        self._heard_at = self._clock()

    def next_wait(self, sock: ssl.SSLSocket) -> float:
        self._stopping.guard(sock)
        now = self._clock()
        give_up = min(self._ends, self._heard_at + self._timing.idle)
        if now >= give_up:
            self.gave_up = True
            raise TimeoutError(f"nothing heard for {now - self._heard_at:.0f} s")
        due_at = self._coalescer.next_due()
        if due_at is None:
            return give_up - now
        if due_at + self._timing.linger <= now:
            self._flush()
            return self.next_wait(sock)
        # With something due, only take what has arrived already, to share one transaction.
        return 0.0 if due_at <= now else min(due_at, give_up) - now

    def on_quiet(self) -> None:
        self._flush()

    def on_sent(self) -> None:
        pass

    def on_end(self) -> None:
        self._stopping.let_go()


def lines(response: Any) -> Iterator[bytes]:
    """The lines of a body, each as soon as it is complete. Raises Unavailable for endless ones."""
    parts: list[bytes] = []
    while chunk := response.read1(65536, decode_content=False):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            parts.append(end)
            if line := b"".join(parts).strip():
                yield line
            parts.clear()
        parts.append(rest)
        if sum(map(len, parts)) > MAX_LINE_BYTES:
            raise Unavailable("a watch event is too large")
