"""`./pilothouse up`: the order in which the portal comes up, stays up, and goes down."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from portal.launcher import credentials, leftovers, ports, postgres
from portal.launcher.console import Console
from portal.launcher.errors import FAILED, REFUSED, LaunchError
from portal.launcher.layout import REPOSITORY, Layout, write_private
from portal.launcher.plan import SANDBOX_CLUSTERS, Options, Plan, relative
from portal.launcher.postgres import Postgres
from portal.launcher.supervisor import Supervisor, together
from portal.launcher.valkey import Valkey

ADMIN = "admin"
HUSHED = (
    "ignore:No directory at",  # WhiteNoise: static files come straight from the apps
    "ignore:You're running the worker with superuser",  # Celery, for pickle; ours takes JSON
)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """Run until told to stop; the exit code. Says in one sentence why it cannot."""
    options = Options.parse(arguments)
    layout = Layout.from_environment()
    console = Console()
    forget_own_defaults(layout)
    try:
        layout.create()
        with leftovers.sole_launcher(layout, options.address, console) as ledger:
            refuse_taken_port(options)
            return asyncio.run(Up(layout, options, console, ledger).run())
    except LaunchError as error:
        console.say(error.render())
        return error.exit_code
    except OSError as error:
        console.say(f"Cannot go on: {error}")
        return FAILED


def refuse_taken_port(options: Options) -> None:
    """LaunchError when the portal could not listen where it should."""
    where = f"Port {options.port} on {options.bind}"
    try:
        ports.listen_once(options.port, options.bind)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        sentence = f"{where} cannot be used: {reason}."
        if error.errno == errno.EADDRINUSE:
            sentence = (
                f"{where} is taken by another program; stop it, or choose another port: "
                f"PILOTHOUSE_PORT={options.port + 1} ./pilothouse up"
            )
        raise LaunchError(sentence, exit_code=REFUSED) from error


class Up:
    """One run of the portal, from the first server to the last stop."""

    def __init__(
        self, layout: Layout, options: Options, console: Console, ledger: leftovers.Ledger
    ):
        self.layout, self.options, self.console = layout, options, console
        self.postgres = None if given("DATABASE_URL") else Postgres.of(layout)
        self.valkey = None if given("REDIS_URL") else Valkey.of(layout)
        self.plan = Plan(layout, options, child_environment(layout, options, ledger))
        self.supervisor = Supervisor(console, ledger)
        self.first_start = FirstStart(layout, database_key(given("DATABASE_URL")))
        self._told_to_stop = asyncio.Event()

    async def run(self) -> int:
        """Come up, wait for a signal, go down; the exit code."""
        began = time.monotonic()
        self._listen_for_signals()
        coming_up = asyncio.create_task(self._come_up())
        told = asyncio.create_task(self._told_to_stop.wait())
        try:
            await asyncio.wait({coming_up, told}, return_when=asyncio.FIRST_COMPLETED)
            if coming_up.done():
                coming_up.result()
                self._announce(time.monotonic() - began)
                await told
        finally:
            coming_up.cancel()
            await asyncio.wait({coming_up})
            await self._go_down()
        return 0

    async def _come_up(self) -> None:
        self._write_embedded_settings()
        self.console.say("Starting ...")
        helpers = [self.plan.sandbox()] if self.options.sandbox else []
        if self.valkey:
            helpers.append(self.plan.valkey(self.valkey))
        await together(self._migrate(), self.supervisor.start(*helpers))
        await self._furnish()
        await self.supervisor.start(*self.plan.portal())

    async def _migrate(self) -> None:
        if self.postgres:
            await self.supervisor.start(self.plan.postgres(self.postgres))
        else:
            await asyncio.to_thread(postgres.refuse_unreachable, given("DATABASE_URL"))
        await self.supervisor.run(self.plan.step("migrate", "migrate", "--no-input"))

    async def _furnish(self) -> None:
        """What only a new database needs: its administrator, and the demo."""
        if not self.first_start.is_done("admin"):
            await self._ensure_admin()
            self.first_start.set_done("admin")
        if self.options.sandbox and not self.first_start.is_done("demo"):
            await self.supervisor.run(self.plan.step("seed", "seed_demo"))
            self.first_start.set_done("demo")

    async def _ensure_admin(self) -> None:
        had_password = self.layout.admin_password.exists()
        password = credentials.keep(self.layout.admin_password, credentials.readable_password)
        step = self.plan.step("admin", "ensure_admin", PILOTHOUSE_ADMIN_PASSWORD=password)
        said = await self.supervisor.run(step)
        if not had_password and not any("created" in line for line in said):
            self.layout.admin_password.unlink()  # theirs is another one

    async def _go_down(self) -> None:
        self.console.say("Stopping ...")
        await self.supervisor.stop()
        self.console.say("Stopped.")

    def _listen_for_signals(self) -> None:
        def stop() -> None:
            if self._told_to_stop.is_set():
                self.supervisor.kill()
            self._told_to_stop.set()

        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop)

    def _write_embedded_settings(self) -> None:
        """Defaults for variables that are not set, for us and for `./pilothouse manage`."""
        settings = credentials.application_secrets(self.layout)
        if self.postgres:
            settings["DATABASE_URL"] = self.postgres.url
        if self.valkey:
            settings["REDIS_URL"] = self.valkey.url
        if self.options.sandbox:
            settings["PILOTHOUSE_ALLOW_LOOPBACK_CLUSTERS"] = "true"
        write_private(self.layout.embedded, json.dumps(settings, indent=2) + "\n")

    def _announce(self, seconds: float) -> None:
        password = "as you set it (./pilothouse manage changepassword admin)"
        if self.layout.admin_password.exists():
            kept = self.layout.admin_password
            password = f"{kept.read_text().strip()}   (kept in {relative(kept)})"
        lines = [
            "",
            f"  Pilothouse is ready after {seconds:.1f} s: {self.options.address}",
            f"    user      {ADMIN}",
            f"    password  {password}",
        ]
        if self.options.sandbox:
            kubeconfig = self.layout.kubeconfigs / f"{SANDBOX_CLUSTERS[0]}.yaml"
            lines.append(f'    cluster   kubectl --kubeconfig "{relative(kubeconfig)}" get pods -A')
        self.console.plain("\n".join([*lines, "  Ctrl-C stops it.", ""]))


@dataclass(frozen=True)
class FirstStart:
    """What was already done to the database called `database_key`, once and for all."""

    layout: Layout
    database_key: str

    def is_done(self, what: str) -> bool:
        return what in self._done()

    def set_done(self, what: str) -> None:
        record = {"database": self.database_key, "done": sorted({*self._done(), what})}
        write_private(self.layout.seeded, json.dumps(record) + "\n")

    def _done(self) -> list[str]:
        try:
            record = json.loads(self.layout.seeded.read_text())
        except (OSError, ValueError):
            return []
        return record["done"] if record.get("database") == self.database_key else []


def forget_own_defaults(layout: Layout) -> None:
    """Drop variables that only repeat `embedded.json`: Django's settings put them there."""
    with contextlib.suppress(OSError, ValueError):
        for name, value in json.loads(layout.embedded.read_text()).items():
            if os.environ.get(name) == value:
                del os.environ[name]


def given(name: str) -> str:
    """The URL of a server of the person's own, named directly or as NAME_FILE; "" if none is."""
    file = os.environ.get(f"{name}_FILE")
    return Path(file).read_text().strip() if file else os.environ.get(name, "")


def database_key(url: str) -> str:
    """A name for the database in use that does not tell its password."""
    return hashlib.sha256(url.encode()).hexdigest()[:16] if url else "embedded"


def child_environment(layout: Layout, options: Options, ledger: leftovers.Ledger) -> dict[str, str]:
    """The environment of every program: ours, and what tells them which installation they are."""
    return {
        **os.environ,
        "PILOTHOUSE_VAR": str(layout.var),
        "PILOTHOUSE_PORT": str(options.port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), *HUSHED])),
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        ),
        leftovers.MARKER: ledger.run_id,
    }
