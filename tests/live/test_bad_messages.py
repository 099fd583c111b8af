"""What a client may send, and how often. Nothing it sends makes the server fail."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from portal.live import consumer
from portal.live.consumer import (
    BAD_MESSAGE,
    FLOOD,
    MAX_MESSAGE_CHARACTERS,
    MAX_MESSAGES_PER_SECOND,
    in_thread,
)
from tests import factories

OpenTab = Callable[..., Any]


NO_SMALL_JSON_OBJECT = [
    "",
    "sub fleet",
    '{"op": "sub"',
    '["sub", "fleet"]',
    "null",
    "[" * 60_000,
    '{"op": ' + "9" * 5_000 + "}",
    '{"op": "' + "x" * MAX_MESSAGE_CHARACTERS + '"}',
]


async def test_text_that_is_no_small_json_object_ends_the_socket(tab: OpenTab) -> None:
    user = await in_thread(factories.make_user)
    for text in NO_SMALL_JSON_OBJECT:
        page = await tab(user)
        await page.socket.send_input({"type": "websocket.receive", "text": text})
        assert await page.close_code() == BAD_MESSAGE, text[:40]


async def test_binary_messages_end_the_socket(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    await page.socket.send_to(bytes_data=b'{"op": "ping"}')
    assert await page.close_code() == BAD_MESSAGE


async def test_a_message_of_exactly_the_limit_is_read(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    frame = {"op": "x", "pad": ""}
    frame["pad"] = "x" * (MAX_MESSAGE_CHARACTERS - len(json.dumps(frame)))
    await page.send(**frame)
    assert (await page.frame())["code"] == BAD_MESSAGE


NOT_UNDERSTOOD: list[tuple[dict[str, Any], str | None]] = [
    ({"op": "dance"}, "dance"),
    ({"op": "dance", "ref": "7"}, "7"),
    ({"op": ["sub"]}, None),
    ({}, None),
    ({"op": "sub"}, "sub"),
    ({"op": "sub", "topic": 5}, "sub"),
    ({"op": "sub", "topic": "fleet", "since_seq": "5"}, "fleet"),
    ({"op": "sub", "topic": "fleet", "since_seq": -1}, "fleet"),
    ({"op": "sub", "topic": "fleet", "since_seq": True}, "fleet"),
    ({"op": "sub", "topic": "fleet", "since_seq": 1.5}, "fleet"),
    ({"op": "sub", "topic": "fleet", "since_seq": 2**63}, "fleet"),
    ({"op": "x" * 5000}, "x" * 80),
]


async def test_an_operation_nobody_knows_is_answered_and_the_socket_lives_on(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    for message, ref in NOT_UNDERSTOOD:
        await page.send(**message)
        assert await page.frame() == {"type": "error", "code": BAD_MESSAGE, "ref": ref}
    assert (await page.subscribe("fleet"))["type"] == "snapshot"


async def test_more_than_a_hundred_messages_a_second_end_the_socket(tab: OpenTab) -> None:
    page = await tab(await in_thread(factories.make_user))
    for _ in range(3 * MAX_MESSAGES_PER_SECOND):
        await page.send(op="ping")
    assert await page.close_code() == FLOOD


async def test_the_limit_on_subscriptions_refuses_one_more_and_keeps_the_rest(
    tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consumer.MAX_SUBSCRIPTIONS == 200
    monkeypatch.setattr(consumer, "MAX_SUBSCRIPTIONS", 3)
    clusters = await in_thread(lambda: [factories.make_cluster() for _ in range(3)])
    page = await tab(await in_thread(factories.make_user))
    for cluster in clusters:
        assert (await page.subscribe(cluster.topic))["type"] == "snapshot"
    refused = {"type": "error", "code": FLOOD, "ref": "fleet"}
    assert await page.subscribe("fleet") == refused
    assert (await page.subscribe(clusters[0].topic))["type"] == "snapshot", "it had that one"
