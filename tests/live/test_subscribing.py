"""A subscriber sees a snapshot and then every change: none missing, none twice, in order."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from fleet.models import ObservedObject, Placement
from portal.base import events
from portal.base.models import Event
from portal.live.consumer import in_thread
from portal.live.retention import forget_events
from tests import factories
from tests.live.conftest import emit, emit_many, member_of_new_team

OpenTab = Callable[..., Any]


async def test_a_change_reaches_the_subscriber_of_its_topic_alone(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    cluster, other = await in_thread(lambda: (factories.make_cluster(), factories.make_cluster()))
    assert (await page.subscribe(cluster.topic))["type"] == "snapshot"
    await in_thread(emit, other.topic, object_id="elsewhere")
    seq = await in_thread(emit, "fleet", cluster.topic, object_id="here", ready=3)
    frame = await page.frame()
    assert frame.pop("at").endswith("+00:00")
    assert frame == {
        "type": "event",
        "topic": cluster.topic,
        "seq": seq,
        "kind": "cluster.changed",
        "object": "cluster:here",
        "patch": {"ready": 3},
    }


async def test_snapshots_and_deltas_meet_without_gap_or_double_while_others_write(
    tab: OpenTab,
) -> None:
    user, placement = await in_thread(member_of_new_team)
    pages = [await tab(user) for _ in range(6)]
    writers = [asyncio.create_task(in_thread(_start_pods, placement, w, 40)) for w in range(4)]
    starts = []
    for page in pages:
        await asyncio.sleep(0.05)
        starts.append(await page.subscribe(placement.topic))
    await asyncio.gather(*writers)
    last = await in_thread(emit, placement.topic, kind="pod.gone", object_id="end")
    for page, start in zip(pages, starts, strict=True):
        pods = [name for name in start["objects"] if name.startswith("pod:")]
        assert len(pods) == start["seq"], "each pod came with one event"
        after = [frame["seq"] for frame in await page.frames_until(last)]
        assert after == list(range(start["seq"] + 1, last + 1))
    assert any(0 < start["seq"] < last - 1 for start in starts), "nobody subscribed in the middle"


def _start_pods(placement: Placement, writer: int, count: int) -> None:
    """One transaction per pod; every fifth is rolled back and leaves no trace."""
    for number in range(count):
        try:
            with events.transaction():
                uid = f"{writer}-{number}"
                _observe(placement, uid)
                events.emit(topics=[placement.topic], kind="pod.changed", object_id=uid, payload={})
                if number % 5 == 4:
                    raise _Undone
        except _Undone:
            continue


class _Undone(Exception):
    pass


def _observe(placement: Placement, uid: str) -> None:
    ObservedObject.objects.create(
        cluster=placement.cluster, placement=placement, kind="Pod", name=uid, uid=uid,
        seen_at=timezone.now(), projection={},
    )  # fmt: skip


async def test_a_returning_subscriber_gets_exactly_what_it_missed(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    seen = await in_thread(emit, "fleet", object_id="a")
    await in_thread(emit, "fleet", object_id="b")
    last = await in_thread(emit, "fleet", object_id="c")
    await page.send(op="sub", topic="fleet", since_seq=seen)
    frames = await page.frames_until(last)
    assert [(f["type"], f["object"]) for f in frames] == [
        ("event", "cluster:b"),
        ("event", "cluster:c"),
    ]


async def test_a_subscriber_who_missed_nothing_is_told_nothing(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    seen = await in_thread(emit, "fleet")
    await page.send(op="sub", topic="fleet", since_seq=seen)
    assert await page.is_silent()
    assert (await in_thread(emit, "fleet"), "event") == _seq_and_type(await page.frame())


def _seq_and_type(frame: dict[str, Any]) -> tuple[int, str]:
    return frame["seq"], frame["type"]


async def test_a_subscriber_away_for_longer_than_the_retention_starts_over(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    seen = await in_thread(emit_many, 3, "fleet", objects=3)
    await in_thread(emit_many, 3, "fleet", objects=3)
    await in_thread(_age_events, seen + 2)
    assert await page.subscribe("fleet", since_seq=seen) == {"type": "reset", "topic": "fleet"}
    snapshot = await page.subscribe("fleet")
    assert (snapshot["type"], snapshot["seq"]) == ("snapshot", 6)
    await page.send(op="sub", topic="fleet", since_seq=seen + 2)
    assert (await page.frame())["seq"] == seen + 3, "the newest forgotten seq can be resumed from"


def _age_events(up_to_seq: int) -> None:
    Event.objects.filter(seq__lte=up_to_seq).update(at=timezone.now() - timedelta(hours=25))
    forget_events(older_than=timedelta(hours=24))


async def test_a_quiet_day_does_not_turn_known_seqs_into_the_future(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    last = await in_thread(emit, "fleet")
    await in_thread(_age_events, last)
    await page.send(op="sub", topic="fleet", since_seq=last)
    assert await page.is_silent(), "nothing was missed although no event is left"
    assert await in_thread(emit, "fleet") == (await page.frame())["seq"] == last + 1


async def test_a_seq_from_the_future_is_answered_with_a_snapshot(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    last = await in_thread(emit, "fleet")
    for future in (last + 1, 2**63 - 1):
        answer = await page.subscribe("fleet", since_seq=future)
        assert (answer["type"], answer["seq"]) == ("snapshot", last)


async def test_more_missed_objects_than_a_socket_may_hold_are_a_reset(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    seen = await in_thread(emit, "fleet")
    await in_thread(emit_many, 2001, "fleet", objects=2001)
    assert (await page.subscribe("fleet", since_seq=seen))["type"] == "reset"


async def test_a_long_list_is_announced_instead_of_sent(tab: OpenTab) -> None:
    user, placement = await in_thread(member_of_new_team)
    await in_thread(_observe_many, placement, 501)
    page = await tab(user)
    notice = await page.subscribe(placement.topic)
    assert notice == {"type": "changed", "topic": placement.topic, "seq": 0}
    seq = await in_thread(emit, placement.topic, kind="pod.changed", secret="not in the notice")
    assert await page.frame() == {"type": "changed", "topic": placement.topic, "seq": seq}


def _observe_many(placement: Placement, count: int) -> None:
    for number in range(count):
        _observe(placement, str(number))


async def test_after_unsubscribing_nothing_more_comes(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    await page.subscribe("fleet")
    await page.send(op="unsub", topic="fleet")
    await page.send(op="ping")
    assert (await page.socket.receive_json_from(timeout=10))["type"] == "pong"
    await in_thread(emit, "fleet")
    assert await page.is_silent()


async def test_subscribing_again_and_again_never_loses_a_change(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    dice = random.Random(7)
    seen = [(await page.subscribe("fleet"))["seq"]]
    for number in range(20):
        last = await in_thread(emit, "fleet", object_id=str(number))
        if dice.random() < 0.5:
            await page.send(op="sub", topic="fleet", since_seq=seen[-1])
        seen += [frame["seq"] for frame in await page.frames_until(last)]
    assert list(dict.fromkeys(seen)) == list(range(21))
