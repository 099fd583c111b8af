"""`GET /api/v1/events`: waits for news without holding a thread or a database connection."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import connection
from django.utils import timezone

from portal.base.models import ApiKey, Event, Membership, User
from portal.live import poll
from portal.live.consumer import in_thread
from portal.live.relay import Relay
from portal.live.retention import forget_events
from tests import factories
from tests.live.conftest import emit, emit_many, eventually, member_of_new_team, session_cookie

Answer = tuple[int, dict[str, str], Any]


class Caller:
    """Asks with an API key."""

    def __init__(self, token: str) -> None:
        self.headers = [(b"authorization", f"Bearer {token}".encode())]

    def request(self, query: str, method: str = "GET") -> ApplicationCommunicator:
        from portal.asgi import application

        scope = {
            "type": "http", "method": method, "path": "/api/v1/events", "headers": self.headers,
            "query_string": query.encode(),
        }  # fmt: skip
        return ApplicationCommunicator(application, scope)

    async def get(self, query: str, method: str = "GET") -> Answer:
        """Status, headers and decoded body."""
        request = self.request(query, method)
        await request.send_input({"type": "http.request", "body": b""})
        start = await request.receive_output(40)
        body = await request.receive_output(10)
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, json.loads(body["body"])


@pytest.fixture
async def caller(bus: Relay) -> AsyncIterator[Caller]:
    _, token = await in_thread(factories.make_api_key, None, ApiKey.Scope.READ)
    yield Caller(token)


async def test_without_after_it_answers_at_once_with_the_seq_to_start_from(caller: Caller) -> None:
    last = await in_thread(emit, "fleet")
    status, headers, body = await caller.get("topic=fleet&wait=30")
    assert (status, body) == (200, {"events": [], "seq": last, "reset": False})
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"


async def test_it_answers_with_what_came_after_in_the_shape_of_the_socket(caller: Caller) -> None:
    seen = await in_thread(emit, "fleet")
    last = await in_thread(emit, "fleet", "cluster:x", object_id="a", ready=1)
    _, _, body = await caller.get(f"topic=fleet&after={seen}")
    [event] = body["events"]
    assert event.pop("at")
    assert event == {
        "type": "event", "topic": "fleet", "seq": last, "kind": "cluster.changed",
        "object": "cluster:a", "patch": {"ready": 1},
    }  # fmt: skip
    assert (body["seq"], body["reset"]) == (last, False)


async def test_it_wakes_up_when_something_happens_on_its_topics_alone(
    caller: Caller, bus: Relay
) -> None:
    cluster = await in_thread(factories.make_cluster)
    waiting = asyncio.create_task(caller.get(f"topic={cluster.topic}&after=0&wait=30"))
    await eventually(lambda: len(bus.hub) == 1)
    last = await in_thread(emit, "fleet")
    await eventually(lambda: bus.seq == last)
    await asyncio.sleep(0.1)
    assert not waiting.done()
    last = await in_thread(emit, cluster.topic)
    _, _, body = await asyncio.wait_for(waiting, 10)
    assert [event["seq"] for event in body["events"]] == [last]
    assert len(bus.hub) == 0


async def test_it_gives_up_after_the_wait_with_the_seq_it_has_seen(caller: Caller) -> None:
    last = await in_thread(emit, "fleet")
    _, _, body = await caller.get(f"topic=fleet&after={last}&wait=0")
    assert body == {"events": [], "seq": last, "reset": False}


async def test_following_the_seq_visits_every_event_once(caller: Caller) -> None:
    last = await in_thread(emit_many, 1_300, "fleet", objects=1_300)
    seen, after = [], 0
    while after < last:
        _, _, body = await caller.get(f"topic=fleet&after={after}")
        seen += [event["seq"] for event in body["events"]]
        after = body["seq"]
    assert seen == list(range(1, last + 1))


async def test_an_event_on_two_of_the_topics_comes_once_for_each(caller: Caller) -> None:
    cluster = await in_thread(factories.make_cluster)
    await in_thread(emit, "fleet", cluster.topic)
    _, _, body = await caller.get(f"topic=fleet&topic={cluster.topic}&topic=fleet&after=0")
    assert [event["topic"] for event in body["events"]] == ["fleet", cluster.topic]


async def test_a_seq_that_cannot_be_resumed_from_is_answered_with_reset(caller: Caller) -> None:
    last = await in_thread(emit_many, 5, "fleet", objects=5)
    await in_thread(_forget_all)
    for after in (0, last - 1, last + 1):
        _, _, body = await caller.get(f"topic=fleet&after={after}")
        assert body == {"events": [], "seq": last, "reset": True}
    _, _, body = await caller.get(f"topic=fleet&after={last}&wait=0")
    assert body["reset"] is False


def _forget_all() -> None:
    Event.objects.update(at=timezone.now() - timedelta(days=2))
    forget_events(older_than=timedelta(days=1))


async def test_topics_of_other_teams_are_refused_and_their_events_hidden(caller: Caller) -> None:
    _, placement = await in_thread(member_of_new_team)
    status, headers, body = await caller.get(f"topic=fleet&topic={placement.topic}")
    assert (status, body["code"]) == (403, "not_allowed")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == body["request_id"]
    assert [error["pointer"] for error in body["errors"]] == ["/topic"]
    cluster = placement.cluster.topic
    await in_thread(emit, cluster, f"team:{placement.service.team_id}")
    _, _, body = await caller.get(f"topic={cluster}&after=0&wait=0")
    assert body["events"] == []


async def test_a_right_lost_while_waiting_ends_the_wait_with_403(bus: Relay) -> None:
    user, placement = await in_thread(member_of_new_team)
    _, token = await in_thread(factories.make_api_key, user)
    waiting = asyncio.create_task(Caller(token).get(f"topic={placement.topic}&after=0&wait=30"))
    await eventually(lambda: len(bus.hub) == 1)
    await in_thread(Membership.objects.filter(user=user).delete)
    status, _, _ = await asyncio.wait_for(waiting, 10)
    assert status == 403


async def test_a_session_cookie_works_too(bus: Relay) -> None:
    user: User = await in_thread(factories.make_user)
    caller = Caller("")
    caller.headers = [(b"cookie", await in_thread(session_cookie, user))]
    assert (await caller.get("topic=fleet"))[0] == 200


async def test_nobody_is_answered_without_credentials(bus: Relay) -> None:
    for headers in ([], [(b"authorization", b"Bearer ph_x.y")], [(b"cookie", b"sessionid=x")]):
        caller = Caller("")
        caller.headers = headers
        status, answered, body = await caller.get("topic=fleet")
        assert (status, body["code"]) == (401, "not_signed_in")
        assert answered["www-authenticate"] == "Bearer"


WRONG = {
    "": "/topic",
    "topic=fleet&after=-1": "/after",
    "topic=fleet&after=1.5": "/after",
    "topic=fleet&after=9223372036854775808": "/after",
    "topic=fleet&after=%D9%A3": "/after",
    "topic=fleet&wait=31": "/wait",
    "topic=fleet&wait=nan": "/wait",
    "topic=fleet&api_key=ph_x.y": "/api_key",
    "&".join(f"topic={n}" for n in range(201)): "/topic",
}


async def test_wrong_parameters_are_400_with_a_pointer(caller: Caller) -> None:
    for query, pointer in WRONG.items():
        status, _, body = await caller.get(query)
        assert (status, body["errors"][0]["pointer"]) == (400, pointer), query


async def test_other_methods_are_405(caller: Caller) -> None:
    status, headers, _ = await caller.get("topic=fleet", method="POST")
    assert (status, headers["allow"]) == (405, "GET")


async def test_while_the_relay_is_blind_it_says_so_instead_of_waiting(
    caller: Caller, bus: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "READY_SECONDS", 0.1)
    await bus.stop()
    status, headers, body = await caller.get("topic=fleet")
    assert (status, body["code"], headers["retry-after"]) == (503, "unreachable", "5")


async def test_hundred_waiting_callers_hold_no_thread_and_no_connection(
    caller: Caller, bus: Relay
) -> None:
    await in_thread(emit, "fleet")
    before = await in_thread(_busy)
    waiting = [asyncio.create_task(caller.get("topic=fleet&after=1&wait=30")) for _ in range(100)]
    await eventually(lambda: len(bus.hub) == 100, within_seconds=30)
    await asyncio.sleep(0.5)
    threads, connections = await in_thread(_busy)
    assert threads < before[0] + 20
    assert connections <= before[1]
    last = await in_thread(emit, "fleet")
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert {answer[2]["seq"] for answer in answers} == {last}


def _busy() -> tuple[int, int]:
    """Threads of this process, and connections that are out of its pool."""
    stats = connection.pool.get_stats()
    return threading.active_count(), stats["pool_size"] - stats["pool_available"]


async def test_a_caller_who_hangs_up_is_forgotten_at_once(caller: Caller, bus: Relay) -> None:
    request = caller.request("topic=fleet&after=0&wait=30")
    await request.send_input({"type": "http.request", "body": b""})
    await eventually(lambda: len(bus.hub) == 1)
    await request.send_input({"type": "http.disconnect"})
    await eventually(lambda: len(bus.hub) == 0)
