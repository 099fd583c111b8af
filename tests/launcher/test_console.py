"""What is printed, and where colours are right."""

from __future__ import annotations

import io
import os

import pytest

from portal.launcher.console import Console


class Terminal(io.StringIO):
    """A stream that says that a person watches."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_wish_for_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_terminal_gets_one_colour_per_program() -> None:
    stream = Terminal()
    console = Console(stream)
    for name in ("web", "worker", "web"):
        console.line(name, "hello")
    first, other, again = stream.getvalue().splitlines()
    assert first.startswith("\033[") and first == again
    assert first.split("m")[0] != other.split("m")[0]


def test_a_pipe_gets_plain_lines() -> None:
    stream = io.StringIO()
    Console(stream).line("web", "hello")
    assert stream.getvalue() == "web       | hello\n"


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    Console(stream).say("hello")
    assert stream.getvalue() == "up        | hello\n"


def test_a_reader_that_went_away_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    Console(stream).say("hello")
    with pytest.raises(BrokenPipeError):
        stream.close()
