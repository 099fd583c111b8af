"""A real Kubernetes control plane without containers, started in seconds for one test run.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real programs; the
kubelets of its nodes are simulated by kwok. `build.sh` builds the binaries.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import urllib3

from tests.conformance.client import Client
from tests.controlplane.components import ADMIN_TOKEN, VIEWER_TOKEN, Components
from tests.controlplane.nodes import add_nodes, wait_until
from tests.controlplane.processes import Child

SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
TOOLS = ("kubectl", "e2e.test")


def binaries_directory() -> Path | None:
    """Where the binaries are: KUBEBUILDER_ASSETS (the envtest convention), else the built ones."""
    default = Path.home() / ".cache/pilothouse/controlplane"
    cache = Path(os.environ.get("PILOTHOUSE_CONTROLPLANE_CACHE") or default)
    for candidate in (os.environ.get("KUBEBUILDER_ASSETS"), cache / "bin"):
        if candidate and all((Path(candidate) / name).exists() for name in SERVERS + TOOLS):
            return Path(candidate)
    return None


def _own_directory() -> Path:
    """A fresh one, named after this process; what killed owners left is removed on the way."""
    for left in Path(tempfile.gettempdir()).glob("plane-*-*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"plane-{os.getpid()}-"))


class Plane:
    """One control plane on ports of its own, below a temporary directory that `stop` removes.

    `token` belongs to a member of system:masters, `viewer_token` to the user `viewer` who has no
    rights until a test binds a role. With `raised_limits=False` controllers and scheduler keep
    the client limits of a real cluster (20 and 50 requests per second).
    Start it from a thread that lives as long as the plane: its processes end with that thread.
    """

    def __init__(self, *, raised_limits: bool = True) -> None:
        binaries = binaries_directory()
        if binaries is None:
            raise FileNotFoundError("control plane binaries: run tests/controlplane/build.sh")
        self.binaries = binaries.resolve()
        self.directory = _own_directory()
        self._components = Components(self.directory, raised_limits=raised_limits)
        self.kubeconfig = self._components.kubeconfig
        self.token = ADMIN_TOKEN
        self.viewer_token = VIEWER_TOKEN
        self.server = self._components.server
        self.ca_pem = self._components.ca_pem
        self.client = Client(self.server, self.ca_pem, self.token)
        self._children: dict[str, Child] = {}

    def __enter__(self) -> "Plane":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout_seconds: float = 60.0) -> None:
        """Returns when the API answers and nodes can be added; raises ProcessDied, TimeoutError."""
        self._components.write_files()
        self._launch("etcd", self._components.etcd())
        self._launch("kube-apiserver", self._components.apiserver())
        self._wait_until_served(timeout_seconds)
        self._launch("kube-controller-manager", self._components.controller_manager())
        self._launch("kube-scheduler", self._components.scheduler())
        self._launch("kwok", self._components.kwok())
        self._wait_until_controlled(timeout_seconds)

    def stop(self) -> None:
        for child in reversed(self._children.values()):
            child.kill()
        self._children.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill_apiserver(self) -> None:
        self._children["kube-apiserver"].kill()

    def restart_apiserver(self, timeout_seconds: float = 60.0) -> None:
        """Starts it again on the same port with everything it stored."""
        self._children["kube-apiserver"].start()
        self._wait_until_served(timeout_seconds)

    def pids(self) -> list[int]:
        return [child.pid for child in self._children.values()]

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def add_nodes(self, names: Iterable[str], **description: Any) -> None:
        """Registers nodes (see `nodes.add_nodes`) and waits until pods can run on them."""
        add_nodes(self.client, names, **description)

    def _check(self) -> None:
        for child in self._children.values():
            child.check()

    def _launch(self, name: str, arguments: list[str]) -> None:
        command = [str(self.binaries / name), *arguments]
        child = Child(name, command, self.directory / f"{name}.log")
        self._children[name] = child
        child.start()

    def _wait_until_served(self, timeout_seconds: float) -> None:
        """No older server on the port can pass: the client trusts this plane's authority only."""

        def served() -> bool:
            self._check()
            try:
                return self.client.get("/readyz").status == 200
            except urllib3.exceptions.HTTPError:
                return False

        wait_until("kube-apiserver ready", served, timeout_seconds)

    def _wait_until_controlled(self, timeout_seconds: float) -> None:
        path = "/api/v1/namespaces/default/serviceaccounts/default"

        def controlled() -> bool:
            self._check()
            return self.client.get(path).status == 200

        wait_until("controllers running", controlled, timeout_seconds)
