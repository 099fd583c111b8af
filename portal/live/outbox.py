"""What one socket still has to be told: bounded, latest wins, in the order of seq.

The web server buffers without limit for a client that does not read, so frames wait here. The
newest frame of an object replaces its older one and goes to the end, so frames always leave in
seq order and the last seq a client saw is a safe place to resume from.
"""

import asyncio

MAX_KEYS = 2_000
MAX_UNANSWERED_FRAMES = 64
MAX_UNANSWERED_BYTES = 512 * 1024

Key = tuple[str, str]  # topic ("" for the socket itself), object


class Overflow(Exception):
    """More than MAX_KEYS objects changed while the client did not read."""


class Outbox:
    """Frames by (topic, object)."""

    def __init__(self) -> None:
        self._frames: dict[Key, str] = {}
        self._filled = asyncio.Event()

    def put(self, key: Key, frame: str) -> None:
        """Raises Overflow, with the frame left out, when there is no room for another key."""
        if key not in self._frames and len(self._frames) >= MAX_KEYS:
            raise Overflow
        self._frames.pop(key, None)
        self._frames[key] = frame
        self._filled.set()

    def forget(self, topic: str) -> None:
        """Drops what waits for a topic."""
        for key in [key for key in self._frames if key[0] == topic]:
            del self._frames[key]

    def clear(self) -> None:
        self._frames.clear()

    async def take(self) -> str:
        """The oldest waiting frame."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        return self._frames.pop(next(iter(self._frames)))

    def __len__(self) -> int:
        return len(self._frames)


class FlowControl:
    """Stops sending until the client has read what it was sent.

    After MAX_UNANSWERED_FRAMES frames or MAX_UNANSWERED_BYTES the client is asked `ack?` with a
    number and answers `{"op": "ack", "seq": number}`; its answer proves that it read that far.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._frames = 0
        self._bytes = 0
        self._open = asyncio.Event()
        self._open.set()

    def count(self, frame: str) -> int | None:
        """Counts a sent frame; the number to ask with when it is time to ask."""
        self._sent += 1
        self._frames += 1
        self._bytes += len(frame)
        if self._frames < MAX_UNANSWERED_FRAMES and self._bytes < MAX_UNANSWERED_BYTES:
            return None
        self._open.clear()
        return self._sent

    def answered(self, number: object) -> None:
        """Takes the client's answer; a wrong number changes nothing."""
        if number == self._sent and not self._open.is_set():
            self._frames = self._bytes = 0
            self._open.set()

    async def wait(self) -> None:
        await self._open.wait()
