"""TCP ports on 127.0.0.1: chosen once, remembered, chosen again when somebody else took one."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from portal.launcher.layout import write_private

LOOPBACK = "127.0.0.1"


def listen_once(port: int, host: str) -> None:
    """Listen on `port` and let go. Raises OSError where a server could not listen either."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now (lingering closed connections do not count)."""
    try:
        listen_once(port, host)
    except OSError:
        return False
    return True


def pick_free() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def remembered(path: Path, name: str) -> int:
    """The port `name` has had since the first start; a new one when it is no longer free."""
    known = _read(path)
    if name in known and is_free(known[name]):
        return known[name]
    known[name] = pick_free()
    write_private(path, json.dumps(known, indent=2) + "\n")
    return known[name]


def _read(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}
