"""Time limits that a slow server cannot stretch.

A socket time-out only bounds one read, so a server that sends a byte now and then beats it. Here a
`Patience` is asked before every read of a socket (`tls.py`) how long that one may still take.
All clocks are monotonic; all durations are seconds.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
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

    def next_wait(self, sock: ssl.SSLSocket) -> float:
        """Seconds that socket may block now; 0 means: only take what is there already.

        Raises TimeoutError when there is no time left.
        """

    def on_quiet(self) -> None:
        """Called when that time passed and nothing came. Returns to wait again, or raises."""

    def on_sent(self) -> None:
        """Called when bytes of a request have left."""

    def on_end(self) -> None:
        """Called when the request is over, well or badly."""


class Interrupted(Exception):
    """The thread was asked to stop what it waits for."""


class Interruption:
    """Ends what one thread waits for, a blocked read included, at another thread's word."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._socket: ssl.SSLSocket | None = None

    def set(self) -> None:
        """Stop the waiting thread; from now on it waits for nothing."""
        self._event.set()
        if self._socket:
            # Closed already: nothing blocks. SSLSocket.shutdown would pull the TLS layer away.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, unless interrupted."""
        self._event.wait(seconds)

    def guard(self, sock: ssl.SSLSocket) -> None:
        """Called before the thread waits on `sock`. Raises Interrupted."""
        self._socket = sock
        if self._event.is_set():
            raise Interrupted

    def let_go(self) -> None:
        """Called when the thread is done with the socket, which may soon serve another."""
        self._socket = None


class CallPatience:
    """One call: `total_seconds` for everything, at most `read_seconds` between two reads."""

    def __init__(
        self,
        total_seconds: float,
        read_seconds: float,
        interruption: Interruption | None = None,
    ) -> None:
        self.sent = False
        self._read_seconds = read_seconds
        self._ends = time.monotonic() + total_seconds
        self._interruption = interruption

    def next_wait(self, sock: ssl.SSLSocket) -> float:
        if self._interruption:
            self._interruption.guard(sock)
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call's time is used up")
        return min(left, self._read_seconds)

    def on_quiet(self) -> None:
        raise TimeoutError("no answer in time")

    def on_sent(self) -> None:
        self.sent = True

    def on_end(self) -> None:
        if self._interruption:
            self._interruption.let_go()


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
        of_this_call.on_end()


def current_patience() -> Patience | None:
    """The patience that this thread works under, if any."""
    return getattr(_current, "patience", None)
