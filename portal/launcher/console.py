"""What `up` prints: its own sentences, and every program's lines behind the program's name."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

WIDTH = 9  # of the longest program name
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # ANSI foregrounds; red is for trouble
OWN_NAME = "up"


class Console:
    """Prefixed lines on `stream`; colours only where a person watches (and NO_COLOR is unset)."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stdout
        self.coloured = self.stream.isatty() and not os.environ.get("NO_COLOR")
        self._colour_of: dict[str, int] = {}

    def say(self, text: str) -> None:
        """A sentence of the launcher's own."""
        for line in text.splitlines():
            self._print(self._prefix(OWN_NAME, 1) + line)

    def line(self, name: str, text: str) -> None:
        """One line that program `name` wrote."""
        colour = self._colour_of.setdefault(name, COLOURS[len(self._colour_of) % len(COLOURS)])
        self._print(self._prefix(name, colour) + text)

    def plain(self, text: str) -> None:
        """Text for people to read and copy, without a prefix."""
        self._print(text)

    def _prefix(self, name: str, colour: int) -> str:
        prefix = f"{name:<{WIDTH}} | "
        return f"\033[{colour}m{prefix}\033[0m" if self.coloured else prefix

    def _print(self, text: str) -> None:
        # A reader that went away (`up | head`) is no reason to stop serving.
        with contextlib.suppress(BrokenPipeError):
            print(text, file=self.stream, flush=True)
