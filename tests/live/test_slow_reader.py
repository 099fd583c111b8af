"""A page that does not read loses intermediate states, never the last one, and costs little."""

from collections.abc import Callable
from typing import Any

import pytest

from portal.live.consumer import LiveSocket, in_thread
from portal.live.outbox import MAX_KEYS, MAX_UNANSWERED_FRAMES
from portal.live.relay import Relay, relay
from tests import factories
from tests.live.conftest import Tab, emit, emit_many, eventually

OpenTab = Callable[..., Any]


async def _stalled(tab: OpenTab) -> Tab:
    """A page that was sent as much as it may be sent without answering."""
    page = await tab(await in_thread(factories.make_user))
    await page.subscribe("fleet")
    page.acknowledges = False
    filler = MAX_UNANSWERED_FRAMES - 1  # the snapshot was the first frame
    await in_thread(emit_many, filler, "fleet", objects=filler)
    for _ in range(filler):
        await page.frame()
    question = await page.frame()
    assert question == {"type": "ack?", "seq": MAX_UNANSWERED_FRAMES}
    return page


def _socket_of_only_page(bus: Relay) -> LiveSocket:
    [socket] = bus.hub._all
    return socket


async def test_a_stalled_page_is_sent_nothing_until_it_answers(tab: OpenTab) -> None:
    page = await _stalled(tab)
    last = await in_thread(emit, "fleet", object_id="late")
    assert await page.is_silent()
    await page.send(op="ack", seq=5)
    await page.send(op="ack", seq="64")
    assert await page.is_silent(), "a wrong answer proves nothing"
    await page.send(op="ack", seq=MAX_UNANSWERED_FRAMES)
    assert (await page.frame())["seq"] == last


async def test_a_stalled_page_then_gets_the_newest_state_of_each_object_in_order(
    tab: OpenTab,
) -> None:
    page = await _stalled(tab)
    last = await in_thread(emit_many, 900, "fleet", objects=3)
    await eventually(lambda: relay().seq == last)
    await page.send(op="ack", seq=MAX_UNANSWERED_FRAMES)
    frames = [await page.frame() for _ in range(3)]
    assert [frame["patch"]["n"] for frame in frames] == [897, 898, 899]
    assert [frame["seq"] for frame in frames] == [last - 2, last - 1, last]
    assert await page.is_silent()


async def test_an_interrupted_page_resumes_from_the_last_seq_it_saw_without_loss(
    tab: OpenTab,
) -> None:
    page = await _stalled(tab)
    await in_thread(emit, "fleet", object_id="a", n=1)
    await in_thread(emit, "fleet", object_id="b", n=1)
    last = await in_thread(emit, "fleet", object_id="a", n=2)
    await eventually(lambda: relay().seq == last)
    await page.send(op="ack", seq=MAX_UNANSWERED_FRAMES)
    only_one = await page.frame()
    again = await tab(await in_thread(factories.make_user))
    await again.send(op="sub", topic="fleet", since_seq=only_one["seq"])
    rest = await again.frames_until(last)
    newest = {f["object"]: f["patch"]["n"] for f in [only_one, *rest]}
    assert newest == {"cluster:b": 1, "cluster:a": 2}


async def test_more_waiting_objects_than_fit_are_given_up_for_one_reset(
    tab: OpenTab, caplog: pytest.LogCaptureFixture
) -> None:
    page = await _stalled(tab)
    socket = _socket_of_only_page(relay())
    last = await in_thread(emit_many, MAX_KEYS, "fleet", objects=MAX_KEYS)
    await eventually(lambda: relay().seq == last)
    assert len(socket.outbox) == MAX_KEYS
    last = await in_thread(emit, "fleet", object_id="one too many")
    await eventually(lambda: relay().seq == last)
    assert len(socket.outbox) == 1
    await page.send(op="ack", seq=MAX_UNANSWERED_FRAMES)
    assert await page.frame() == {"type": "reset", "topic": "fleet"}
    page.acknowledges = True
    assert (await page.subscribe("fleet"))["seq"] == last
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


async def test_a_stalled_page_does_not_hold_up_the_others(tab: OpenTab) -> None:
    await _stalled(tab)
    other = await tab(await in_thread(factories.make_user))
    await other.subscribe("fleet")
    last = await in_thread(emit_many, 500, "fleet", objects=500)
    assert len(await other.frames_until(last)) == 500


async def test_a_client_that_only_asks_and_never_reads_fills_one_place(tab: OpenTab) -> None:
    page = await _stalled(tab)
    for _ in range(50):
        await page.send(op="ping")
    await eventually(lambda: len(_socket_of_only_page(relay()).outbox) > 0)
    assert await page.is_silent()
    assert len(_socket_of_only_page(relay()).outbox) == 1
