"""Run real sandbox processes from tests.

sandbox = start_sandbox(tmp_path, clusters=["north", "south"], start_seconds=0.1)
sandbox.kubeconfigs["north"]   # a file for the official client or kubectl
sandbox.stop()
"""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class SandboxDied(RuntimeError):
    """The process ended before it was ready; its output is the message."""


@dataclass
class SandboxProcess:
    """A running sandbox. `servers` are URLs, `kubeconfigs` files, both by cluster name."""

    command: list[str]
    clusters: list[str]
    kubeconfig_directory: Path
    servers: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    @property
    def kubeconfigs(self) -> dict[str, Path]:
        return {name: self.kubeconfig_directory / f"{name}.yaml" for name in self.clusters}

    def _config(self, cluster: str, suffix: str = "") -> dict[str, Any]:
        path = self.kubeconfig_directory / f"{cluster or self.clusters[0]}{suffix}.yaml"
        return yaml.safe_load(path.read_text())

    def token_of(self, cluster: str = "", *, read_only: bool = False) -> str:
        """The bearer token of a cluster (of the first one by default)."""
        config = self._config(cluster, "-readonly" if read_only else "")
        return config["users"][0]["user"]["token"]

    def ca_pem_of(self, cluster: str = "") -> str:
        encoded = self._config(cluster)["clusters"][0]["cluster"]["certificate-authority-data"]
        return base64.b64decode(encoded).decode()

    @property
    def token(self) -> str:
        return self.token_of()

    @property
    def ca_pem(self) -> str:
        return self.ca_pem_of()

    @property
    def server(self) -> str:
        return self.servers[self.clusters[0]]

    def start(self) -> None:
        """Start and wait until every cluster answers; raises SandboxDied."""
        self.process = subprocess.Popen(
            self.command,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines: Queue[str | None] = Queue()
        threading.Thread(target=_pump, args=(self.process, lines), daemon=True).start()
        seen: list[str] = []
        deadline = time.monotonic() + START_SECONDS
        while len(self.servers) < len(self.clusters):
            try:
                line = lines.get(timeout=max(deadline - time.monotonic(), 0))
            except Empty:
                self.kill()
                raise SandboxDied("not ready in time: " + "".join(seen)) from None
            if line is None:
                raise SandboxDied("".join(seen))
            seen.append(line)
            if line.startswith("ready "):
                _, name, url = line.split()
                self.servers[name] = url

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(STOP_SECONDS)
        self.process = None
        self.servers = {}
        return code

    def stop(self) -> int:
        """End it as an operator would (SIGTERM); returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a crash would (SIGKILL)."""
        return self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop if it runs, start again on the same state."""
        self.stop()
        self.start()


def _pump(process: subprocess.Popen[str], lines: "Queue[str | None]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def start_sandbox(tmp_path: Path, clusters: list[str], **options: Any) -> SandboxProcess:
    """Start a sandbox with its state under `tmp_path`.

    `clusters` are names, or `name:port`. Options become command line flags: `scenario="gpu"`,
    `start_seconds=0.1`, `manual_readiness=True`.
    """
    command = [sys.executable, "-m", "fleet.sandbox"]
    command += ["--state", str(tmp_path / "state"), "--kubeconfigs", str(tmp_path / "kubeconfigs")]
    for cluster in clusters:
        command += ["--cluster", cluster]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        command += [flag] if value is True else [flag, str(value)]
    names = [cluster.partition(":")[0] for cluster in clusters]
    sandbox = SandboxProcess(command, names, tmp_path / "kubeconfigs")
    sandbox.start()
    return sandbox
