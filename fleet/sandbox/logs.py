"""What the simulated containers print, and how `kubectl logs` reads it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import errors
from .clock import Clock, rfc3339_micro
from .store import Object

LINES_KEPT = 1000


@dataclass(frozen=True, slots=True)
class LogQuery:
    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None

    @classmethod
    def from_parameters(cls, query: Mapping[str, str]) -> "LogQuery":
        def number(name: str) -> int | None:
            text = query.get(name, "")
            return int(text) if text.lstrip("-").isdigit() else None

        return cls(
            query.get("container", ""),
            query.get("follow") in ("true", "1"),
            query.get("previous") in ("true", "1"),
            query.get("timestamps") in ("true", "1"),
            number("tailLines"),
            number("sinceSeconds"),
        )


@dataclass(frozen=True, slots=True)
class Line:
    moment: datetime
    run: int  # how many times the container had restarted
    text: str


class LogBook:
    """The last lines of every container, by pod uid and container name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[tuple[str, str], deque[Line]] = {}
        self._written = asyncio.Event()

    def write(self, pod: Object, container: str, run: int, text: str) -> None:
        key = pod["metadata"]["uid"], container
        lines = self._lines.setdefault(key, deque(maxlen=LINES_KEPT))
        lines.append(Line(self._clock.now(), run, text))
        self._written.set()
        self._written = asyncio.Event()

    def forget(self, uid: str) -> None:
        for key in [key for key in self._lines if key[0] == uid]:
            del self._lines[key]

    def read(self, pod: Object, query: LogQuery) -> str:
        """The lines asked for; raises StatusError 400 or 422."""
        _check(pod, query)
        container = _container(pod, query.container)
        state = _status(pod, container)
        if query.previous and not state.get("restartCount"):
            name = pod["metadata"]["name"]
            raise errors.bad_request(
                f'previous terminated container "{container}" in pod "{name}" not found'
            )
        lines = list(self._lines.get((pod["metadata"]["uid"], container), ()))
        run = state.get("restartCount", 0) - (1 if query.previous else 0)
        wanted = [line for line in lines if line.run == run]
        if query.since_seconds is not None:
            start = self._clock.now() - timedelta(seconds=query.since_seconds)
            wanted = [line for line in wanted if line.moment >= start]
        if query.tail_lines is not None:
            wanted = wanted[-query.tail_lines :] if query.tail_lines else []
        return "".join(_shown(line, query) for line in wanted)

    async def follow(self, pod: Object, query: LogQuery) -> AsyncIterator[str]:
        """Lines written from now on, until the pod's log is forgotten."""
        key = pod["metadata"]["uid"], _container(pod, query.container)
        last = self._clock.now()
        while key in self._lines:
            await self._written.wait()
            for line in list(self._lines.get(key, ())):
                if line.moment > last:
                    last = line.moment
                    yield _shown(line, query)


def _check(pod: Object, query: LogQuery) -> None:
    if query.tail_lines is not None and query.tail_lines < 0:
        problem = errors.invalid_value(
            "tailLines", query.tail_lines, "must be greater than or equal to 0"
        )
        raise errors.invalid("", "PodLogOptions", pod["metadata"]["name"], [problem])


def _shown(line: Line, query: LogQuery) -> str:
    stamp = f"{rfc3339_micro(line.moment)} " if query.timestamps else ""
    return f"{stamp}{line.text}\n"


def _container(pod: Object, wanted: str) -> str:
    names = [container["name"] for container in pod["spec"]["containers"]]
    name = pod["metadata"]["name"]
    if wanted and wanted not in names:
        raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
    if not wanted and len(names) > 1:
        choices = " ".join(names)
        raise errors.bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{choices}]"
        )
    return wanted or names[0]


def _status(pod: Object, container: str) -> Object:
    for status in pod.get("status", {}).get("containerStatuses", ()):
        if status["name"] == container:
            waiting = status.get("state", {}).get("waiting")
            if waiting and not status.get("restartCount"):
                raise _waiting(pod, container, waiting["reason"])
            return status
    raise _waiting(pod, container, "ContainerCreating")


def _waiting(pod: Object, container: str, reason: str) -> errors.StatusError:
    why = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }.get(reason, reason)
    name = pod["metadata"]["name"]
    return errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {why}')
