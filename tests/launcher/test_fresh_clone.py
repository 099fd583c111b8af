"""A stranger's first minutes: a fresh clone, an ordinary user, nothing installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.launcher.account import NOBODY
from portal.launcher.layout import REPOSITORY
from tests.launcher.installation import Installation

pytestmark = pytest.mark.launcher

SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def home() -> Iterator[Path]:
    """A private home with a space in its name, outside pytest's own folders (root's alone)."""
    home = Path(tempfile.mkdtemp(prefix="a stranger's home "))
    yield home
    shutil.rmtree(home)


@pytest.fixture
def stranger(home: Path) -> Installation:
    """The last commit, cloned by an ordinary user: uid 65534 when root runs the tests."""
    clone = home / "pilot house"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", REPOSITORY, clone], check=True)
    account: tuple[str, ...] = ()
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", home], check=True)
        ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        account = ("setpriv", *ids, "--inh-caps=-all")
    python = SYSTEM_PYTHON if account else Path(sys.executable)
    environment = {"HOME": str(home), "PILOTHOUSE_PYTHON": str(python)}
    return Installation(clone, clone / "var", account=account, environment=environment)


def test_a_fresh_clone_comes_up_cold_and_again_warm(
    stranger: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    cold = stranger.start()
    assert "Installing requirements.lock" in stranger.output
    assert "Sign out" in stranger.sign_in()
    assert stranger.stop(signal.SIGINT) == 0
    warm = stranger.start()
    assert "Installing" not in stranger.output
    run_id = stranger.run_id
    assert stranger.stop(signal.SIGTERM) == 0
    assert stranger.processes(run_id) == []
    with capsys.disabled():
        print(f"\n./pilothouse up: ready after {cold:.1f} s cold, {warm:.1f} s warm")
