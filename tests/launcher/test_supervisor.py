"""The supervisor with real processes: small Python programs instead of the portal's."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portal.launcher import supervisor as supervising
from portal.launcher.console import Console
from portal.launcher.errors import LaunchError
from portal.launcher.leftovers import MARKER, Ledger
from portal.launcher.proc import Identity, carrying
from portal.launcher.program import Program
from portal.launcher.supervisor import Supervisor

SERVE = "import time; print('serving', flush=True); time.sleep(60)"
RUN_ID = "tests"


class Stage:
    """A supervisor, what it prints, and the programs it gets."""

    def __init__(self, folder: Path):
        self.ledger = Ledger(folder, f"{RUN_ID}-{os.getpid()}")
        self.output = io.StringIO()
        self.supervisor = Supervisor(Console(self.output), self.ledger)

    def program(self, name: str, code: str, *ready_lines: str, **details: object) -> Program:
        environment = {**os.environ, MARKER: self.ledger.run_id}
        command = [sys.executable, "-c", code]
        return Program(name, command, environment, ready_lines=ready_lines, **details)

    def pid(self, name: str) -> int:
        return json.loads((self.ledger.folder / f"{name}.json").read_text())["pid"]

    def processes(self) -> list[Identity]:
        return carrying(self.ledger.marker)

    async def printed(self, text: str) -> str:
        """All output, as soon as it holds `text`."""
        async with asyncio.timeout(20):
            while text not in self.output.getvalue():
                await asyncio.sleep(0.02)
        return self.output.getvalue()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    await stage.supervisor.stop()
    assert stage.processes() == []


async def test_start_returns_when_the_program_is_ready(stage: Stage) -> None:
    slow = "import time; time.sleep(0.3); print('serving', flush=True); time.sleep(60)"
    await stage.supervisor.start(stage.program("web", slow, "serving"))
    assert "web       | serving\n" in stage.output.getvalue()


async def test_a_program_that_dies_is_started_again_and_its_last_lines_are_said(
    stage: Stage,
) -> None:
    talk = "for n in range(30): print('line', n, flush=True)\n" + SERVE
    await stage.supervisor.start(stage.program("worker", talk, "serving"))
    first = stage.pid("worker")
    os.kill(first, 9)
    output = await stage.printed("worker is ready again.")
    assert "worker was killed by SIGKILL; it starts again in 1 s. Its last lines:" in output
    quoted = [line for line in output.splitlines() if line.startswith("up        |     ")]
    assert len(quoted) == 10 and quoted[-1].endswith("serving") and quoted[-2].endswith("line 29")
    assert stage.pid("worker") != first


async def test_a_restart_that_fails_is_said_and_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "FIRST_DELAY_SECONDS", 0.1)
    disk = iter([None, OSError(28, "No space left on device"), None])

    def prepare() -> None:
        if failure := next(disk):
            raise failure

    await stage.supervisor.start(stage.program("web", SERVE, "serving", before_start=prepare))
    os.kill(stage.pid("web"), 9)
    output = await stage.printed("web is ready again.")
    assert "web cannot be started: [Errno 28] No space left on device." in output


async def test_children_of_a_dead_program_go_before_it_starts_again(stage: Stage) -> None:
    parent = "import subprocess; subprocess.Popen(['sleep', '60']); "
    await stage.supervisor.start(stage.program("worker", parent + SERVE, "serving"))
    before = stage.processes()
    assert len(before) == 2
    os.kill(stage.pid("worker"), 9)  # while its child still holds the output
    await stage.printed("worker is ready again.")
    assert not [identity for identity in before if identity.is_alive()]


async def test_each_restart_waits_longer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "FIRST_DELAY_SECONDS", 0.1)
    monkeypatch.setattr(supervising, "LONGEST_DELAY_SECONDS", 0.4)
    brief = "import time; print('serving', flush=True); time.sleep(0.3)"
    await stage.supervisor.start(stage.program("web", brief, "serving"))
    async with asyncio.timeout(30):
        while stage.output.getvalue().count("starts again") < 4:
            await asyncio.sleep(0.05)
    said = [line for line in stage.output.getvalue().splitlines() if "starts again" in line]
    delays = [line.partition("again in ")[2].partition(" s.")[0] for line in said]
    assert delays[:4] == ["0.1", "0.2", "0.4", "0.4"]


async def test_one_that_dies_before_it_is_ready_ends_the_start(stage: Stage) -> None:
    broken = stage.program("web", "print('no such table', flush=True); raise SystemExit(3)", "go")
    with pytest.raises(LaunchError) as failure:
        await stage.supervisor.start(broken, stage.program("worker", SERVE, "serving"))
    assert failure.value.sentence == "web ended with exit code 3 before it was ready:"
    assert failure.value.lines == ["no such table"]


async def test_one_that_never_becomes_ready_ends_the_start(stage: Stage) -> None:
    mute = stage.program("web", SERVE, "never said", ready_seconds=0.5)
    with pytest.raises(LaunchError, match="web was not ready within 0.5 s"):
        await stage.supervisor.start(mute, stage.program("worker", SERVE, "serving"))


async def test_a_program_that_cannot_be_found_is_one_sentence(stage: Stage) -> None:
    missing = Program("web", ["/no/such/program"], dict(os.environ))
    with pytest.raises(LaunchError, match="web cannot be started: .*No such file"):
        await stage.supervisor.start(missing)


async def test_a_failing_step_tells_its_last_lines(stage: Stage) -> None:
    step = stage.program("migrate", "print('column is missing'); raise SystemExit(1)")
    with pytest.raises(LaunchError) as failure:
        await stage.supervisor.run(step)
    assert failure.value.render() == "migrate ended with exit code 1:\n    column is missing"


async def test_stop_ends_children_of_children_and_the_deaf(stage: Stage) -> None:
    deaf = (
        "import signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN); "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True); "
    )
    await stage.supervisor.start(
        stage.program("worker", deaf + SERVE, "serving", grace_seconds=0.3)
    )
    async with asyncio.timeout(10):
        while len(stage.processes()) < 3:
            await asyncio.sleep(0.02)
    await stage.supervisor.stop()
    assert stage.processes() == []
    assert list(stage.ledger.folder.glob("*.json")) == []


async def test_stop_goes_backwards(stage: Stage) -> None:
    farewell = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('bye', flush=True)))"
        "; print('serving', flush=True); time.sleep(60)"
    )
    for name in ("database", "web"):
        await stage.supervisor.start(stage.program(name, farewell, "serving"))
    await stage.supervisor.stop()
    byes = [line for line in stage.output.getvalue().splitlines() if line.endswith("bye")]
    assert [line.split()[0] for line in byes] == ["web", "database"]


async def test_lines_without_end_and_without_sense_are_printed(stage: Stage) -> None:
    odd = r"import sys; sys.stdout.buffer.write(b'\xff' + b'x' * 200000 + b'\nlast')"
    assert (await stage.supervisor.run(stage.program("seed", odd)))[-1] == "last"
