"""The one clock of a cluster: every timestamp and every delay comes from here.

`Clock` follows real time. `ManualClock` stands still until somebody moves it, so that deadlines and
back-offs can be stepped through.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def rfc3339(moment: datetime) -> str:
    """`metav1.Time`: whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(moment: datetime) -> str:
    """`metav1.MicroTime`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """Read either form; raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class Clock:
    """Real time, on the running event loop."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def later(self, delay_seconds: float, call: Callable[[], None]) -> None:
        """Call `call` once, `delay_seconds` from now."""
        asyncio.get_running_loop().call_later(max(delay_seconds, 0.0), call)

    def stamp(self) -> str:
        """Now, as objects carry it (whole seconds)."""
        return rfc3339(self.now())

    def seconds_until(self, stamp: str) -> float:
        """Seconds from now to a timestamp; negative when it has passed."""
        return (parse_rfc3339(stamp) - self.now()).total_seconds()


class ManualClock(Clock):
    """Stands still; `advance` moves it and runs what falls due on the way."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._now

    def later(self, delay_seconds: float, call: Callable[[], None]) -> None:
        due = self._now + timedelta(seconds=max(delay_seconds, 0.0))
        heapq.heappush(self._due, (due, next(self._order), call))

    def advance(self, seconds: float) -> None:
        """Move time forward, running due calls in order at their own moment."""
        target = self._now + timedelta(seconds=seconds)
        while self._due and self._due[0][0] <= target:
            self._now, _, call = heapq.heappop(self._due)
            call()
        self._now = target
