"""Keeps a `ClusterWatch` running for each cluster that this process leads."""

import logging
import threading
import time
from uuid import UUID

import psycopg
from django.db import DatabaseError, connection
from django.db.models import BinaryField, QuerySet
from django.db.models.functions import Cast

from fleet.kube.watch import Timing
from fleet.models import Cluster
from fleet.models.cluster import Provider
from fleet.watching.cluster import PULSE_SECONDS, ClusterWatch
from fleet.watching.leadership import Leadership

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
STOP_SECONDS = 5.0


class Watcher:
    """The loop of `manage.py watch_clusters`."""

    def __init__(
        self,
        *,
        poll_seconds: float = POLL_SECONDS,
        pulse_seconds: float = PULSE_SECONDS,
        timing: Timing | None = None,
    ) -> None:
        self._poll_seconds, self._pulse_seconds = poll_seconds, pulse_seconds
        self._timing = timing or Timing()
        self._leadership = Leadership()
        self._running: dict[UUID, ClusterWatch] = {}
        self._ending: dict[UUID, ClusterWatch] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Watches until `stop` is called. While the database is away the watches wait for it."""
        while not self._stopping.is_set():
            try:
                self.turn()
            except (DatabaseError, psycopg.Error) as error:
                log.warning("the database is away: %s", error)
            finally:
                connection.close()
            self._stopping.wait(self._poll_seconds)
        self._end_all()

    def stop(self) -> None:
        """Makes `run` return within seconds. Safe in a signal handler."""
        self._stopping.set()

    def turn(self) -> None:
        """Compares what should run with what runs, once: new, removed and re-credentialed
        clusters, and those whose lock went to another process."""
        wanted = {cluster.pk: cluster for cluster in _watchable()}
        led = self._leadership.renew(wanted)
        for cluster_id, watch in list(self._running.items()):
            sealed = wanted[cluster_id].sealed if cluster_id in led & wanted.keys() else None
            if sealed != watch.cluster.sealed:
                watch.stop()
                self._ending[cluster_id] = self._running.pop(cluster_id)
        self._ending = {pk: watch for pk, watch in self._ending.items() if watch.is_alive()}
        for cluster_id in led - self._running.keys() - self._ending.keys():
            watch = ClusterWatch(wanted[cluster_id], self._timing, self._pulse_seconds)
            self._running[cluster_id] = watch
            watch.start()

    def _end_all(self) -> None:
        watches = [*self._running.values(), *self._ending.values()]
        for watch in watches:
            watch.stop()
        until = time.monotonic() + STOP_SECONDS
        for watch in watches:
            watch.join(until)
        self._leadership.forget()


def _watchable() -> QuerySet[Cluster]:
    """Clusters with a Kubernetes API. `sealed` is the credential as stored: a new one shows
    without decrypting any, and one that cannot be opened troubles no other cluster."""
    rows = Cluster.objects.exclude(provider=Provider.DOCKER).defer("credentials")
    return rows.annotate(sealed=Cast("credentials", BinaryField()))
