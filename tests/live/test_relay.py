"""The relay publishes every committed event once and in order, whatever happens to its line."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.db import connection

from portal.base import events
from portal.base.models import Event, EventCounter
from portal.live.consumer import in_thread
from portal.live.entries import Entry
from portal.live.relay import Relay, database_parameters, relay
from tests import factories
from tests.live.conftest import emit, emit_many, eventually

OpenTab = Callable[..., Any]


class Ear:
    """A listener that remembers."""

    def __init__(self, bus: Relay, topic: str = "fleet") -> None:
        self.seqs: list[int] = []
        self.losses = 0
        bus.hub.enter(self)
        bus.hub.subscribe(self, topic)

    def deliver(self, topic: str, entry: Entry) -> None:
        self.seqs.append(entry.seq)

    def lost(self) -> None:
        self.losses += 1

    def access_changed(self, user_id: object) -> None:
        pass


def _cut_the_line() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = 'pilothouse live relay' AND datname = current_database()"
        )
        return cursor.fetchone()[0]


async def test_a_terminated_connection_is_replaced_and_nothing_is_missed_or_repeated(
    bus: Relay,
) -> None:
    ear = Ear(bus)
    await in_thread(emit, "fleet")
    for _ in range(3):
        assert await in_thread(_cut_the_line) == 1
        last = await in_thread(emit_many, 20, "fleet", objects=20)
        await eventually(lambda last=last: bus.seq == last)
        await bus.ready(10)
    assert ear.seqs == list(range(1, 62))
    assert ear.losses == 0


async def test_a_page_stays_connected_while_the_relay_reconnects(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    await page.subscribe("fleet")
    assert await in_thread(_cut_the_line) == 1
    last = await in_thread(emit_many, 5, "fleet", objects=5)
    assert [f["seq"] for f in await page.frames_until(last)] == [1, 2, 3, 4, 5]


async def test_without_any_notify_the_poll_finds_what_was_committed(bus: Relay) -> None:
    ear = Ear(bus)
    await in_thread(_write_silently)
    await eventually(lambda: ear.seqs == [1])


def _write_silently() -> None:
    EventCounter.objects.create(seq=1)
    Event.objects.create(seq=1, topics=["fleet"], kind="x.y", object_id="z", at="2026-01-01T00:00Z")


async def test_events_that_are_gone_before_they_were_read_are_reported_as_lost(
    bus: Relay,
) -> None:
    ear = Ear(bus)
    await in_thread(_skip_ahead, 7)
    last = await in_thread(emit, "fleet")
    await eventually(lambda: bus.seq == last == 8)
    assert (ear.seqs, ear.losses) == ([8], 1)


def _skip_ahead(seq: int) -> None:
    EventCounter.objects.update_or_create(pk=1, defaults={"seq": seq})


async def test_a_database_restored_to_an_older_state_starts_everybody_over(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    await page.subscribe("fleet")
    last = await in_thread(emit_many, 9, "fleet", objects=9)
    await page.frames_until(last)
    await in_thread(_restore, 4)
    assert await page.frame() == {"type": "reset", "topic": "fleet"}
    assert (await page.subscribe("fleet"))["seq"] == 4
    assert relay().seq == 4


def _restore(seq: int) -> None:
    Event.objects.filter(seq__gt=seq).delete()
    EventCounter.objects.update(seq=seq)


async def test_a_listener_that_fails_starts_over_and_the_others_hear_on(bus: Relay) -> None:
    ears = [Ear(bus) for _ in range(4)]
    ears[2].seqs = None  # type: ignore[assignment]
    last = await in_thread(emit_many, 3, "fleet", objects=3)
    await eventually(lambda: bus.seq == last)
    assert [ear.seqs for ear in ears] == [[1, 2, 3], [1, 2, 3], None, [1, 2, 3]]
    assert [ear.losses for ear in ears] == [0, 0, 3, 0]


async def test_a_batch_larger_than_one_read_is_published_whole(bus: Relay) -> None:
    ear = Ear(bus)
    last = await in_thread(emit_many, 1_234, "fleet", objects=1_234)
    await eventually(lambda: bus.seq == last)
    assert ear.seqs == list(range(1, 1_235))


async def test_the_relay_admits_how_long_it_has_been_blind(bus: Relay) -> None:
    assert bus.lag_seconds == 0
    bus._complete_at -= 40
    assert 30 < bus.lag_seconds <= 41


@pytest.mark.django_db(transaction=True)
def test_no_reader_ever_sees_a_hole_while_writers_commit_and_roll_back() -> None:
    holes: list[list[int]] = []
    stop = threading.Event()
    watcher = threading.Thread(target=_look_for_holes, args=(holes, stop))
    watcher.start()
    writers = [threading.Thread(target=_write_at_random, args=(seed,)) for seed in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    stop.set()
    watcher.join(10)
    assert holes == []
    seqs = list(Event.objects.values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > 100


def _look_for_holes(holes: list[list[int]], stop: threading.Event) -> None:
    with psycopg.connect(**database_parameters(), autocommit=True) as reader:
        while not stop.is_set():
            seqs = [row[0] for row in reader.execute("SELECT seq FROM base_event ORDER BY seq")]
            if seqs != list(range(1, len(seqs) + 1)):
                holes.append(seqs)
            time.sleep(0.002)


def _write_at_random(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(40):
        with suppress(_Undone), events.transaction():
            for _ in range(dice.randint(1, 3)):
                events.emit(topics=["fleet"], kind="a.b", object_id=str(seed), payload={})
            time.sleep(dice.random() / 200)
            if dice.random() < 0.3:
                raise _Undone
    connection.close()


class _Undone(Exception):
    pass


async def test_each_event_loop_has_a_relay_of_its_own(bus: Relay) -> None:
    assert relay() is bus
    assert await in_thread(lambda: asyncio.run(_other_relay())) is not bus


async def _other_relay() -> Relay:
    other = relay()
    await other.stop()
    return other
