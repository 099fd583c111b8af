"""The bus: Event rows in commit order, and NOTIFY with numbers only.

`transaction()` opens an atomic block; `emit()` collects; when the outermost block ends the events
are inserted as the last statements before COMMIT. The counter row's lock is held for those few
statements alone, so seq order is commit order, seq has no gaps, and no reader can skip one.
NOTIFY carries `first:last` (its limit is 7,999 bytes; bodies are read from the table).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.db import transaction as db
from django.utils import timezone

from portal.base.audit import actor_name
from portal.base.models import Event, EventCounter, User

EVENTS_CHANNEL = "pilothouse_events"
WAKE_CHANNEL = "pilothouse_wake"


@dataclass
class _Batch:
    events: list[dict[str, Any]] = field(default_factory=list)
    wakes: set[str] = field(default_factory=set)


_open: ContextVar[_Batch | None] = ContextVar("event_batch", default=None)


@contextmanager
def transaction() -> Iterator[None]:
    """An atomic block whose events and wakes are written last. Inner blocks join the outer one."""
    if _open.get() is not None:
        with db.atomic():
            yield
        return
    batch = _Batch()
    token = _open.set(batch)
    try:
        with db.atomic():
            yield
            _write(batch)
    finally:
        _open.reset(token)


def emit(
    *,
    topics: Sequence[str],
    kind: str,
    object_id: object,
    payload: dict[str, Any],
    actor: User | None = None,
) -> None:
    """Adds an event to the open block. Raises RuntimeError outside of `transaction()`."""
    _batch().events.append(
        {
            "topics": list(topics),
            "kind": kind,
            "object_id": str(object_id),
            "payload": payload,
            "actor": actor_name(actor),
        }
    )


def wake(placement_id: UUID | str) -> None:
    """Tells the dispatcher, at commit, that the rollout of a placement may have work to do."""
    _batch().wakes.add(str(placement_id))


def last_seq() -> int:
    """The newest seq handed out as this transaction sees it, 0 before the first event.

    From the counter: after a quiet day no event may be left, and the seq still counts on.
    """
    return EventCounter.objects.filter(pk=1).values_list("seq", flat=True).first() or 0


def _batch() -> _Batch:
    batch = _open.get()
    if batch is None:
        raise RuntimeError("events.emit() and events.wake() need an events.transaction() block")
    return batch


def _write(batch: _Batch) -> None:
    with connection.cursor() as cursor:
        for placement_id in sorted(batch.wakes):
            cursor.execute("SELECT pg_notify(%s, %s)", [WAKE_CHANNEL, placement_id])
        if not batch.events:
            return
        last = _reserve(cursor, len(batch.events))
        first = last - len(batch.events) + 1
        now = timezone.now()
        Event.objects.bulk_create(
            Event(seq=seq, at=now, **values) for seq, values in enumerate(batch.events, first)
        )
        cursor.execute("SELECT pg_notify(%s, %s)", [EVENTS_CHANNEL, f"{first}:{last}"])


def _reserve(cursor: Any, count: int) -> int:
    cursor.execute(
        "INSERT INTO base_eventcounter AS counter (id, seq) VALUES (1, %s) "
        "ON CONFLICT (id) DO UPDATE SET seq = counter.seq + EXCLUDED.seq RETURNING seq",
        [count],
    )
    return cursor.fetchone()[0]
