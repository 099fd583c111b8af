"""Child processes that cannot outlive the test run, each with a log file of its own."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path


class ProcessDied(RuntimeError):
    """A child ended by itself; the message carries the last lines of its log."""


class Child:
    """One process in a group of its own; the kernel kills it when the starting thread dies."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = [*_tied_to_parent(), *command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises ProcessDied when the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-15:]
            raise ProcessDied("\n".join([f"{self.name} ended: {self._process.returncode}", *tail]))

    def kill(self) -> None:
        """Ends the whole group at once and reaps it; harmless when it is gone already."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._process = None


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now. All are held until the last is known, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def _tied_to_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
