"""One simulated cluster: its store, API, controllers and HTTPS door, put together."""

import asyncio
import secrets
from dataclasses import dataclass

from aiohttp import web

from . import pki, scenarios
from .api import Api
from .clock import Clock
from .codec import Options
from .controllers.base import Controller
from .controllers.custom_resources import CustomResourceController
from .controllers.deployment import DeploymentController
from .controllers.endpoints import EndpointsController
from .controllers.garbage import GarbageCollector
from .controllers.kubelet import Kubelet
from .controllers.namespaces import NamespaceController
from .controllers.replicaset import ReplicaSetController
from .controllers.replication import ReplicationManager
from .database import Database, Journal
from .event_recorder import EventRecorder
from .logs import LogBook
from .resources import Resources
from .scenarios import Scenario
from .scheduler import Scheduler
from .server import Server
from .store import Object, Store

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
SHUTDOWN_SECONDS = 1.0
SYSTEM = Options(manager="kube-apiserver")


class PortTaken(OSError):
    """Another process listens on a cluster's port."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same over restarts."""

    name: str
    port: int
    ca_pem: str
    ca_key_pem: str
    token: str
    readonly_token: str


def identity_of(database: Database, name: str, port: int, free_port: int) -> Identity:
    """The cluster's identity, made at its first start. `port` 0 keeps the one it has."""
    known = database.cluster(name)
    if known is None:
        ca_pem, ca_key_pem = pki.new_authority(name)
        tokens = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        known = (port or free_port, ca_pem, ca_key_pem, *tokens)
    elif port:
        known = (port, *known[1:])
    database.save_cluster(name, known)
    return Identity(name, *known)


class Cluster:
    """Start it with `serve`, end it with `stop`."""

    def __init__(
        self, identity: Identity, database: Database, scenario: Scenario, clock: Clock
    ) -> None:
        self.name, self.identity, self.scenario, self.clock = (
            identity.name,
            identity,
            scenario,
            clock,
        )
        self.ca_pem = identity.ca_pem
        self.journal = Journal(database, identity.name)
        self.store = Store(self.journal)
        self.api = Api(self.store, Resources(), clock)
        self.logs = LogBook(clock)
        self.events = EventRecorder(self.store, clock)
        self.controllers: list[Controller] = [
            kind(self)
            for kind in (
                CustomResourceController,
                NamespaceController,
                DeploymentController,
                ReplicaSetController,
                ReplicationManager,
                Scheduler,
                Kubelet,
                EndpointsController,
                GarbageCollector,
            )
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None

    async def serve(self, host: str) -> str:
        """Open the door and set the controllers to work. Returns the URL; raises PortTaken."""
        identity = self.identity
        server = Server(self.api, self.logs, identity.token, identity.readonly_token)
        self._runner = web.AppRunner(
            server.application(),
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            handler_cancellation=True,
        )
        await self._runner.setup()
        tls = pki.server_context(identity.ca_pem, identity.ca_key_pem, host)
        site = web.TCPSite(self._runner, host, identity.port, ssl_context=tls, backlog=512)
        try:
            await site.start()
        except OSError as error:
            raise PortTaken(
                f"port {identity.port} of cluster {self.name} is taken: {error.strerror}"
            ) from None
        self.furnish()
        self._tasks = [asyncio.create_task(c.run(), name=c.component) for c in self.controllers]
        return f"https://{host}:{identity.port}"

    def furnish(self) -> None:
        """Wake the controllers, and make what every new cluster has."""
        for controller in self.controllers:
            controller.start()
        self.events.sweep()
        for name in NAMESPACES:
            if self.store.get("namespaces", "", name) is None:
                self._create("namespaces", {"metadata": {"name": name}})
        if not self.store.records("nodes"):
            for node in scenarios.nodes(self.scenario, self.clock):
                self._create("nodes", node)
        if self.store.get("services", "default", "kubernetes") is None:
            port = {"name": "https", "port": 443, "targetPort": self.identity.port}
            labels = {"component": "apiserver", "provider": "kubernetes"}
            meta = {"name": "kubernetes", "namespace": "default", "labels": labels}
            self._create("services", {"metadata": meta, "spec": {"ports": [port]}})

    def _create(self, storage: str, obj: Object) -> None:
        namespace = obj["metadata"].get("namespace", "")
        self.api.create(self.api.resource(storage), namespace, obj, SYSTEM)

    async def stop(self) -> None:
        """Close connections, stop the controllers, save everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner:
            await self._runner.cleanup()
        self.journal.flush()

    def kubeconfig(self, server: str, *, read_only: bool = False) -> str:
        identity = self.identity
        token = identity.readonly_token if read_only else identity.token
        return pki.kubeconfig(self.name, server, identity.ca_pem, token)
