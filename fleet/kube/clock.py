"""Time limits that a slow server cannot stretch.

A socket time-out only bounds one read, so a server that sends a byte now and then beats it. Here a
`Patience` is asked before every read of a socket (`tls.py`) how long that one may still take.
All clocks are monotonic; all durations are seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from fleet.kube.errors import BudgetSpent


class Budget:
    """The time set aside for a piece of work made of several calls, such as one engine tick."""

    def __init__(self, seconds: float = 20.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._ends = clock() + seconds

    def left(self) -> float:
        """Seconds left, more than 0. Raises BudgetSpent when there are none."""
        left = self._ends - self._clock()
        if left <= 0:
            raise BudgetSpent(f"the {self.seconds:g} s set aside for this work are used up")
        return left


class Patience(Protocol):
    """How long a request is willing to wait, asked by its socket."""

    def next_wait(self) -> float:
        """Seconds the next read or write may block; 0 means: only what is there already.

        Raises TimeoutError when there is no time left.
        """

    def on_quiet(self) -> None:
        """Called when that time passed and nothing came. Returns to wait again, or raises."""

    def on_sent(self) -> None:
        """Called when the first bytes of a request have left."""


class CallPatience:
    """One call: `total_seconds` for everything, at most `read_seconds` between two reads."""

    def __init__(self, total_seconds: float, read_seconds: float) -> None:
        self.sent = False
        self._read_seconds = read_seconds
        self._ends = time.monotonic() + total_seconds

    def next_wait(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call's time is used up")
        return min(left, self._read_seconds)

    def on_quiet(self) -> None:
        raise TimeoutError("no answer in time")

    def on_sent(self) -> None:
        self.sent = True


_current = threading.local()


@contextmanager
def patience(of_this_call: Patience) -> Iterator[None]:
    """Put the sockets that this thread uses inside the block under that patience."""
    before = current_patience()
    _current.patience = of_this_call
    try:
        yield
    finally:
        _current.patience = before


def current_patience() -> Patience | None:
    """The patience that this thread works under, if any."""
    return getattr(_current, "patience", None)
