"""One LISTEN connection per web process, turned into calls on the hub.

NOTIFY is only a hint: entries are read from the table after the last seq that was handed on, at
every hint, every few seconds anyway, and after each reconnect. daphne has no lifespan, so the
first socket or long poll starts the relay.
"""

import asyncio
import logging
import random
import time
from uuid import UUID

import psycopg
from django.db import connection as django_connection

from portal.base.events import EVENTS_CHANNEL
from portal.live import entries
from portal.live.hub import Hub

log = logging.getLogger(__name__)

ACCESS_CHANNEL = "pilothouse_access"
POLL_SECONDS = 2.0
READ_SECONDS = 10.0
BATCH = 200
BACKOFF_SECONDS = (0.2, 10.0)
_FRESH_START = 2**62
# Detects a dead peer within ~20 s even while nothing is sent.
_SOCKET_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
_NOT_LIBPQ = {"context", "cursor_factory", "prepare_threshold"}


def database_parameters() -> dict[str, object]:
    """libpq parameters of the portal's database, for a connection outside of Django's pool."""
    given = django_connection.get_connection_params()
    return {k: v for k, v in given.items() if k not in _NOT_LIBPQ}


class Relay:
    """Follows the Event table and publishes each entry once, in order."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.loop = asyncio.get_running_loop()
        self.seq: int | None = None
        self.connected = asyncio.Event()
        self._complete_at = time.monotonic()
        self._task = self.loop.create_task(self._run(), name="live relay")

    @property
    def lag_seconds(self) -> float:
        """For how long the table could not be read; 0 while polls arrive as planned."""
        return max(0.0, time.monotonic() - self._complete_at - POLL_SECONDS)

    async def ready(self, timeout_seconds: float) -> bool:
        """Waits until the relay listens; False when it does not within the time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.connected.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                async with await self._connect() as connection:
                    attempt = 0
                    await self._follow(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("Live relay lost the database, trying again: %s", error)
            except Exception:
                # Whatever it was, the bus must not fall silent for good.
                log.exception("Live relay failed, starting over")
            finally:
                self.connected.clear()
            attempt += 1
            ceiling = min(BACKOFF_SECONDS[1], BACKOFF_SECONDS[0] * 2**attempt)
            await asyncio.sleep(random.uniform(BACKOFF_SECONDS[0], ceiling))

    async def _connect(self) -> psycopg.AsyncConnection:
        parameters = database_parameters() | _SOCKET_OPTIONS
        parameters["application_name"] = "pilothouse live relay"
        async with asyncio.timeout(READ_SECONDS):
            connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            await connection.execute(f"LISTEN {EVENTS_CHANNEL}")
            await connection.execute(f"LISTEN {ACCESS_CHANNEL}")
        return connection

    async def _follow(self, connection: psycopg.AsyncConnection) -> None:
        # Notices sent while nobody listened are gone.
        self.hub.access_changed(None)
        while True:
            await self._catch_up(connection)
            self.connected.set()
            async for hint in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                if hint.channel == ACCESS_CHANNEL:
                    self.hub.access_changed(_user_id(hint.payload))

    async def _catch_up(self, connection: psycopg.AsyncConnection) -> None:
        """Publishes everything committed after `seq`."""
        while True:
            started = time.monotonic()
            last, found = await self._read(connection)
            self._publish(last, found)
            if len(found) < BATCH:
                self._complete_at = started
                return

    async def _read(self, connection: psycopg.AsyncConnection) -> tuple[int, list[entries.Entry]]:
        after = _FRESH_START if self.seq is None else self.seq
        async with asyncio.timeout(READ_SECONDS):
            cursor = await connection.execute(entries.AFTER, [after, BATCH])
            return entries.parse(await cursor.fetchall())

    def _publish(self, last: int, found: list[entries.Entry]) -> None:
        if self.seq is not None and not self._continues(last, found):
            log.warning("Events after %s are gone or the database was restored", self.seq)
            self.hub.lost()
        for entry in found:
            self.seq = entry.seq
            self.hub.publish(entry)
        if not found:
            self.seq = last

    def _continues(self, last: int, found: list[entries.Entry]) -> bool:
        """seq has no gaps, so a hole means lost entries (retention, or a restored backup)."""
        return found[0].seq == self.seq + 1 if found else last == self.seq


def _user_id(payload: str) -> UUID | None:
    try:
        return UUID(payload)
    except ValueError:
        return None


_current: Relay | None = None


def relay() -> Relay:
    """The relay of this process, started on the running event loop at the first call."""
    global _current
    if _current is None or _current.loop is not asyncio.get_running_loop():
        _current = Relay()
    return _current


def state() -> dict[str, object]:
    """For `/readyz`: what the relay of this process does. Safe from any thread."""
    if _current is None:
        return {"state": "not started"}
    return {
        "state": "listening" if _current.connected.is_set() else "reconnecting",
        "seq": _current.seq,
        "behind_seconds": round(_current.lag_seconds, 1),
        "listeners": len(_current.hub),
    }
