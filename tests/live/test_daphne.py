"""The bus as it is served: a real daphne, real sockets, real HTTP."""

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websockets
from django.db import connection
from websockets.asyncio.client import ClientConnection, connect

from portal.base import api_keys, events
from portal.base.models import User
from portal.live.consumer import in_thread
from tests import factories
from tests.live.conftest import (
    Daphne,
    emit,
    emit_many,
    eventually,
    free_port,
    member_of_new_team,
    session_cookie,
)


def socket_to(server: Daphne, user: User | None = None, **options: Any) -> connect:
    """A browser's socket, with the cookie of `user`."""
    cookie = {"Cookie": session_cookie(user).decode()} if user else {}
    address = f"ws://127.0.0.1:{server.port}/ws/live"
    return connect(address, origin=server.origin, additional_headers=cookie, **options)


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


def get(server: Daphne, path: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(server.origin + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=40) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def test_a_page_follows_its_placement_and_resumes_after_the_server_restarted(
    daphne: Daphne,
) -> None:
    user, placement = await in_thread(member_of_new_team)
    async with await in_thread(socket_to, daphne, user) as socket:
        await say(socket, op="sub", topic=placement.topic)
        assert (await hear(socket))["type"] == "snapshot"
        seen = await in_thread(emit, placement.topic, kind="pod.changed", object_id="a")
        assert (await hear(socket))["seq"] == seen
        daphne.stop()
        with pytest.raises(websockets.ConnectionClosed):
            await hear(socket)
    missed = await in_thread(emit, placement.topic, kind="pod.changed", object_id="b")
    daphne.start()
    async with await in_thread(socket_to, daphne, user) as socket:
        await say(socket, op="sub", topic=placement.topic, since_seq=seen)
        frame = await hear(socket)
        assert (frame["type"], frame["seq"], frame["object"]) == ("event", missed, "pod:b")


async def test_origin_session_and_address_are_checked_on_the_wire(daphne: Daphne) -> None:
    user = await in_thread(factories.make_user)
    cookie = {"Cookie": (await in_thread(session_cookie, user)).decode()}
    address = f"ws://127.0.0.1:{daphne.port}"
    for origin in (None, "http://evil.example"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(f"{address}/ws/live", origin=origin, additional_headers=cookie)
        assert refused.value.response.status_code == 403
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(f"{address}/ws/other", origin=daphne.origin, additional_headers=cookie)
    assert refused.value.response.status_code == 403
    async with await in_thread(socket_to, daphne) as nobody:
        assert await _close_code(nobody) == 4401


async def test_bad_messages_close_with_their_code_on_the_wire(daphne: Daphne) -> None:
    user = await in_thread(factories.make_user)
    for message in ("no json", b"\x00\x01", "x" * 65_537, "x" * 1_000_000):
        async with await in_thread(socket_to, daphne, user) as socket:
            await socket.send(message)
            assert await _close_code(socket) == 4400


async def _close_code(socket: ClientConnection) -> int:
    with pytest.raises(websockets.ConnectionClosed) as closed:
        while True:
            await asyncio.wait_for(socket.recv(), 10)
    return closed.value.rcvd.code


async def test_a_flood_is_closed_4429_and_the_server_serves_on(daphne: Daphne) -> None:
    user = await in_thread(factories.make_user)
    async with await in_thread(socket_to, daphne, user) as socket:
        with pytest.raises(websockets.ConnectionClosed):
            for _ in range(10_000):
                await say(socket, op="sub", topic="fleet")
            while True:
                await hear(socket)
        assert socket.close_code == 4429
    assert (await in_thread(get, daphne, "/healthz"))[0] == 200


async def test_a_page_that_does_not_read_gets_the_last_state_and_costs_no_memory(
    daphne: Daphne,
) -> None:
    user = await in_thread(factories.make_user)
    async with await in_thread(socket_to, daphne, user) as slow:
        await say(slow, op="sub", topic="fleet")
        assert (await hear(slow))["type"] == "snapshot"
        before = _resident_bytes(daphne)
        last = await in_thread(_emit_large, 6_000)
        async with await in_thread(socket_to, daphne, user) as quick:
            await say(quick, op="sub", topic="fleet", since_seq=last - 1)
            assert (await hear(quick))["seq"] == last
        frames = [await hear(slow)]
        while frames[-1].get("seq") != last:
            if frames[-1]["type"] == "ack?":
                await say(slow, op="ack", seq=frames[-1]["seq"])
            frames.append(await hear(slow))
        assert len(frames) < 200
        grown = _resident_bytes(daphne) - before
        assert grown < 30_000_000, "6,000 frames of 10 kB are 60 MB"


def _emit_large(count: int) -> int:
    for _ in range(count // 50):
        with events.transaction():
            for number in range(50):
                events.emit(
                    topics=["fleet"],
                    kind="cluster.changed",
                    object_id=str(number % 5),
                    payload={"pad": "x" * 10_000},
                )
    return events.last_seq()


def _resident_bytes(server: Daphne) -> int:
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_the_long_poll_wakes_and_everything_else_stays_with_django(daphne: Daphne) -> None:
    user, placement = await in_thread(member_of_new_team)
    _, token = await in_thread(factories.make_api_key, user)
    path = f"/api/v1/events?topic={placement.topic}&after=0&wait=30"
    key = {"Authorization": f"Bearer {token}"}
    waiting = asyncio.create_task(asyncio.to_thread(get, daphne, path, **key))
    await eventually(lambda: not waiting.done())
    await asyncio.sleep(0.5)
    last = await in_thread(emit_many, 3, placement.topic, objects=3)
    status, body = await asyncio.wait_for(waiting, 20)
    assert (status, body["seq"]) == (200, last)
    assert get(daphne, "/api/v1/events?topic=fleet")[0] == 401
    assert get(daphne, "/healthz")[0] == 200


async def test_a_revoked_key_ends_its_socket_and_its_polls(daphne: Daphne) -> None:
    key, token = await in_thread(factories.make_api_key)
    header = {"Authorization": f"Bearer {token}"}
    address = f"ws://127.0.0.1:{daphne.port}/ws/live"
    async with connect(address, additional_headers=header) as socket:
        await say(socket, op="sub", topic="fleet")
        assert (await hear(socket))["type"] == "snapshot"
        await in_thread(api_keys.revoke, key=key, actor=None)
        assert await _close_code(socket) == 4401
    assert get(daphne, "/api/v1/events?topic=fleet", **header)[0] == 401


def test_healthz_and_readyz_tell_an_operator_what_they_need(daphne: Daphne) -> None:
    assert get(daphne, "/healthz") == (200, {"status": "alive"})
    status, body = get(daphne, "/readyz")
    assert (status, body["status"]) == (200, "ready")
    assert body["checks"]["database"] == {"state": "ok"}
    assert body["checks"]["migrations"] == {"state": "applied"}
    assert body["checks"]["live_relay"] == {"state": "not started"}
    assert body["checks"]["broker"] == {"state": "reachable"}


async def test_readyz_shows_the_relay_at_work(daphne: Daphne) -> None:
    user = await in_thread(factories.make_user)
    last = await in_thread(emit, "fleet")
    async with await in_thread(socket_to, daphne, user) as socket:
        await say(socket, op="sub", topic="fleet")
        await hear(socket)
        _, body = await in_thread(get, daphne, "/readyz")
    relay = body["checks"]["live_relay"]
    assert relay == {"state": "listening", "seq": last, "behind_seconds": 0.0, "listeners": 1}


def test_a_pending_migration_makes_it_not_ready(daphne: Daphne) -> None:
    with _forgotten_migration():
        status, body = get(daphne, "/readyz")
    assert (status, body["checks"]["migrations"]) == (503, {"state": "pending", "count": 1})
    assert get(daphne, "/readyz")[0] == 200


@contextmanager
def _forgotten_migration() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, app, name, applied FROM django_migrations ORDER BY id LIMIT 1")
        row = cursor.fetchone()
        cursor.execute("DELETE FROM django_migrations WHERE id = %s", row[:1])
        yield
        cursor.execute("INSERT INTO django_migrations VALUES (%s, %s, %s, %s)", row)


def test_without_a_database_it_is_alive_but_not_ready(transactional_db: None) -> None:
    nowhere = f"postgres://somebody:hidden@127.0.0.1:{free_port()}/nothing"
    broker = f"redis://127.0.0.1:{free_port()}/0"
    server = Daphne(DATABASE_URL=nowhere, REDIS_URL=broker)
    try:
        assert get(server, "/healthz")[0] == 200
        status, body = get(server, "/readyz")
        assert (status, body["checks"]["database"]) == (503, {"state": "unreachable"})
        assert body["checks"]["broker"] == {"state": "unreachable"}
        assert "hidden" not in json.dumps(body)
    finally:
        server.stop()
