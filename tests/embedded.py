"""Pytest plugin: a PostgreSQL and a Valkey of the tests' own, up before Django reads settings.

Loaded by `-p tests.embedded`. Works at import, because pytest-django reads the settings in its
first hook. A DATABASE_URL or REDIS_URL that is already set is used instead. What a killed run left
behind is removed by the next one; the installation below `var/` is never touched.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portal.launcher import credentials
from portal.launcher.errors import LaunchError
from portal.launcher.layout import Layout
from portal.launcher.postgres import STOP_SIGNAL, VOLATILE, Postgres
from portal.launcher.proc import die_with_parent
from portal.launcher.valkey import Valkey

STOP_SECONDS = 10.0
BASE = Path(tempfile.gettempdir()) / f"pilothouse-tests-{os.getuid()}"

cleanup = contextlib.ExitStack()


def start() -> None:
    """Start what the environment does not already name and point the environment at it."""
    layout = cleanup.enter_context(own_folder())
    os.environ["PILOTHOUSE_VAR"] = str(layout.var)
    for name, value in credentials.application_secrets(layout).items():
        os.environ.setdefault(name, value)
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = start_postgres(layout)
    if "REDIS_URL" not in os.environ:
        os.environ["REDIS_URL"] = start_valkey(layout)


def start_postgres(layout: Layout) -> str:
    """Start the tests' database server; its URL."""
    server = Postgres.of(layout, options=VOLATILE)
    server.initialise()
    options = {"env": server.environment(os.environ), **server.popen_options()}
    run_server("postgres", layout, server, STOP_SIGNAL, options)
    return server.url


def start_valkey(layout: Layout) -> str:
    """Start the tests' broker; its URL."""
    server = Valkey.of(layout)
    server.initialise()
    run_server("valkey", layout, server, "SIGTERM", {})
    return server.url


def run_server(
    name: str,
    layout: Layout,
    server: Postgres | Valkey,
    stop_signal: str,
    popen_options: dict[str, Any],
) -> None:
    """Run `server` until pytest ends, by whatever end. Raises LaunchError with its last lines."""
    log = layout.run / f"{name}.log"
    process = subprocess.Popen(
        server.command(),
        stdin=subprocess.DEVNULL,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for pytest alone
        preexec_fn=die_with_parent(stop_signal),
        **popen_options,
    )
    cleanup.callback(stop_server, process, getattr(signal, stop_signal))
    if not server.wait_until_ready(lambda: process.poll() is None):
        lines = log.read_text(errors="replace").splitlines()[-10:]
        raise LaunchError(f"The tests' {name} does not start.", lines=lines)


def stop_server(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """End a server whose data nobody needs any more."""
    process.send_signal(stop_signal)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    process.kill()
    process.wait(STOP_SECONDS)


@contextlib.contextmanager
def own_folder() -> Iterator[Layout]:
    """A `var` folder for this run, gone with it; removes those of runs that were killed."""
    BASE.mkdir(mode=0o700, exist_ok=True)
    for lock in BASE.glob("*.lock"):
        with contextlib.suppress(BlockingIOError), held(lock):
            remove(lock)
    lock = BASE / f"{os.getpid()}-{secrets.token_hex(4)}.lock"
    with held(lock):
        layout = Layout(lock.with_suffix(""))
        layout.create()
        yield layout
        remove(lock)


@contextlib.contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold `lock`, which the kernel lets go when we die. BlockingIOError when its run is alive."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def remove(lock: Path) -> None:
    """Remove the folder that `lock` guards, with whatever may still run in it."""
    layout = Layout(lock.with_suffix(""))
    if layout.ports.exists():
        leftover = Postgres.of(layout)
        leftover.discard_stale_lock()
        shutil.rmtree(leftover.data, ignore_errors=True)
    shutil.rmtree(layout.var, ignore_errors=True)
    lock.unlink(missing_ok=True)


def pytest_unconfigure() -> None:
    cleanup.close()


# pytest ends without pytest_unconfigure when a hook fails before pytest_configure.
atexit.register(cleanup.close)
try:
    start()
except LaunchError as error:
    raise pytest.UsageError(error.render()) from error
