"""The dispatcher: hears wakes, polls what is due, and hands ticks to Celery or runs them itself.

Several dispatchers, doubled, late or lost wakes are harmless: the engine's claim decides. When
the broker refuses a message (0.5 s, no retry), or nobody takes the work in time, the dispatcher
runs the very same function in a small pool. Delivery slows, it never stops.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
from django.db import close_old_connections, connection, connections
from kombu.exceptions import OperationalError

from deploy import engine
from deploy.models.rollout import ACTIVE, State
from deploy.tasks import tick
from portal.base.events import WAKE_CHANNEL

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# Wakes for one rollout come in bursts (a pod is three or four events): the first goes at once.
SPACING_SECONDS = 0.1
# Due for this long although it was handed to Celery: no worker took it.
OVERDUE_SECONDS = 3.0
PUBLISH_SECONDS = 0.5
BROKER_REST_SECONDS = 5.0
LOCAL_TICKS = 4

_CLAIMABLE = [*(str(state) for state in ACTIVE), str(State.QUEUED)]
_WOKEN = """
UPDATE deploy_rollout SET woken_at = clock_timestamp(),
    next_due = LEAST(next_due, clock_timestamp())
WHERE placement_id = ANY(%s::uuid[]) AND state = ANY(%s) RETURNING id
"""
_DUE = """
SELECT id, EXTRACT(EPOCH FROM clock_timestamp() - next_due) FROM deploy_rollout
WHERE state = ANY(%s) AND next_due <= clock_timestamp()
  AND (lease_until IS NULL OR lease_until < clock_timestamp())
ORDER BY next_due LIMIT 500
"""


class Dispatcher:
    """One loop in one thread; local ticks run beside it in a pool."""

    def __init__(self, publish: Callable[[str], object] | None = None) -> None:
        self._publish = publish or _to_celery
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(LOCAL_TICKS, thread_name_prefix="tick")
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._local: set[UUID] = set()
        self._sent: dict[UUID, float] = {}
        self._later: dict[UUID, float] = {}
        self._broker_rests_until = 0.0

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Runs until stopped; a lost database connection is made again with back-off."""
        pause = 0.5
        # The first message would else wait for the client library to load and connect.
        if self._publish is _to_celery:
            self._publisher.submit(_connect_broker)
        while not self._stop.is_set():
            try:
                self._listen()
                pause = 0.5
            except (psycopg.Error, OSError) as error:
                log.warning("database: %s; again in %.1f s", str(error).strip(), pause)
                self._stop.wait(pause)
                pause = min(pause * 2, 10.0)
            except Exception:
                log.exception("dispatcher: the loop failed and starts again")
                self._stop.wait(pause)
        self._publisher.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)
        connections.close_all()

    def _listen(self) -> None:
        with psycopg.connect(_conninfo(), autocommit=True, connect_timeout=5) as listener:
            listener.execute(f"LISTEN {WAKE_CHANNEL}")
            log.info("dispatcher ready")
            next_poll = 0.0
            while not self._stop.is_set():
                wait = max(0.0, min(next_poll, *self._later.values(), next_poll) - time.monotonic())
                woken = {note.payload for note in listener.notifies(timeout=wait, stop_after=1)}
                woken |= {note.payload for note in listener.notifies(timeout=0)}
                self._wake(woken)
                self._send_postponed()
                if time.monotonic() >= next_poll:
                    self._poll()
                    next_poll = time.monotonic() + POLL_SECONDS

    def _wake(self, placements: set[str]) -> None:
        if not placements:
            return
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute(_WOKEN, [list(placements), _CLAIMABLE])
            for (rollout_id,) in cursor.fetchall():
                self._hand_over(rollout_id)

    def _poll(self) -> None:
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute(_DUE, [_CLAIMABLE])
            for rollout_id, overdue_seconds in cursor.fetchall():
                self._hand_over(rollout_id, local=overdue_seconds > OVERDUE_SECONDS)

    def _hand_over(self, rollout_id: UUID, *, local: bool = False) -> None:
        """Sends a tick at once, or a little later when one has just been sent."""
        now = time.monotonic()
        ready = self._sent.get(rollout_id, 0.0) + SPACING_SECONDS
        if ready > now:
            self._later[rollout_id] = ready
            return
        self._later.pop(rollout_id, None)
        self._sent[rollout_id] = now
        if local or not self._published(rollout_id, now):
            self._run_here(rollout_id)

    def _send_postponed(self) -> None:
        now = time.monotonic()
        for rollout_id in [key for key, ready in self._later.items() if ready <= now]:
            self._hand_over(rollout_id)
        if len(self._sent) > 10_000:
            self._sent = {k: at for k, at in self._sent.items() if now - at < SPACING_SECONDS}

    def _published(self, rollout_id: UUID, now: float) -> bool:
        if now < self._broker_rests_until:
            return False
        # In a thread, because the client library retries for seconds before it gives up. A message
        # that arrives after all finds a row that is not due.
        sending = self._publisher.submit(self._publish, str(rollout_id))
        try:
            sending.result(timeout=PUBLISH_SECONDS)
        except (OperationalError, OSError) as error:
            why = str(error) or f"no answer within {PUBLISH_SECONDS} s"
            log.warning("broker: %s; ticks run here for %.0f s", why, BROKER_REST_SECONDS)
            self._broker_rests_until = now + BROKER_REST_SECONDS
            return False
        return True

    def _run_here(self, rollout_id: UUID) -> None:
        if rollout_id in self._local:
            return
        self._local.add(rollout_id)
        self._pool.submit(self._tick, rollout_id)

    def _tick(self, rollout_id: UUID) -> None:
        try:
            engine.advance(rollout_id)
        except Exception:
            log.exception("rollout %s: the tick failed", rollout_id)
        finally:
            self._local.discard(rollout_id)
            connections.close_all()


def _to_celery(rollout_id: str) -> None:
    tick.apply_async(args=[rollout_id], expires=5, retry=False)


def _connect_broker() -> None:
    with tick.app.producer_pool.acquire(block=True, timeout=PUBLISH_SECONDS) as producer:
        producer.connection.ensure_connection(max_retries=1, timeout=1)


def _conninfo() -> str:
    """Django's own connection settings for a connection of our own, outside its pool."""
    given = connection.get_connection_params()
    kept = ("dbname", "user", "password", "host", "port", "sslmode", "sslrootcert")
    values = {key: given[key] for key in kept if given.get(key)}
    return psycopg.conninfo.make_conninfo(**values)
