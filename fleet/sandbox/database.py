"""One SQLite file keeps what a sandbox must remember: clusters, their keys, objects, revisions.

Objects are written behind: a change reaches the file within `FLUSH_SECONDS`, many in one
transaction. Revisions are reserved ahead of use, so a resourceVersion that a client has seen is
never handed out twice, not even after `kill -9`.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

FLUSH_SECONDS = 0.02
RESERVED_REVISIONS = 10_000
_TABLES = """
CREATE TABLE IF NOT EXISTS clusters (
    name TEXT PRIMARY KEY, port INTEGER NOT NULL, ca_pem TEXT NOT NULL, ca_key_pem TEXT NOT NULL,
    token TEXT NOT NULL, readonly_token TEXT NOT NULL, revision_ceiling INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    cluster TEXT NOT NULL, storage TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (cluster, storage, namespace, name)
) WITHOUT ROWID;
"""
ObjectRow = tuple[str, str, str, bytes]  # storage, namespace, name, JSON


class Database:
    """The file `sandbox.sqlite3` in the state directory, readable by its owner alone."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / "sandbox.sqlite3"
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _TABLES)

    def cluster(self, name: str) -> tuple[int, str, str, str, str] | None:
        """(port, CA certificate, CA key, token, read-only token), None for a new cluster."""
        return self.connection.execute(
            "SELECT port, ca_pem, ca_key_pem, token, readonly_token FROM clusters WHERE name = ?",
            (name,),
        ).fetchone()

    def save_cluster(self, name: str, identity: tuple[int, str, str, str, str]) -> None:
        self.connection.execute(
            "INSERT INTO clusters (name, port, ca_pem, ca_key_pem, token, readonly_token)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET port = excluded.port",
            (name, *identity),
        )

    def close(self) -> None:
        self.connection.close()


class Journal:
    """The write-behind log of one cluster's objects."""

    def __init__(self, database: Database, cluster: str) -> None:
        self._connection = database.connection
        self._cluster = cluster
        self._pending: dict[tuple[str, str, str], bytes | None] = {}
        self._scheduled = False
        row = self._connection.execute(
            "SELECT revision_ceiling FROM clusters WHERE name = ?", (cluster,)
        ).fetchone()
        self._ceiling: int = row[0] if row else 0

    @property
    def first_revision(self) -> int:
        """Everything up to here may have been seen by a client of an earlier run."""
        return self._ceiling

    def rows(self) -> Iterator[ObjectRow]:
        yield from self._connection.execute(
            "SELECT storage, namespace, name, data FROM objects WHERE cluster = ?",
            (self._cluster,),
        )

    def reserve(self, revision: int) -> None:
        """Make sure that `revision` lies below the persisted ceiling."""
        if revision < self._ceiling:
            return
        self._ceiling = revision + RESERVED_REVISIONS
        self._connection.execute(
            "UPDATE clusters SET revision_ceiling = ? WHERE name = ?",
            (self._ceiling, self._cluster),
        )

    def write(self, storage: str, namespace: str, name: str, data: bytes | None) -> None:
        """Remember an object's new JSON, or that it is gone (None)."""
        self._pending[storage, namespace, name] = data
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Commit what is pending, in one transaction."""
        self._scheduled = False
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        keep = [(self._cluster, *key, data) for key, data in pending.items() if data is not None]
        gone = [(self._cluster, *key) for key, data in pending.items() if data is None]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", keep)
        self._connection.executemany(
            "DELETE FROM objects WHERE cluster=? AND storage=? AND namespace=? AND name=?", gone
        )
        self._connection.execute("COMMIT")
