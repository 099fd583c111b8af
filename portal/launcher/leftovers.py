"""One `up` per folder, and the clean-up after one that was killed.

Each started program is recorded in `var/run/<name>.json` by pid and start time, so that a pid that
meanwhile belongs to somebody else is never hit. All carry one marker in their environment, by
which their own children are found too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from portal.launcher.console import Console
from portal.launcher.errors import REFUSED, LaunchError
from portal.launcher.layout import Layout, write_private
from portal.launcher.proc import Identity, carrying

MARKER = "PILOTHOUSE_RUN"  # environment variable of everything that one `up` starts
GRACE_SECONDS = 8.0


@dataclass(frozen=True)
class Ledger:
    """The record of what this `up` started."""

    folder: Path
    run_id: str

    @property
    def marker(self) -> str:
        return f"{MARKER}={self.run_id}"

    def add(self, name: str, pid: int) -> None:
        identity = Identity.of(pid)
        if identity:
            write_private(self.folder / f"{name}.json", json.dumps(asdict(identity)) + "\n")

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink(missing_ok=True)


@contextlib.contextmanager
def sole_launcher(layout: Layout, address: str, console: Console) -> Iterator[Ledger]:
    """Be the only `up` on this folder. LaunchError names the other one when there is one."""
    current = layout.run / "current"
    with (layout.run / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaunchError(_already_running(current, layout), exit_code=REFUSED) from None
        stop_leftovers(layout, console)
        ledger = Ledger(layout.run, secrets.token_hex(8))
        record = {"pid": os.getpid(), "address": address, "run_id": ledger.run_id}
        write_private(current, json.dumps(record) + "\n")
        try:
            yield ledger
        finally:
            current.unlink(missing_ok=True)


def stop_leftovers(layout: Layout, console: Console) -> None:
    """Stop what an earlier, killed `up` left running, and forget it."""
    records = sorted(layout.run.glob("*.json"))
    alive = {path.stem: found for path in records if (found := _recorded(path))}
    for name, identity in alive.items():
        console.say(f"{name} (pid {identity.pid}) is left from an earlier start; stopping it.")
        identity.signal("SIGINT" if name == "postgres" else "SIGTERM")
    for identity in alive.values():
        identity.stop("SIGCONT", grace_seconds=GRACE_SECONDS)
    run_id = _read(layout.run / "current").get("run_id")
    if run_id:
        kill_marked(f"{MARKER}={run_id}")
    for path in records:
        path.unlink(missing_ok=True)


def kill_marked(marker: str) -> list[Identity]:
    """Kill every process that carries `marker`; those killed."""
    found = carrying(marker)
    for identity in found:
        identity.kill()
    for identity in found:
        identity.wait_until_gone(5)
    return found


def _recorded(path: Path) -> Identity | None:
    """The recorded process, None when it is gone."""
    record = _read(path)
    identity = Identity(int(record.get("pid", 0)), str(record.get("started", "")))
    return identity if identity.pid and identity.is_alive() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _already_running(current: Path, layout: Layout) -> str:
    record = _read(current)
    return (
        f"Pilothouse already runs on {layout.var} (pid {record.get('pid', 'unknown')}, "
        f"{record.get('address', 'still starting')}); stop it first, "
        "or set PILOTHOUSE_VAR and PILOTHOUSE_PORT for a second one."
    )
