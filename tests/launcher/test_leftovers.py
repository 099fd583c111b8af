"""One launcher per folder; what a killed one left behind is stopped, and nothing else is."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from portal.launcher.console import Console
from portal.launcher.errors import REFUSED, LaunchError
from portal.launcher.layout import Layout
from portal.launcher.leftovers import MARKER, Ledger, sole_launcher
from portal.launcher.proc import Identity

ADDRESS = "http://127.0.0.1:8000/"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "var")
    layout.create()
    return layout


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that an earlier launcher could have started."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = subprocess.Popen(command, env={MARKER: "earlier"}, start_new_session=True)
    yield process
    process.kill()
    process.wait(5)


def test_a_second_launcher_is_refused_and_told_where_the_first_is(layout: Layout) -> None:
    console = Console(io.StringIO())
    second = sole_launcher(layout, "http://127.0.0.1:9000/", console)
    with sole_launcher(layout, ADDRESS, console), pytest.raises(LaunchError) as refusal, second:
        pass
    assert ADDRESS in refusal.value.sentence and str(layout.var) in refusal.value.sentence
    assert refusal.value.exit_code == REFUSED


def test_the_next_launcher_may_start_after_the_first_has_ended(layout: Layout) -> None:
    for _ in range(2):
        with sole_launcher(layout, ADDRESS, Console(io.StringIO())):
            pass


def test_a_recorded_process_is_stopped_and_said_so(
    layout: Layout, sleeper: subprocess.Popen[bytes]
) -> None:
    Ledger(layout.run, "earlier").add("worker", sleeper.pid)
    output = io.StringIO()
    with sole_launcher(layout, ADDRESS, Console(output)):
        assert sleeper.wait(5) == -15
    assert f"worker (pid {sleeper.pid}) is left from an earlier start" in output.getvalue()
    assert not (layout.run / "worker.json").exists()


def test_a_process_that_got_the_pid_later_is_left_alone(
    layout: Layout, sleeper: subprocess.Popen[bytes]
) -> None:
    record = {"pid": sleeper.pid, "started": "an earlier time"}
    (layout.run / "worker.json").write_text(json.dumps(record))
    with sole_launcher(layout, ADDRESS, Console(io.StringIO())):
        assert sleeper.poll() is None


def test_unrecorded_children_of_the_killed_launcher_are_found(
    layout: Layout, sleeper: subprocess.Popen[bytes]
) -> None:
    (layout.run / "current").write_text(json.dumps({"pid": 1, "run_id": "earlier"}))
    with sole_launcher(layout, ADDRESS, Console(io.StringIO())):
        assert sleeper.wait(5) == -9


def test_spoilt_records_stop_nobody_from_starting(layout: Layout) -> None:
    (layout.run / "current").write_text("{half a rec")
    (layout.run / "worker.json").write_text("[]")
    (layout.run / "web.json").write_text(json.dumps(asdict(Identity(0, ""))))
    with sole_launcher(layout, ADDRESS, Console(io.StringIO())):
        assert list(layout.run.glob("*.json")) == []
