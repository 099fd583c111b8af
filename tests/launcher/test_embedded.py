"""The tests' own servers: gone with their run, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.launcher.layout import REPOSITORY
from portal.launcher.proc import Identity
from tests.launcher.installation import OWN

RUN = """
import os, tests.embedded
var = os.environ["PILOTHOUSE_VAR"]
lock = os.path.join(var, "postgres", "postmaster.pid")
pid = open(lock).readline().strip() if os.path.exists(lock) else "0"
print(os.environ["DATABASE_URL"], var, pid, sep="\\n", flush=True)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a person who starts the tests, with a folder of his own for temporary files."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    return kept | {"TMPDIR": str(tmp_path)}


def run(environment: dict[str, str], then: str = "") -> tuple[str, Path, int]:
    """One run of the tests: its database, its `var`, and the pid of its PostgreSQL."""
    done = subprocess.run(
        [sys.executable, "-c", RUN + then],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    url, var, pid = done.stdout.split("\n")[:3]
    return url, Path(var), int(pid)


def test_a_run_leaves_no_server_and_no_folder(environment: dict[str, str]) -> None:
    url, var, pid = run(environment)
    assert url.startswith("postgres://") and pid
    assert not var.exists() and Identity.of(pid) is None


def test_what_a_killed_run_left_is_removed_by_the_next(environment: dict[str, str]) -> None:
    _, killed, pid = run(environment, then="os.kill(os.getpid(), 9)")
    assert killed.exists()
    _, following, _ = run(environment)
    assert following != killed and not killed.exists()
    assert Identity.of(pid) is None
    assert list(killed.parent.iterdir()) == []


def test_a_given_database_is_used(environment: dict[str, str]) -> None:
    given = "postgres://somebody@127.0.0.1:1/theirs"
    url, _, pid = run(environment | {"DATABASE_URL": given})
    assert (url, pid) == (given, 0)
