"""`/ws/live`: one socket per page, many topics (the protocol stands in `portal/live/__init__.py`).

Four jobs per socket: `_read` takes messages as they come and counts them, `_obey` carries them
out in order, `_write` sends what waits in the outbox, `_guard` checks again that the viewer may
still listen. The first one that raises Closed ends all four.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import InterfaceError, OperationalError

from portal.live import history
from portal.live.entries import Entry
from portal.live.outbox import FlowControl, Outbox, Overflow
from portal.live.relay import Relay, relay
from portal.live.viewers import Credentials, Viewer, is_own_origin

log = logging.getLogger(__name__)

# 4xxx only: autobahn under daphne refuses to close with codes such as 1009 or 1013. Messages above
# 1 MiB never come here, daphne drops their connection.
BAD_MESSAGE, SIGNED_OUT, FORBIDDEN, FLOOD, TRY_LATER = 4400, 4401, 4403, 4429, 4503

MAX_MESSAGE_CHARACTERS = 64 * 1024
MAX_MESSAGES_PER_SECOND = 100
MAX_SUBSCRIPTIONS = 200
MAX_REF = 80
MAX_SEQ = 2**63 - 1
CHECK_SECONDS = 25.0
READY_SECONDS = 5.0

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Closed(Exception):
    """Ends the socket with a close code; None when the client has gone."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


class Subscription:
    """One topic of one socket. Until it is opened at a seq, entries are held back."""

    def __init__(self) -> None:
        self.floor: int | None = None
        self.notices_only = False
        self.held: dict[str, Entry] = {}

    def hold(self, entry: Entry) -> None:
        self.held.pop(entry.object, None)
        self.held[entry.object] = entry


class LiveSocket:
    """One connected viewer."""

    def __init__(
        self, viewer: Viewer, credentials: Credentials, receive: Receive, send: Send, bus: Relay
    ) -> None:
        self.viewer, self.credentials, self.bus = viewer, credentials, bus
        self._receive, self._send = receive, send
        self.outbox, self.flow = Outbox(), FlowControl()
        self.subscriptions: dict[str, Subscription] = {}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(MAX_MESSAGES_PER_SECOND * 4)
        self._check_now = asyncio.Event()
        self._second, self._messages = 0, 0

    async def run(self, check_seconds: float) -> int | None:
        """Serves until the socket ends; the close code, None when the client has gone."""
        self.bus.hub.enter(self)
        code = None
        try:
            async with asyncio.TaskGroup() as jobs:
                for job in (self._read(), self._obey(), self._write(), self._guard(check_seconds)):
                    jobs.create_task(job)
        except* Closed as closed:
            code = closed.exceptions[0].code
        except* (OperationalError, InterfaceError) as failed:
            log.warning("Live socket ended without database: %s", failed.exceptions[0])
            code = TRY_LATER
        finally:
            self.bus.hub.leave(self, self.subscriptions)
        return code

    # --- called by the hub: never waits ---

    def deliver(self, topic: str, entry: Entry) -> None:
        subscription = self.subscriptions.get(topic)
        if subscription is None or not self.viewer.sees(entry):
            return
        if subscription.floor is None:
            subscription.hold(entry)
        elif entry.seq <= subscription.floor:
            return
        elif subscription.notices_only:
            self._put((topic, ""), history.changed_notice(topic, entry.seq))
        else:
            self._put((topic, entry.object), entry.frame(topic))

    def lost(self) -> None:
        """Every topic starts over. The client subscribes again and gets a snapshot."""
        self.outbox.clear()
        for topic in list(self.subscriptions):
            self._reset(topic)

    def access_changed(self, user_id: UUID | None) -> None:
        if user_id is None or user_id == self.viewer.user.pk:
            self._check_now.set()

    # --- reading and obeying ---

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise Closed
            self._count()
            parsed = parse(message)
            if parsed.get("op") == "ack":
                self.flow.answered(parsed.get("seq"))
            elif self._inbox.full():
                raise Closed(FLOOD)
            else:
                self._inbox.put_nowait(parsed)

    def _count(self) -> None:
        second = int(time.monotonic())
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        if self._messages > MAX_MESSAGES_PER_SECOND:
            raise Closed(FLOOD)

    async def _obey(self) -> None:
        while True:
            match await self._inbox.get():
                case {"op": "sub", "topic": str(topic), **rest}:
                    await self._subscribe(topic, rest.get("since_seq"))
                case {"op": "unsub", "topic": str(topic)}:
                    self._unsubscribe(topic)
                case {"op": "ping"}:
                    self._put(("", "pong"), self._clock("pong"))
                case message:
                    self._error(BAD_MESSAGE, message.get("ref", message.get("op")))

    async def _subscribe(self, topic: str, since: object) -> None:
        if not _is_seq(since):
            return self._error(BAD_MESSAGE, topic)
        if topic not in self.subscriptions and len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            return self._error(FLOOD, topic)
        # Listen first, then read: what is committed in between is held, then told once.
        subscription = self.subscriptions[topic] = Subscription()
        self.bus.hub.subscribe(self, topic)
        begin = await in_thread(history.start, topic=topic, viewer=self.viewer, since=since)
        if self.subscriptions.get(topic) is not subscription:
            return None  # everything was reset meanwhile
        if begin is None:
            self._unsubscribe(topic)
            return self._error(FORBIDDEN, topic)
        return self._open(topic, subscription, begin)

    def _open(self, topic: str, subscription: Subscription, begin: history.Start) -> None:
        self.outbox.forget(topic)
        if begin.reset:
            return self._reset(topic)
        if begin.snapshot is not None:
            self._put((topic, ""), begin.snapshot)
        subscription.notices_only = begin.notices_only
        subscription.floor = 0
        for entry in begin.entries:
            self.deliver(topic, entry)
        subscription.floor = begin.seq
        for entry in subscription.held.values():
            self.deliver(topic, entry)
        subscription.held = {}
        return None

    def _unsubscribe(self, topic: str) -> None:
        if self.subscriptions.pop(topic, None) is not None:
            self.bus.hub.unsubscribe(self, topic)
            self.outbox.forget(topic)

    def _reset(self, topic: str) -> None:
        self._unsubscribe(topic)
        self._put((topic, ""), json.dumps({"type": "reset", "topic": topic}))

    # --- writing ---

    def _put(self, key: tuple[str, str], frame: str) -> None:
        try:
            self.outbox.put(key, frame)
        except Overflow:
            self.lost()

    def _error(self, code: int, ref: object) -> None:
        ref = ref[:MAX_REF] if isinstance(ref, str) else None
        self._put(("", f"error {ref}"), json.dumps({"type": "error", "code": code, "ref": ref}))

    def _clock(self, kind: str) -> str:
        return json.dumps(
            {
                "type": kind,
                "seq": self.bus.seq,
                "at": datetime.now(UTC).isoformat(),
                "behind_seconds": round(self.bus.lag_seconds, 2),
            }
        )

    async def _write(self) -> None:
        while True:
            await self.flow.wait()
            frame = await self.outbox.take()
            await self._send_text(frame)
            ask = self.flow.count(frame)
            if ask is not None:
                await self._send_text(json.dumps({"type": "ack?", "seq": ask}))

    async def _send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    # --- guarding ---

    async def _guard(self, check_seconds: float) -> None:
        while True:
            try:
                async with asyncio.timeout(check_seconds):
                    await self._check_now.wait()
            except TimeoutError:
                self._put(("", "ping"), self._clock("ping"))
            self._check_now.clear()
            await self._check()

    async def _check(self) -> None:
        viewer, allowed = await in_thread(_look_again, self.credentials, list(self.subscriptions))
        if viewer is None:
            raise Closed(SIGNED_OUT)
        self.viewer = viewer
        for topic in set(self.subscriptions) - allowed:
            self._unsubscribe(topic)
            self._error(FORBIDDEN, topic)


def _look_again(credentials: Credentials, topics: list[str]) -> tuple[Viewer | None, set[str]]:
    viewer = credentials.viewer()
    return viewer, viewer.allowed(topics) if viewer else set()


def parse(message: Message) -> Message:
    """The JSON object in a received message. Raises Closed for anything else."""
    text = message.get("text")
    if text is None or len(text) > MAX_MESSAGE_CHARACTERS:
        raise Closed(BAD_MESSAGE)
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise Closed(BAD_MESSAGE) from None
    if not isinstance(parsed, dict):
        raise Closed(BAD_MESSAGE)
    return parsed


def _is_seq(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value <= MAX_SEQ)


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Runs a database function in any worker thread and gives its connection back to the pool."""
    return await database_sync_to_async(function, thread_sensitive=False)(*args, **kwargs)


def live(*, check_seconds: float = CHECK_SECONDS) -> Callable[..., Awaitable[None]]:
    """The ASGI application. `check_seconds`: how often rights and session are checked again."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        credentials = Credentials.of(scope)
        if credentials.bearer is None and not is_own_origin(scope):
            await send({"type": "websocket.close", "code": FORBIDDEN})  # before accept: HTTP 403
            return
        await send({"type": "websocket.accept"})
        code = await _serve(credentials, receive, send, check_seconds)
        if code is not None:
            await send({"type": "websocket.close", "code": code})

    return application


async def _serve(
    credentials: Credentials, receive: Receive, send: Send, check_seconds: float
) -> int | None:
    bus = relay()
    try:
        viewer = await in_thread(credentials.viewer)
    except (OperationalError, InterfaceError) as error:
        log.warning("Live socket refused without database: %s", error)
        return TRY_LATER
    if viewer is None:
        return SIGNED_OUT
    if not await bus.ready(READY_SECONDS):
        return TRY_LATER
    return await LiveSocket(viewer, credentials, receive, send, bus).run(check_seconds)
