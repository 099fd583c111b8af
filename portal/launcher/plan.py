"""Which programs make up the portal on one machine, and what each of them is told."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from portal.launcher import ports
from portal.launcher.layout import REPOSITORY, Layout
from portal.launcher.postgres import STOP_SIGNAL, Postgres
from portal.launcher.program import Program
from portal.launcher.valkey import Valkey

SANDBOX_CLUSTERS = ("us-east-1", "eu-west-1")
SANDBOX_SCENARIO = str(REPOSITORY / "portal" / "demo" / "sandbox.yaml")
MANAGE = str(REPOSITORY / "manage.py")
QUICK = "--skip-checks"  # the system checks import every page; `lint` and the tests run them
NO = ("0", "no", "off", "false")


@dataclass(frozen=True)
class Options:
    """What the person asked for on the command line or in the environment."""

    port: int
    bind: str
    sandbox: bool

    @classmethod
    def parse(cls, arguments: list[str]) -> Options:
        """Options from the arguments of `up`; the environment gives the defaults."""
        parser = argparse.ArgumentParser(
            prog="pilothouse up", description="Start the whole portal on this machine."
        )
        port = os.environ.get("PILOTHOUSE_PORT") or "8000"
        sandbox = os.environ.get("PILOTHOUSE_SANDBOX", "1").lower() not in NO
        parser.add_argument("--port", type=port_number, default=port, help="default %(default)s")
        parser.add_argument("--bind", default=ports.LOOPBACK, help="default %(default)s")
        parser.add_argument(
            "--no-sandbox", dest="sandbox", action="store_false", default=sandbox,
            help="start no simulated clusters and seed no demo",
        )  # fmt: skip
        return cls(**vars(parser.parse_args(arguments)))

    @property
    def address(self) -> str:
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"http://{host}:{self.port}/"


def port_number(text: str) -> int:
    """A TCP port; ValueError, which argparse turns into a sentence, when it is none."""
    number = int(text)
    if not 0 < number < 65536:
        raise ValueError(text)
    return number


@dataclass(frozen=True)
class Plan:
    """Makes the programs. `environment` is what all of them get."""

    layout: Layout
    options: Options
    environment: dict[str, str]

    def postgres(self, server: Postgres) -> Program:
        def prepare() -> None:
            if server.initialise():
                self.layout.seeded.unlink(missing_ok=True)
            server.discard_stale_lock()

        return Program(
            name="postgres",
            command=server.command(),
            environment=server.environment(self.environment),
            before_start=prepare,
            answers=server.answers,
            stop_signal=STOP_SIGNAL,
            popen_options=server.popen_options(),
        )

    def valkey(self, server: Valkey) -> Program:
        return Program(
            name="valkey",
            command=server.command(),
            environment=self.environment,
            before_start=server.initialise,
            answers=server.answers,
            grace_seconds=2,
        )

    def sandbox(self) -> Program:
        clusters = [part for name in SANDBOX_CLUSTERS for part in ("--cluster", name)]
        folders = ["--state", self.layout.sandbox, "--kubeconfigs", self.layout.kubeconfigs]
        return self._python(
            "sandbox",
            *("-m", "fleet.sandbox", *map(str, folders), *clusters),
            *("--scenario", SANDBOX_SCENARIO),
            ready_lines=tuple(f"ready {name} " for name in SANDBOX_CLUSTERS),
            grace_seconds=2,
        )

    def step(self, name: str, *arguments: str, **environment: str) -> Program:
        """A management command that ends by itself."""
        program = self._python(name, MANAGE, *arguments, QUICK)
        return replace(program, environment=self.environment | environment)

    def portal(self) -> list[Program]:
        """Everything that needs the migrated database."""
        return [
            self._web(),
            self._worker("control", processes=2),
            # The one worker that also keeps the clock of the housekeeping.
            self._worker("notify", "-B", "-s", str(self.layout.var / "beat"), processes=1),
            self._python("dispatch", MANAGE, "dispatch", QUICK, ready_lines=self._logged("ready")),
            self._python("watch", MANAGE, "watch_clusters", QUICK, ready_lines=("watching",)),
        ]

    def _logged(self, line: str) -> tuple[str, ...]:
        """A line to wait for, unless the person silenced such lines."""
        return (line,) if self.environment.get("LOG_LEVEL", "INFO") in ("DEBUG", "INFO") else ()

    def _web(self) -> Program:
        address = ("-b", self.options.bind, "-p", str(self.options.port))
        return self._python(
            "web",
            *("-m", "daphne", *address, "-v", "0", "--no-server-name", "portal.asgi:application"),
            answers=lambda: answers_http(self.options, "/readyz"),
        )

    def _worker(self, queue: str, *more: str, processes: int) -> Program:
        flags = ("-Q", queue, "-n", f"{queue}@%h", "-c", str(processes), "--loglevel", "INFO")
        alone = ("--without-mingle", "--without-gossip")
        return self._python(
            queue,
            *("-m", "celery", "-q", QUICK, "-A", "portal.celery", "worker", *flags, *alone, *more),
            ready_lines=(" ready.",),
        )

    def _python(self, name: str, *arguments: str, **details: object) -> Program:
        return Program(
            name=name,
            command=[sys.executable, *arguments],
            environment=self.environment,
            popen_options={"cwd": REPOSITORY},
            **details,
        )


def answers_http(options: Options, path: str) -> bool:
    """Whether the portal serves `path` without a server error."""
    host = ports.LOOPBACK if options.bind == "0.0.0.0" else options.bind
    connection = http.client.HTTPConnection(host, options.port, timeout=3)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        # A foreign PILOTHOUSE_HOSTS or a redirect to HTTPS are answers of a ready portal too.
        return connection.getresponse().status < 500
    return False


def relative(path: Path) -> str:
    """`path` as a person in the repository would type it."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(REPOSITORY))
    return str(path)
