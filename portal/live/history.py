"""Where a reader stands: a snapshot with its seq, or what happened since the seq it has.

Everything is read in one REPEATABLE READ transaction, so objects, entries and seq agree. The
functions block: call them in a thread.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from portal.live import entries, snapshots
from portal.live.entries import Entry
from portal.live.outbox import MAX_KEYS
from portal.live.viewers import Viewer

MAX_SNAPSHOT_OBJECTS = 500
PAGE = 500


@dataclass(frozen=True)
class Start:
    """How a subscription begins: exactly one of snapshot, entries or reset, all as of `seq`."""

    seq: int
    snapshot: str | None = None
    entries: Sequence[Entry] = ()
    reset: bool = False
    # The topic has more objects than a snapshot carries: only `changed` notices from here on.
    notices_only: bool = False


@dataclass(frozen=True)
class Page:
    """One answer of the long poll: the entries after a seq, and the seq to ask with next."""

    seq: int
    entries: list[Entry] = field(default_factory=list)
    reset: bool = False


def start(*, topic: str, viewer: Viewer, since: int | None) -> Start | None:
    """How a subscription of `viewer` to `topic` begins; None when the topic is not theirs.

    `since` None or in the future: a snapshot. Older than the retention: a reset.
    """
    with _one_moment() as cursor:
        if topic not in viewer.allowed([topic]):
            return None
        last, oldest = _bounds(cursor)
        if since is None or since > last:
            return _snapshot(topic, viewer, last)
        if since + 1 < oldest:
            return Start(last, reset=True)
        _, found = _after(cursor, since, [topic], limit=MAX_KEYS + 1)
    if len(found) > MAX_KEYS:
        return Start(last, reset=True)
    return Start(last, entries=found)


def page(*, topics: Sequence[str], viewer: Viewer, after: int | None) -> Page:
    """The next entries on any of the topics, PAGE of them at most. Topics were checked before."""
    with _one_moment() as cursor:
        last, oldest = _bounds(cursor)
        if after is None:
            return Page(last)
        if after > last or after + 1 < oldest:
            return Page(last, reset=True)
        _, found = _after(cursor, after, topics, limit=PAGE)
    seq = found[-1].seq if len(found) == PAGE else last
    return Page(seq, [entry for entry in found if viewer.sees(entry)])


def _snapshot(topic: str, viewer: Viewer, seq: int) -> Start:
    kinds, objects = snapshots.take(topic, viewer)
    if len(objects) <= MAX_SNAPSHOT_OBJECTS:
        frame = {
            "type": "snapshot", "topic": topic, "seq": seq, "kinds": kinds, "objects": objects
        }  # fmt: skip
        return Start(seq, snapshot=json.dumps(frame, cls=DjangoJSONEncoder))
    return Start(seq, snapshot=changed_notice(topic, seq), notices_only=True)


def changed_notice(topic: str, seq: int) -> str:
    """The frame that says only that something on the topic changed."""
    return json.dumps({"type": "changed", "topic": topic, "seq": seq})


@contextmanager
def _one_moment() -> Iterator[Any]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield cursor


def _bounds(cursor: Any) -> tuple[int, int]:
    """The last seq handed out, and the oldest one still kept (the next one when none is)."""
    cursor.execute(entries.BOUNDS)
    last, oldest = cursor.fetchone()
    return last, last + 1 if oldest is None else oldest


def _after(cursor: Any, seq: int, topics: Sequence[str], *, limit: int) -> tuple[int, list[Entry]]:
    cursor.execute(entries.AFTER_ON_TOPICS, [seq, list(topics), limit])
    return entries.parse(cursor.fetchall())
