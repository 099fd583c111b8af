"""Who leads a cluster: advisory locks on a connection of their own, gone with the process."""

from collections.abc import Iterable
from uuid import UUID

import psycopg
from django.db import connection

_KEY = "hashtextextended('pilothouse.watch:' || %s, 0)"
# A server that vanished is noticed after seconds, not hours.
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 5, "tcp_user_timeout": 10_000}


class Leadership:
    """Locks this process holds. Every method raises psycopg.Error when the database is away."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection | None = None
        self._held: set[UUID] = set()

    def renew(self, wanted: Iterable[UUID]) -> set[UUID]:
        """Takes whatever is free of the wanted locks, gives up all others; returns those held.

        After a broken connection the locks are gone too, so all are asked for again.
        """
        wanted = set(wanted)
        try:
            self._alive().execute("SELECT 1")
            for cluster_id in self._held - wanted:
                self._give_up(cluster_id)
            for cluster_id in wanted - self._held:
                self._take(cluster_id)
        except psycopg.Error:
            self.forget()
            raise
        return set(self._held)

    def forget(self) -> None:
        """Closes the connection and with it all locks; the next call opens another."""
        self._held.clear()
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _alive(self) -> psycopg.Connection:
        if self._connection is None:
            params = {**connection.get_connection_params(), **_KEEPALIVE, "autocommit": True}
            self._connection = psycopg.connect(**params)
        return self._connection

    def _take(self, cluster_id: UUID) -> None:
        row = self._alive().execute(f"SELECT pg_try_advisory_lock({_KEY})", [str(cluster_id)])
        if row.fetchone()[0]:
            self._held.add(cluster_id)

    def _give_up(self, cluster_id: UUID) -> None:
        self._held.discard(cluster_id)
        self._alive().execute(f"SELECT pg_advisory_unlock({_KEY})", [str(cluster_id)])
