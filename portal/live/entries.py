"""Reading the Event table: committed entries in seq order, and how far back it reaches.

An entry's body travels as the JSON text PostgreSQL holds; it is never parsed here, and the frame
for a topic is encoded once however many sockets it goes to.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# One statement, so the counter and the rows belong to the same snapshot. Always one row or more.
_SELECT = """
SELECT counter.last, entry.* FROM
  (SELECT COALESCE((SELECT seq FROM base_eventcounter WHERE id = 1), 0) AS last) AS counter
LEFT JOIN LATERAL (
  SELECT seq, topics, kind, object_id, payload::text, at FROM base_event
  WHERE seq > %s{condition} ORDER BY seq LIMIT %s
) AS entry ON TRUE ORDER BY entry.seq
"""
AFTER = _SELECT.format(condition="")
AFTER_ON_TOPICS = _SELECT.format(condition=" AND topics && %s::varchar[]")
BOUNDS = """
SELECT COALESCE((SELECT seq FROM base_eventcounter WHERE id = 1), 0),
       (SELECT min(seq) FROM base_event)
"""


@dataclass(slots=True, eq=False)
class Entry:
    """One committed event. `payload` is JSON text."""

    seq: int
    topics: Sequence[str]
    kind: str
    object_id: str
    payload: str
    at: datetime
    _frames: dict[str, str] = field(default_factory=dict)

    @property
    def object(self) -> str:
        """What it is about, such as `pod:<uid>` for the kinds `pod.changed` and `pod.gone`."""
        return f"{self.kind.partition('.')[0]}:{self.object_id}"

    @property
    def team_topics(self) -> frozenset[str]:
        """Teams it belongs to; an entry that names none is for everyone on its topics."""
        return frozenset(topic for topic in self.topics if topic.startswith("team:"))

    def frame(self, topic: str) -> str:
        """The frame for one of its topics."""
        if topic not in self._frames:
            self._frames[topic] = self._encode(topic)
        return self._frames[topic]

    def _encode(self, topic: str) -> str:
        head = json.dumps(
            {
                "type": "event",
                "topic": topic,
                "seq": self.seq,
                "kind": self.kind,
                "object": self.object,
                "at": self.at.isoformat(),
            }
        )
        return f'{head[:-1]}, "patch": {self.payload}}}'


def parse(rows: Iterable[Sequence[Any]]) -> tuple[int, list[Entry]]:
    """`(last seq handed out, entries)` from the rows of AFTER or AFTER_ON_TOPICS."""
    rows = list(rows)
    return rows[0][0], [Entry(*row[1:]) for row in rows if row[1] is not None]
