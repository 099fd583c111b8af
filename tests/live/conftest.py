"""Tabs that talk to the live bus, in this process or to a real daphne."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.testing import WebsocketCommunicator
from django.db import connection
from django.test import Client

from portal.base import events
from portal.base.models import User
from portal.live import relay
from portal.live.consumer import in_thread
from tests import factories

ORIGIN = b"http://localhost"
STARTUP_SECONDS = 30.0


class Communicator(WebsocketCommunicator):
    """Without Channels' patch that keeps database connections open: pools would run dry."""

    send_input = ApplicationCommunicator.send_input
    receive_output = ApplicationCommunicator.receive_output


class Tab:
    """A page's socket: answers `ack?` unless told not to, and skips clock frames."""

    def __init__(self, application: Any, headers: list[tuple[bytes, bytes]]) -> None:
        self.socket = Communicator(application, "/ws/live", headers=headers)
        self.acknowledges = True

    async def open(self) -> "Tab":
        accepted, code = await self.socket.connect(timeout=10)
        assert accepted, code
        return self

    async def send(self, **message: Any) -> None:
        await self.socket.send_json_to(message)

    async def subscribe(self, topic: str, since_seq: int | None = None) -> dict[str, Any]:
        """Subscribes and returns the first frame that answers."""
        await self.send(op="sub", topic=topic, since_seq=since_seq)
        return await self.frame()

    async def frame(self, timeout_seconds: float = 10) -> dict[str, Any]:
        """The next frame that is neither a clock nor a question."""
        while True:
            frame = await self.socket.receive_json_from(timeout=timeout_seconds)
            if frame["type"] == "ack?" and self.acknowledges:
                await self.send(op="ack", seq=frame["seq"])
            elif frame["type"] not in ("ping", "pong"):
                return frame

    async def frames_until(self, seq: int) -> list[dict[str, Any]]:
        """Frames up to the one with this seq."""
        found = [await self.frame()]
        while found[-1].get("seq") != seq:
            found.append(await self.frame())
        return found

    async def is_silent(self, seconds: float = 0.3) -> bool:
        return await self.socket.receive_nothing(timeout=seconds)

    async def close_code(self, timeout_seconds: float = 10) -> int:
        while True:
            message = await self.socket.receive_output(timeout=timeout_seconds)
            if message["type"] == "websocket.close":
                return message["code"]


@pytest.fixture
async def tab(transactional_db: None) -> AsyncIterator[Callable[..., Any]]:
    """Opens tabs: `await tab(user)`; they and the relay end with the test."""
    from portal.asgi import application

    tabs: list[Tab] = []

    async def open_tab(user: User, application: Any = application) -> Tab:
        cookie = await in_thread(session_cookie, user)
        tabs.append(Tab(application, [(b"cookie", cookie), *same_origin()]))
        return await tabs[-1].open()

    yield open_tab
    for opened in tabs:
        await opened.socket.disconnect()
    await relay.relay().stop()


@pytest.fixture
async def bus(transactional_db: None) -> AsyncIterator[relay.Relay]:
    """The relay of this process, listening."""
    running = relay.relay()
    assert await running.ready(10)
    yield running
    await running.stop()


def same_origin() -> list[tuple[bytes, bytes]]:
    return [(b"host", b"localhost"), (b"origin", ORIGIN)]


def session_cookie(user: User) -> bytes:
    """The Cookie header of a signed-in browser."""
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}".encode()


def emit(
    *topics: str, kind: str = "cluster.changed", object_id: str = "one", **payload: Any
) -> int:
    """Commits one event and returns its seq."""
    with events.transaction():
        events.emit(topics=topics, kind=kind, object_id=object_id, payload=payload)
    return events.last_seq()


def emit_many(count: int, *topics: str, objects: int, kind: str = "pod.changed") -> int:
    """Commits events about `objects` objects in turn, in one transaction; the last seq."""
    with events.transaction():
        for number in range(count):
            events.emit(
                topics=topics, kind=kind, object_id=str(number % objects), payload={"n": number}
            )
    return events.last_seq()


def member_of_new_team() -> tuple[User, Any]:
    """A viewer and a placement of a service of the viewer's team."""
    team = factories.make_team()
    user = factories.make_user(team=team)
    return user, factories.make_placement(factories.make_service(team=team))


class Daphne:
    """The web server as `up` starts it, on the test database."""

    def __init__(self, **environment: str) -> None:
        self.port = free_port()
        self.environment = os.environ | {"DATABASE_URL": database_url()} | environment
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "-v", "0", "portal.asgi:application"], env=self.environment
        )
        deadline = time.monotonic() + STARTUP_SECONDS
        while not answers(self.port):
            assert self.process.poll() is None, "daphne ended"
            assert time.monotonic() < deadline, "daphne does not listen"
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def daphne(transactional_db: None) -> Iterator[Daphne]:
    server = Daphne()
    yield server
    server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def database_url() -> str:
    given = connection.settings_dict
    return (
        f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}"
        f"/{given['NAME']}"
    )


async def eventually(condition: Callable[[], bool], within_seconds: float = 10) -> None:
    async with asyncio.timeout(within_seconds):
        while not condition():
            await asyncio.sleep(0.02)
