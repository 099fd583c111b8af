"""Ports are chosen once, and again only when somebody else has taken them."""

from __future__ import annotations

import socket
from pathlib import Path

from portal.launcher import ports


def test_a_port_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    assert ports.remembered(path, "valkey") == ports.remembered(path, "valkey")


def test_a_taken_port_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first, other = ports.remembered(path, "postgres"), ports.remembered(path, "valkey")
    with socket.create_server((ports.LOOPBACK, first)):
        assert not ports.is_free(first)
        second = ports.remembered(path, "postgres")
    assert second != first
    assert ports.remembered(path, "postgres") == second
    assert ports.remembered(path, "valkey") == other


def test_a_spoilt_file_means_new_ports(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text("[not ports")
    assert ports.is_free(ports.remembered(path, "postgres"))
