"""`GET /api/v1/events?after=&wait=&topic=`: the bus for scripts, and where sockets are blocked.

A plain ASGI application: Django's request cycle would keep a thread, and with it a database
connection, for as long as the caller waits.
"""

import asyncio
import json
import logging
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

from django.db import InterfaceError, OperationalError

from portal.base.problems import FieldProblem, NotAllowed, Problem, Unreachable
from portal.base.rest.rendering import CONTENT_TYPE, document
from portal.live import history
from portal.live.consumer import MAX_SEQ, MAX_SUBSCRIPTIONS, READY_SECONDS, Receive, Send, in_thread
from portal.live.entries import Entry
from portal.live.relay import relay
from portal.live.viewers import Credentials, Viewer

log = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 30.0
DEFAULT_WAIT_SECONDS = 25.0
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    405: {"Allow": "GET"},
    503: {"Retry-After": "5"},
}


class NotSignedIn(Problem):
    status, code, title = 401, "not_signed_in", "Sign in or present an API key"


class WrongMethod(Problem):
    status, code, title = 405, "method_not_allowed", "This address answers GET only"


class Broken(Problem):
    status, code, title = 500, "internal", "Internal error"


class Waiter:
    """A hub listener that wakes one waiting request."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.news = asyncio.Event()

    def deliver(self, topic: str, entry: Entry) -> None:
        if self.viewer.sees(entry):
            self.news.set()

    def lost(self) -> None:
        self.news.set()

    def access_changed(self, user_id: UUID | None) -> None:
        if user_id is None or user_id == self.viewer.user.pk:
            self.news.set()


async def events(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The ASGI application."""
    try:
        answer = await _or_gone(_answer(scope), receive)
        if answer is not None:
            await _respond(send, 200, "application/json", answer)
    except Problem as problem:
        await _refuse(send, problem)
    except (OperationalError, InterfaceError):
        await _refuse(send, Unreachable("The database does not answer"))
    except Exception:
        log.exception("GET /api/v1/events failed")
        await _refuse(send, Broken("Something went wrong here"))


async def _or_gone(work: Any, receive: Receive) -> str | None:
    """The result of `work`, or None as soon as the caller has hung up."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hang_up(receive))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        gone.cancel()


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(scope: dict[str, Any]) -> str:
    if scope["method"] != "GET":
        raise WrongMethod(f"{scope['method']} is not allowed here")
    topics, after, wait_seconds = _parameters(scope)
    credentials = Credentials.of(scope)
    viewer = await _admitted(credentials, topics)
    if not await relay().ready(READY_SECONDS):
        raise Unreachable("The live bus does not reach the database")
    found = await _wait(credentials, viewer, topics, after, wait_seconds)
    return _encode(found, topics)


async def _wait(
    credentials: Credentials,
    viewer: Viewer,
    topics: list[str],
    after: int | None,
    wait_seconds: float,
) -> history.Page:
    hub, waiter = relay().hub, Waiter(viewer)
    hub.enter(waiter)
    try:
        for topic in topics:
            hub.subscribe(waiter, topic)
        found = await in_thread(history.page, topics=topics, viewer=viewer, after=after)
        if after is None or found.entries or found.reset:
            return found
        try:
            async with asyncio.timeout(wait_seconds):
                await waiter.news.wait()
        except TimeoutError:
            return found
        viewer = await _admitted(credentials, topics)
        return await in_thread(history.page, topics=topics, viewer=viewer, after=after)
    finally:
        hub.leave(waiter, topics)


async def _admitted(credentials: Credentials, topics: list[str]) -> Viewer:
    viewer, refused = await in_thread(_check, credentials, topics)
    if viewer is None:
        raise NotSignedIn("There is no valid session or API key")
    if refused:
        errors = [FieldProblem("/topic", "not_allowed", topic[:80]) for topic in sorted(refused)]
        raise NotAllowed("These topics are not yours or do not exist", errors=errors)
    return viewer


def _check(credentials: Credentials, topics: list[str]) -> tuple[Viewer | None, set[str]]:
    viewer = credentials.viewer()
    return viewer, set(topics) - viewer.allowed(topics) if viewer else set()


def _parameters(scope: dict[str, Any]) -> tuple[list[str], int | None, float]:
    query = parse_qs(scope.get("query_string", b"").decode("latin1"), keep_blank_values=True)
    unknown = set(query) - {"topic", "after", "wait"}
    if unknown:
        raise _bad("/" + sorted(unknown)[0][:80], "unknown", "Give topic, after and wait only")
    topics = list(dict.fromkeys(query.get("topic", [])))
    if not 0 < len(topics) <= MAX_SUBSCRIPTIONS:
        raise _bad("/topic", "required", f"Give 1 to {MAX_SUBSCRIPTIONS} topics")
    after = _number(query, "after", None, MAX_SEQ)
    wait_seconds = _number(query, "wait", DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS)
    return topics, None if after is None else int(after), float(wait_seconds or 0)


def _number(query: dict[str, list[str]], name: str, default: Any, highest: float) -> int | Any:
    text = query.get(name, [""])[-1]
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= highest):
        raise _bad(f"/{name}", "invalid", f"A whole number from 0 to {highest:.0f}")
    return int(text)


def _bad(pointer: str, code: str, message: str) -> Problem:
    return Problem(message, errors=[FieldProblem(pointer, code, message)])


def _encode(found: history.Page, topics: list[str]) -> str:
    frames = [
        entry.frame(topic) for entry in found.entries for topic in topics if topic in entry.topics
    ]
    reset = json.dumps(found.reset)
    return f'{{"events": [{", ".join(frames)}], "seq": {found.seq}, "reset": {reset}}}'


async def _refuse(send: Send, problem: Problem) -> None:
    request_id = uuid4().hex
    body = document(
        status=problem.status,
        code=problem.code,
        title=problem.title,
        detail=problem.detail,
        errors=problem.errors,
    ) | {"request_id": request_id}
    headers = {"X-Request-ID": request_id} | _HEADERS.get(problem.status, {})
    await _respond(send, problem.status, CONTENT_TYPE, json.dumps(body), headers)


async def _respond(
    send: Send, status: int, content_type: str, body: str, headers: dict[str, str] | None = None
) -> None:
    headers = {
        "Content-Type": content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **(headers or {}),
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body.encode()})
