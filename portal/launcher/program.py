"""One program of the portal: what to run, how to know that it is ready, and a single life of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portal.launcher.console import Console
from portal.launcher.errors import LaunchError
from portal.launcher.leftovers import Ledger
from portal.launcher.proc import die_with_parent

KEPT_LINES = 10
PROBE_SECONDS = 0.1
EXIT_POLL_SECONDS = 0.05
CHUNK_BYTES = 65536


@dataclass(frozen=True)
class Program:
    """What to run.

    Ready when `answers()` is true and every one of `ready_lines` was part of a line it wrote.
    `before_start` runs before each start, also before restarts. `popen_options` win over
    `environment`.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    answers: Callable[[], bool] | None = None
    ready_lines: tuple[str, ...] = ()
    before_start: Callable[[], object] | None = None
    stop_signal: str = "SIGTERM"
    grace_seconds: float = 4.0
    ready_seconds: float = 120.0
    popen_options: dict[str, Any] = field(default_factory=dict)


class Life:
    """One process of a program, from start to end, and the group it leads."""

    def __init__(self, program: Program, console: Console, process: asyncio.subprocess.Process):
        self.program, self.console, self.process = program, console, process
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._awaited = set(program.ready_lines)
        self._buried = False
        self._output = asyncio.create_task(self._read_output())

    @classmethod
    async def begin(cls, program: Program, console: Console, ledger: Ledger) -> Life:
        """Start the process. Raises LaunchError when it cannot even be started."""
        try:
            if program.before_start:
                await asyncio.to_thread(program.before_start)
            process = await cls._spawn(program)
        except (OSError, subprocess.SubprocessError) as error:
            raise LaunchError(f"{program.name} cannot be started: {error}.") from error
        ledger.add(program.name, process.pid)
        return cls(program, console, process)

    @staticmethod
    async def _spawn(program: Program) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *program.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop in order
            preexec_fn=die_with_parent(program.stop_signal),
            **{"env": program.environment} | program.popen_options,
        )

    async def become_ready(self) -> bool:
        """True when ready, False when it ended before."""
        while not await self._is_ready():
            if self.process.returncode is not None:
                return False
            await asyncio.sleep(PROBE_SECONDS)
        return True

    async def wait(self) -> int:
        """Wait for its end, kill what is left of its group; the return code."""
        code = await self._exit()
        self.kill()
        self._buried = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._output), 1)
        return code

    async def stop(self) -> None:
        """Ask it to end, insist after its grace; returns when its whole group is gone."""
        if self.process.returncode is None:
            # The leader alone: PostgreSQL's and Celery's own processes follow it in order.
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(getattr(signal, self.program.stop_signal))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exit(), self.program.grace_seconds)
            self.kill()
        await self.wait()

    def kill(self) -> None:
        """SIGKILL to the whole group. Not twice: its number may be somebody else's by then."""
        if self._buried:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def failure(self, sentence: str) -> LaunchError:
        """`sentence` with the last lines it wrote."""
        return LaunchError(sentence, lines=self.last_lines)

    async def _exit(self) -> int:
        # Not process.wait(): it also waits for whoever inherited the output (CPython gh-119710).
        while self.process.returncode is None:
            await asyncio.sleep(EXIT_POLL_SECONDS)
        return self.process.returncode

    async def _is_ready(self) -> bool:
        if self._awaited:
            return False
        return self.program.answers is None or await asyncio.to_thread(self.program.answers)

    async def _read_output(self) -> None:
        rest = b""
        while part := await self.process.stdout.read(CHUNK_BYTES):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self._take_line(line)
        if rest:
            self._take_line(rest)

    def _take_line(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        self.last_lines.append(line)
        self._awaited = {wanted for wanted in self._awaited if wanted not in line}
        self.console.line(self.program.name, line)


def describe_ending(returncode: int) -> str:
    """A return code in words: "ended with exit code 3", "was killed by SIGKILL"."""
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
