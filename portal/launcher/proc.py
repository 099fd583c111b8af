"""Processes by identity: a pid together with its start time, so that a re-used pid is never hit."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Identity:
    """One process on this machine. `started` is opaque: equal means the same process."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has `pid` now, None when there is none (or only its exit status)."""
        started = _start_time(pid)
        return cls(pid, started) if started else None

    def is_alive(self) -> bool:
        return Identity.of(self.pid) == self

    def is_running_in(self, folder: Path) -> bool:
        """Whether its working folder is `folder`; False where the system does not tell."""
        try:
            return (PROC / str(self.pid) / "cwd").resolve(strict=True) == folder.resolve()
        except OSError:
            return False

    def signal(self, name: str) -> None:
        """Send `name` (such as "SIGTERM") to this process alone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, getattr(signal, name))

    def kill(self) -> None:
        """SIGKILL, to its whole group if it leads one."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)

    def stop(self, signal_name: str, *, grace_seconds: float) -> None:
        """Ask with `signal_name`, insist with SIGKILL after `grace_seconds`; returns when gone."""
        if not self.is_alive():
            return
        self.signal(signal_name)
        if not self.wait_until_gone(grace_seconds):
            self.kill()
            self.wait_until_gone(5)

    def wait_until_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _start_time(pid: int) -> str:
    """Start time of a running process in clock ticks since boot; "" when it is gone."""
    if not PROC.joinpath("self").exists():
        return _start_time_by_ps(pid)
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # The second field, the name, may hold spaces and brackets: count from its end.
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _start_time_by_ps(pid: int) -> str:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()


def carrying(marker: str) -> list[Identity]:
    """Every process with `marker` (NAME=value) in its environment that we may look at."""
    needle = marker.encode()
    found = []
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if needle in (folder / "environ").read_bytes().split(b"\0"):
                found.append(Identity.of(int(folder.name)))
    return [identity for identity in found if identity and identity.pid != os.getpid()]


def die_with_parent(name: str) -> Callable[[], None]:
    """For Popen's `preexec_fn`: the child gets signal `name` when we end, however we end.

    Linux only; elsewhere the next start finds what was left behind (`portal.launcher.leftovers`).
    """
    number, parent, prctl = int(getattr(signal, name)), os.getpid(), _prctl()

    def ask_kernel() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, number)
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def _prctl() -> Callable[[int, int], int] | None:
    # Looked up before the fork: after it, only async-signal-safe work is allowed.
    return getattr(ctypes.CDLL(None), "prctl", None)
