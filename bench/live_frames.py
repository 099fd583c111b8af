"""From an event's transaction to the frame in the client: our bus against bare LISTEN/NOTIFY.

    python -m bench.live_frames [--events 100] [--sockets 200]

One run, one database, the same moments: each figure is the time from before the writing statement
to the arrival at a client, in ms. The bare figure is one `pg_notify` to one listening connection.
The bus writes the event row, commits, reads it back and sends a frame of about 2 kB to 1 and to
many sockets of a real daphne; clients live in a process of their own.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from statistics import median, quantiles

import django

import tests.embedded  # noqa: F401  (starts PostgreSQL, sets DATABASE_URL)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

import psycopg  # noqa: E402
from django.core.management import call_command  # noqa: E402
from websockets.asyncio.client import ClientConnection, connect  # noqa: E402

from portal.base import events  # noqa: E402
from portal.live.relay import database_parameters  # noqa: E402
from tests import factories  # noqa: E402
from tests.live.conftest import Daphne  # noqa: E402

PAUSE_SECONDS = 0.2
PAD = "x" * 2_000


def main() -> None:
    given = _arguments()
    call_command("migrate", verbosity=0)
    _, token = factories.make_api_key()
    server = Daphne()
    try:
        bare = bare_notify(given.events)
        _report("bare LISTEN/NOTIFY", bare, bare)
        for sockets in (1, given.sockets):
            found, cpu_seconds = frames(server, token, sockets, given.events)
            _report(f"frame, {sockets} sockets", found, bare)
            print(f"{'':<22} daphne: {cpu_seconds / len(found) * 1e6:.0f} us of CPU per frame")
    finally:
        server.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--sockets", type=int, default=200)
    return parser.parse_args()


def bare_notify(count: int) -> list[float]:
    """Latencies in ms of one notification after the other."""
    found = []
    with _line() as listener, _line() as writer:
        listener.execute("LISTEN bench")
        for _ in range(count):
            writer.execute("SELECT pg_notify('bench', %s)", [str(time.monotonic())])
            for note in listener.notifies(timeout=5, stop_after=1):
                found.append((time.monotonic() - float(note.payload)) * 1000)
            time.sleep(PAUSE_SECONDS)
    return found


def _line() -> psycopg.Connection:
    return psycopg.connect(**database_parameters(), autocommit=True)


def frames(server: Daphne, token: str, sockets: int, count: int) -> tuple[list[float], float]:
    """Latencies in ms of every frame on every socket, and the CPU seconds of the server."""
    with clients(server.port, token, sockets, count) as pipe:
        pipe.recv()  # all subscribed
        before = _cpu_seconds(server)
        for number in range(count):
            payload = {"sent": time.monotonic(), "pad": PAD}
            with events.transaction():
                events.emit(
                    topics=["fleet"], kind="cluster.changed", object_id=number, payload=payload
                )
            time.sleep(PAUSE_SECONDS)
        return pipe.recv(), _cpu_seconds(server) - before


@contextmanager
def clients(port: int, token: str, sockets: int, count: int) -> Iterator[Connection]:
    """A process that listens; the pipe says when it is ready, then what it measured."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=listen, args=(port, token, sockets, count, theirs))
    process.start()
    try:
        yield ours
    finally:
        process.join(10)
        process.kill()


def listen(port: int, token: str, sockets: int, count: int, pipe: Connection) -> None:
    asyncio.run(_listen(port, token, sockets, count, pipe))


async def _listen(port: int, token: str, sockets: int, count: int, pipe: Connection) -> None:
    opened = [await _subscribe(port, token) for _ in range(sockets)]
    pipe.send("ready")
    found = await asyncio.gather(*(_measure(socket, count) for socket in opened))
    pipe.send([latency for one in found for latency in one])


async def _subscribe(port: int, token: str) -> ClientConnection:
    socket = await connect(
        f"ws://127.0.0.1:{port}/ws/live",
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
    )
    await socket.send('{"op": "sub", "topic": "fleet"}')
    await socket.recv()
    return socket


async def _measure(socket: ClientConnection, count: int) -> list[float]:
    found: list[float] = []
    while len(found) < count:
        frame = json.loads(await asyncio.wait_for(socket.recv(), 60))
        if frame["type"] == "event":
            found.append((time.monotonic() - frame["patch"]["sent"]) * 1000)
        elif frame["type"] == "ack?":
            await socket.send(json.dumps({"op": "ack", "seq": frame["seq"]}))
    return found


def _cpu_seconds(server: Daphne) -> float:
    with open(f"/proc/{server.process.pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _report(name: str, found: list[float], bare: list[float]) -> None:
    p99 = quantiles(found, n=100)[98]
    ratio, ratio99 = median(found) / median(bare), p99 / quantiles(bare, n=100)[98]
    print(
        f"{name:<22} n={len(found):<6} p50 {median(found):7.2f} ms ({ratio:5.1f} x)"
        f"   p99 {p99:7.2f} ms ({ratio99:5.1f} x)"
    )


if __name__ == "__main__":
    main()
