"""Fan-out inside one web process: who listens to which topic. Used from the event loop alone."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from portal.live.entries import Entry

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Something that hears about a topic. Its methods return at once."""

    def deliver(self, topic: str, entry: Entry) -> None: ...

    def lost(self) -> None:
        """Entries were missed for good: what the listener knows is void."""

    def access_changed(self, user_id: UUID | None) -> None:
        """Rights of a user, or of anybody (None), may have changed."""


class Hub:
    """Topics and their listeners."""

    def __init__(self) -> None:
        self._by_topic: defaultdict[str, set[Listener]] = defaultdict(set)
        self._all: set[Listener] = set()

    def enter(self, listener: Listener) -> None:
        self._all.add(listener)

    def leave(self, listener: Listener, topics: Iterable[str]) -> None:
        for topic in list(topics):
            self.unsubscribe(listener, topic)
        self._all.discard(listener)

    def subscribe(self, listener: Listener, topic: str) -> None:
        self._by_topic[topic].add(listener)

    def unsubscribe(self, listener: Listener, topic: str) -> None:
        self._by_topic[topic].discard(listener)
        if not self._by_topic[topic]:
            del self._by_topic[topic]

    def publish(self, entry: Entry) -> None:
        for topic in entry.topics:
            # A copy: a listener that has too much waiting unsubscribes on the spot.
            for listener in tuple(self._by_topic.get(topic, ())):
                self._deliver(listener, topic, entry)

    def _deliver(self, listener: Listener, topic: str, entry: Entry) -> None:
        try:
            listener.deliver(topic, entry)
        except Exception:
            # One listener's mistake is its own: the others hear on, and it starts over.
            log.exception("A listener failed on event %s", entry.seq)
            listener.lost()

    def lost(self) -> None:
        for listener in list(self._all):
            listener.lost()

    def access_changed(self, user_id: UUID | None) -> None:
        for listener in list(self._all):
            listener.access_changed(user_id)

    def __len__(self) -> int:
        return len(self._all)
