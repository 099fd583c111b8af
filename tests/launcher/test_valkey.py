"""The embedded Valkey, really started."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from portal.launcher import ports
from portal.launcher.layout import Layout
from portal.launcher.valkey import Valkey


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / 'with a space and a "quote"')
    layout.create()
    return layout


@contextlib.contextmanager
def running(server: Valkey) -> Iterator[None]:
    """The server, up and answering, until the block ends."""
    server.initialise()
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL)
    try:
        assert server.wait_until_ready(lambda: process.poll() is None)
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_messages_survive_a_restart(layout: Layout) -> None:
    server = Valkey.of(layout)
    with running(server):
        redis.Redis.from_url(server.url).lpush("queue", "message")
    again = Valkey.of(layout)
    with running(again):
        assert redis.Redis.from_url(again.url).lpop("queue") == b"message"


def test_the_password_is_needed_and_is_on_no_command_line(layout: Layout) -> None:
    server = Valkey.of(layout)
    with running(server), pytest.raises(redis.AuthenticationError):
        redis.Redis(host=ports.LOOPBACK, port=server.port, retry=Retry(NoBackoff(), 0)).ping()
    assert server.password not in " ".join(server.command())
    assert server.configuration.stat().st_mode & 0o777 == 0o600


def test_it_does_not_answer_before_it_was_started(layout: Layout) -> None:
    assert not Valkey.of(layout).answers()
