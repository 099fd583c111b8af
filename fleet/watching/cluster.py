"""All watches of one cluster, a thread per kind, and the pulse that measures its API server."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, connection
from django.db.models.functions import Now

from fleet import clusters
from fleet.inventory import Inventory
from fleet.kube import errors
from fleet.kube.changes import Change
from fleet.kube.connect import gateway_for
from fleet.kube.gateway import Budget, Gateway
from fleet.kube.projections import WATCHED, Watched
from fleet.kube.watch import ListWatch, Timing
from fleet.models import Cluster, WatchCursor
from portal.base import events
from portal.base.problems import Problem

log = logging.getLogger(__name__)

PULSE_SECONDS = 2.0
PULSE_BUDGET_SECONDS = 5.0


class ClusterWatch:
    """Follows one cluster between `start` and `stop`. Trouble ends up in the cluster's state.

    A credential for single namespaces is a matter of `fleet.kube.watch`: here a kind that may not
    be watched is one that is shown as such while the others go on.
    """

    def __init__(
        self, cluster: Cluster, timing: Timing, pulse_seconds: float = PULSE_SECONDS
    ) -> None:
        self.cluster = cluster
        self._timing, self._pulse_seconds = timing, pulse_seconds
        self._stopping, self._changed = threading.Event(), threading.Event()
        self._watches: list[ListWatch] = []
        self._sinks: list[_Sink] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._spawn("pulse", self._lead)

    def stop(self) -> None:
        """Makes all threads end soon; does not wait for them."""
        self._stopping.set()
        for watch in list(self._watches):
            watch.stop()

    def is_alive(self) -> bool:
        return any(thread.is_alive() for thread in list(self._threads))

    def join(self, until: float) -> None:
        """Waits for the threads, at most until that time (monotonic seconds)."""
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))

    def _spawn(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=f"{self.cluster.name}/{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    # The pulse: opens the gateway, starts the watches, then measures and tells.

    def _lead(self) -> None:
        gateway = None
        while not self._stopping.is_set():
            try:
                gateway = gateway or self._open()
                if gateway:
                    self._beat(gateway)
                    for sink in list(self._sinks):
                        sink.settle()
                    self._tell()
            except (DatabaseError, Cluster.DoesNotExist) as error:
                log.warning("%s: %s", self.cluster.name, error)
            finally:
                connection.close()
            self._stopping.wait(self._pulse_seconds)

    def _open(self) -> Gateway | None:
        """The gateway, and every watch started; None while the credential cannot be used."""
        try:
            gateway = gateway_for(clusters.stored_endpoint(self.cluster))
        except errors.KubeError as error:
            clusters.record_error(self.cluster.pk, error)
            return None
        except Problem as error:  # encrypted under a key that is gone
            clusters.record_contact(self.cluster.pk, False, error.detail, connection="refused")
            return None
        for watched in WATCHED:
            self._spawn(watched.kind, lambda watched=watched: self._follow(gateway, watched))
        return gateway

    def _beat(self, gateway: Gateway) -> None:
        """Asks for the version: is it there, how long does it take, is the credential good?

        What was heard over an open, quiet watch is as fresh as this answer.
        """
        started = time.monotonic()
        try:
            version = gateway.within(Budget(PULSE_BUDGET_SECONDS)).version()
        except errors.KubeError as error:
            clusters.record_error(self.cluster.pk, error)
            return
        latency, name = time.monotonic() - started, str(version.get("gitVersion", ""))
        clusters.record_contact(
            self.cluster.pk, True, latency_seconds=round(latency, 4), version=name
        )
        live = WatchCursor.objects.filter(cluster=self.cluster, state=WatchCursor.State.LIVE)
        live.update(heard_at=Now())

    def _tell(self) -> None:
        """Counts of nodes, pods and GPUs changed: one event for all of it, not one per pod."""
        if not self._changed.is_set():
            return
        self._changed.clear()
        cluster = Cluster.objects.filter(pk=self.cluster.pk).first()
        if cluster is None:
            return
        with events.transaction():
            clusters.announce(cluster)

    # One kind.

    def _follow(self, gateway: Gateway, watched: Watched) -> None:
        sink = _Sink(Inventory(self.cluster, watched), self._changed)
        self._sinks.append(sink)
        while not self._stopping.is_set():
            watch = ListWatch(gateway, watched, sink, timing=self._timing)
            self._watches.append(watch)
            try:
                sink.resume(watch)
                if not self._stopping.is_set():
                    watch.run()
            except DatabaseError as error:
                log.warning("%s/%s: %s", self.cluster.name, watched.kind, error)
                self._stopping.wait(self._pulse_seconds)
            finally:
                self._watches.remove(watch)


class _Sink:
    """An inventory whose connection goes back to the pool after each call: threads are many.

    A state that could not be written waits for the next pulse: a watch reports it only once.
    """

    def __init__(self, inventory: Inventory, changed: threading.Event) -> None:
        self._inventory, self._changed = inventory, changed
        self._lock = threading.Lock()
        self._unwritten: tuple[str, str] | None = None

    def resume(self, watch: ListWatch) -> None:
        """Puts the watch where the stored objects are. Raises DatabaseError."""
        try:
            version, objects = self._inventory.stored()
            watch.resume_from(version, objects)
        finally:
            connection.close()
        self.state("reconnecting" if version else "listing")

    def batch(self, changes: list[Change], resource_version: str) -> None:
        self._call(self._inventory.batch, changes, resource_version)
        if changes and self._inventory.kind in ("Pod", "Node"):
            self._changed.set()

    def state(self, state: str, detail: str = "") -> None:
        with self._lock:
            self._unwritten = (state, detail)
        self.settle()

    def settle(self) -> None:
        """Writes the state that is still unwritten, if the database lets us."""
        with self._lock:
            if self._unwritten is None:
                return
            try:
                self._call(self._inventory.state, *self._unwritten)
            except DatabaseError as error:
                log.warning("%s: state not written yet: %s", self._inventory.kind, error)
                return
            self._unwritten = None
        self._changed.set()

    def drift(self, changes: list[Change]) -> None:
        self._call(self._inventory.drift, changes)

    def _call(self, method: Callable[..., None], *arguments: Any) -> None:
        try:
            method(*arguments)
        finally:
            connection.close()
