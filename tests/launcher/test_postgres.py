"""The embedded PostgreSQL, really started, for root and for ordinary users."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from portal.launcher.errors import LaunchError
from portal.launcher.layout import Layout
from portal.launcher.postgres import STOP_SIGNAL, VOLATILE, Postgres
from portal.launcher.proc import Identity

AS_ROOT = os.geteuid() == 0
ROOT_ONLY = pytest.mark.skipif(not AS_ROOT, reason="only root can change accounts")

# Run in another process, for accounts and machines other than the tests' own.
START_AND_QUERY = """
import sys
from pathlib import Path
from portal.launcher.layout import Layout
from portal.launcher.postgres import VOLATILE, Postgres
from tests.launcher.test_postgres import running

layout = Layout(Path(sys.argv[1]))
layout.create()
server = Postgres.of(layout, options=VOLATILE)
with running(server):
    print(server.account, server.data)
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An installation below a 0700 home, with a space in its path."""
    home = tmp_path / "the home"
    home.mkdir(mode=0o700)
    layout = Layout(home / "var")
    layout.create()
    return layout


@contextlib.contextmanager
def running(server: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    """The server, up and answering, until the block ends."""
    server.initialise()
    process = subprocess.Popen(
        server.command(),
        env=server.environment(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **server.popen_options(),
    )
    try:
        assert server.wait_until_ready(lambda: process.poll() is None)
        yield process
    finally:
        process.send_signal(getattr(signal, STOP_SIGNAL))
        process.wait(20)


def run_elsewhere(
    layout: Layout, *prefix: str, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    """START_AND_QUERY as its own process, behind `prefix`, with `path` as its PATH."""
    return subprocess.run(
        [*prefix, sys.executable, "-c", START_AND_QUERY, str(layout.var)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_data_survives_a_restart_below_a_private_home(layout: Layout) -> None:
    server = Postgres.of(layout, options=VOLATILE)
    with running(server), psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    again = Postgres.of(layout, options=VOLATILE)
    with running(again), psycopg.connect(again.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert again.url == server.url


def test_the_password_is_needed_and_private(layout: Layout) -> None:
    server = Postgres.of(layout, options=VOLATILE)
    with running(server), pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url.replace(server.password, "guess"))
    kept = layout.secrets / "postgres-password"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert server.password not in " ".join(server.command())


def test_a_lost_password_is_told_in_one_sentence(layout: Layout) -> None:
    server = Postgres.of(layout, options=VOLATILE)
    with running(server), pytest.raises(LaunchError, match="refuses the password"):
        replace(server, password="another").answers()


def test_the_database_answers_in_unicode_order_and_utf8(layout: Layout) -> None:
    server = Postgres.of(layout, options=VOLATILE)
    with running(server), psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT upper('é'), current_setting('server_encoding')")
        assert row.fetchone() == ("É", "UTF8")


def test_a_stale_lock_that_names_another_program_is_discarded(layout: Layout) -> None:
    server = Postgres.of(layout, options=VOLATILE)
    server.initialise()
    other = subprocess.Popen(["sleep", "60"])
    try:
        (server.data / "postmaster.pid").write_text(f"{other.pid}\n{server.data}\n")
        server.discard_stale_lock()
        with running(server):
            assert other.poll() is None
    finally:
        other.kill()
        other.wait(5)


def test_a_server_left_in_the_folder_is_stopped_cleanly(layout: Layout) -> None:
    server = Postgres.of(layout, options=VOLATILE)
    with running(server) as process:
        identity = Identity.of(process.pid)
        server.discard_stale_lock()
        assert process.wait(5) == 0
    assert identity is not None and not identity.is_alive()


def test_data_of_another_version_is_refused(layout: Layout) -> None:
    server = Postgres.of(layout)
    server.data.mkdir()
    (server.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(LaunchError, match="made by PostgreSQL 17, this is PostgreSQL 18"):
        server.initialise()


def test_a_data_folder_half_made_is_made_again(layout: Layout) -> None:
    server = Postgres.of(layout, options=VOLATILE)
    draft = server.data.with_name(server.data.name + ".new")
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    with running(server):
        assert not draft.exists()


@ROOT_ONLY
def test_an_ordinary_user_runs_it_as_himself(layout: Layout) -> None:
    user = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    done = run_elsewhere(layout, *user)
    assert done.stdout.strip() == f"Account(prefix=(), uid=None) {layout.postgres}", done.stderr


@ROOT_ONLY
def test_root_without_namespaces_drops_to_nobody(layout: Layout) -> None:
    before = set(Path("/var/lib").glob("pilothouse-*"))
    try:
        with tempfile.TemporaryDirectory() as without_unshare:
            os.chmod(without_unshare, 0o755)
            os.symlink(shutil.which("test") or "/usr/bin/test", f"{without_unshare}/test")
            done = run_elsewhere(layout, path=without_unshare)
        assert done.stdout.startswith("Account(prefix=(), uid=65534) /var/lib/"), done.stderr
    finally:
        for folder in set(Path("/var/lib").glob("pilothouse-*")) - before:
            shutil.rmtree(folder)
