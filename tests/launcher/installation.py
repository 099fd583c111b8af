"""A portal as a user has it: started by `./pilothouse up`, read from its output, stopped again."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from portal.launcher import ports
from portal.launcher.layout import REPOSITORY
from portal.launcher.leftovers import MARKER
from portal.launcher.proc import Identity, carrying

HANG_SECONDS = 240.0
# What the tests' own servers put into the environment; a user has none of it.
OWN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "API_KEY_PEPPER")


@dataclass
class Installation:
    """One checkout with one `var`. `account` goes before the command, to run it as somebody."""

    checkout: Path
    var: Path
    port: int = field(default_factory=ports.pick_free)
    account: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    output: str = ""
    process: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> list[str]:
        return [*self.account, str(self.checkout / "pilothouse"), *arguments]

    def variables(self, **others: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in OWN}
        mine = {"PILOTHOUSE_VAR": str(self.var), "PILOTHOUSE_PORT": str(self.port)}
        return {**kept, **mine, **self.environment, **others}

    def start(self) -> float:
        """`./pilothouse up`, until it says that it is ready; the seconds that took."""
        began = time.monotonic()
        self.launch()
        self.wait_for("Pilothouse is ready")
        return time.monotonic() - began

    def launch(self) -> None:
        """`./pilothouse up`, without waiting for anything."""
        self.output = ""
        self.process = subprocess.Popen(
            self.command("up"),
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=[self.process], daemon=True).start()

    def wait_for(self, text: str) -> None:
        """Until `text` was printed; fails when the launcher ends first or nothing comes."""
        deadline = time.monotonic() + HANG_SECONDS
        while text not in self.output:
            assert self.process.poll() is None, f"up ended early:\n{self.output}"
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.output}"
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to `up`, as Ctrl-C or a service manager does; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def run(self, *arguments: str, **others: str) -> subprocess.CompletedProcess[str]:
        """Another `./pilothouse`, run to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.variables(**others),
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def password(self) -> str:
        return re.search(r"password +(\S+)", self.output)[1]

    @property
    def run_id(self) -> str:
        return json.loads((self.var / "run" / "current").read_text())["run_id"]

    def recorded(self) -> dict[str, Identity]:
        """The supervised processes, by name."""
        records = (self.var / "run").glob("*.json")
        return {path.stem: Identity(**json.loads(path.read_text())) for path in records}

    def processes(self, run_id: str) -> list[Identity]:
        """Every process of that start, also PostgreSQL's, which overwrite their environment."""
        return carrying(f"{MARKER}={run_id}")

    def sign_in(self) -> str:
        """Sign in with the printed password; the page that follows, "" when it was refused."""
        browser = Browser(f"http://127.0.0.1:{self.port}")
        form = browser.get("/sign-in/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[1]
        fields = {"username": "admin", "password": self.password, "csrfmiddlewaretoken": token}
        page = browser.post("/sign-in/", fields)
        return page if "sessionid" in browser.cookies() else ""

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout:
            self.output += line


@contextmanager
def running_portal(var: Path) -> Iterator[Installation]:
    """The whole portal with its demo, from this checkout."""
    portal = Installation(REPOSITORY, var)
    portal.start()
    try:
        yield portal
    finally:
        portal.stop()


class Browser:
    """Cookies and redirects, no more."""

    def __init__(self, address: str):
        self.address, self.jar = address, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.jar), urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> str:
        with self.opener.open(self.address + path, timeout=20) as answer:
            return answer.read().decode()

    def post(self, path: str, fields: dict[str, str]) -> str:
        body = urllib.parse.urlencode(fields).encode()
        with self.opener.open(self.address + path, body, timeout=20) as answer:
            return answer.read().decode()

    def cookies(self) -> set[str]:
        return {cookie.name for cookie in self.jar}
