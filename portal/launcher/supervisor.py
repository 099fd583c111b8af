"""Keeps programs running: ready before the next, restarted with back-off, stopped in order."""

from __future__ import annotations

import asyncio
import time

from portal.launcher.console import Console
from portal.launcher.errors import LaunchError
from portal.launcher.leftovers import Ledger, kill_marked
from portal.launcher.program import Life, Program, describe_ending

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0  # after so long a life, the next restart is quick again


class Keeper:
    """Keeps one program running over all its lives."""

    def __init__(self, program: Program, console: Console, ledger: Ledger):
        self.program, self.console, self.ledger = program, console, ledger
        self.life: Life | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, wait until it is ready, keep it running from then on. Raises LaunchError."""
        name, seconds = self.program.name, self.program.ready_seconds
        self.life = await Life.begin(self.program, self.console, self.ledger)
        try:
            ready = await asyncio.wait_for(self.life.become_ready(), seconds)
        except TimeoutError:
            raise self.life.failure(f"{name} was not ready within {seconds:g} s:") from None
        if not ready:
            ending = describe_ending(await self.life.wait())
            raise self.life.failure(f"{name} {ending} before it was ready:")
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it for good; returns when its whole group is gone."""
        if self._task:
            self._task.cancel()
        if self.life:
            await self.life.stop()
        self.ledger.remove(self.program.name)

    async def _keep(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            since = time.monotonic()
            ending = describe_ending(await self.life.wait())
            if time.monotonic() - since > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            sentence = f"{self.program.name} {ending}; it starts again in {delay:g} s."
            self.console.say(self.life.failure(f"{sentence} Its last lines:").render())
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            await self._restart()

    async def _restart(self) -> None:
        name = self.program.name
        try:
            self.life = await Life.begin(self.program, self.console, self.ledger)
            if await asyncio.wait_for(self.life.become_ready(), self.program.ready_seconds):
                self.console.say(f"{name} is ready again.")
        except LaunchError as error:
            self.console.say(error.render())
        except TimeoutError:
            self.console.say(f"{name} runs again, but is not ready yet.")


class Supervisor:
    """All programs of one `up`. Stops them in the reverse order of their starts."""

    def __init__(self, console: Console, ledger: Ledger):
        self.console, self.ledger = console, ledger
        self._rounds: list[list[Keeper]] = []
        self._steps: list[Life] = []

    async def start(self, *programs: Program) -> None:
        """Start programs together; returns when all are ready. Raises LaunchError."""
        keepers = [Keeper(program, self.console, self.ledger) for program in programs]
        self._rounds.append(keepers)
        await together(*(keeper.start() for keeper in keepers))

    async def run(self, program: Program) -> list[str]:
        """Run a program that ends by itself; its last lines. Raises LaunchError when it fails."""
        life = await Life.begin(program, self.console, self.ledger)
        self._steps.append(life)
        code = await life.wait()
        self.ledger.remove(program.name)
        if code != 0:
            raise life.failure(f"{program.name} {describe_ending(code)}:")
        return list(life.last_lines)

    async def stop(self) -> None:
        """Stop everything, last started first; returns when no process is left."""
        for group in [self._steps, *reversed(self._rounds)]:
            # One that cannot be stopped must not keep the others; it is killed below.
            await asyncio.gather(*(member.stop() for member in group), return_exceptions=True)
        escaped = await asyncio.to_thread(kill_marked, self.ledger.marker)
        for identity in escaped:
            self.console.say(f"Killed process {identity.pid}, which had left its group.")

    def kill(self) -> None:
        """Make a stop that is under way end at once."""
        lives = [keeper.life for keepers in self._rounds for keeper in keepers if keeper.life]
        for life in [*lives, *self._steps]:
            if life.process.returncode is None:
                life.kill()


async def together(*coroutines: object) -> None:
    """Await all; the first failure cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
