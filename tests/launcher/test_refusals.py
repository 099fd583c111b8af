"""Starts that cannot succeed end with one sentence, its proof, and an exit code; nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from portal.launcher.layout import REPOSITORY
from tests.launcher.installation import Installation


@pytest.fixture
def portal(tmp_path: Path) -> Installation:
    return Installation(REPOSITORY, tmp_path / "var")


@pytest.fixture
def server_url() -> str:
    """A database server that is not the launcher's: the tests' own."""
    return os.environ["DATABASE_URL"]


@pytest.mark.launcher
def test_a_database_that_does_not_start_is_told_with_its_last_lines(portal: Installation) -> None:
    (portal.var / "postgres").mkdir(mode=0o700, parents=True)
    (portal.var / "postgres" / "PG_VERSION").write_text("18\n")
    done = portal.run("up", "--no-sandbox")
    assert done.returncode == 1
    told = done.stdout[done.stdout.index("up        | postgres ended with exit code") :]
    assert "before it was ready:\nup        |     " in told
    assert "postgresql.conf" in told
    assert {path.name for path in (portal.var / "run").iterdir()} == {"lock"}


@pytest.mark.launcher
def test_an_unreachable_database_of_ones_own_is_told(portal: Installation) -> None:
    nobody_there = f"postgres://u:p@127.0.0.1:{portal.port}/pilothouse"
    done = portal.run("up", "--no-sandbox", DATABASE_URL=nobody_there)
    assert done.returncode == 2
    assert "The database named by DATABASE_URL does not answer:" in done.stdout
    assert "Connection refused" in done.stdout and "u:p" not in done.stdout
    assert not (portal.var / "postgres").exists()


@pytest.mark.launcher
def test_servers_of_ones_own_replace_the_embedded_ones(
    portal: Installation, server_url: str
) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        name = sql.Identifier(f"own_{portal.port}")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    portal.environment = {
        "DATABASE_URL": server_url.rpartition("/")[0] + f"/own_{portal.port}",
        "REDIS_URL": os.environ["REDIS_URL"],
        "PILOTHOUSE_SANDBOX": "0",
    }
    portal.start()
    try:
        assert set(portal.recorded()) == {"web", "control", "notify", "dispatch", "watch"}
        assert "Sign out" in portal.sign_in()
        assert "DATABASE_URL" not in (portal.var / "embedded.json").read_text()
    finally:
        assert portal.stop() == 0


@pytest.mark.launcher
@pytest.mark.parametrize("moment", ["Starting ...", "migrate   |"])
def test_it_can_be_stopped_while_it_starts(portal: Installation, moment: str) -> None:
    portal.launch()
    portal.wait_for(moment)
    run_id = portal.run_id
    assert portal.stop(signal.SIGINT) == 0
    assert portal.processes(run_id) == []
    assert "Pilothouse is ready" not in portal.output


def test_a_folder_that_cannot_be_written_is_one_sentence(portal: Installation) -> None:
    portal.var.parent.joinpath("file").write_text("in the way")
    done = portal.run("up", PILOTHOUSE_VAR=str(portal.var.parent / "file" / "var"))
    assert done.returncode == 2
    assert "Cannot write to" in done.stdout and done.stdout.count("\n") == 1


def test_a_missing_package_is_one_sentence() -> None:
    without_packages = [sys.executable, "-S", "-m", "portal.launcher"]
    done = subprocess.run(
        without_packages, cwd=REPOSITORY, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    assert (
        done.stderr.startswith("The package psycopg is missing") and "./pilothouse" in done.stderr
    )


@pytest.mark.parametrize("port", ["http", "0", "65536"])
def test_a_port_that_is_none_is_one_sentence(portal: Installation, port: str) -> None:
    done = portal.run("up", PILOTHOUSE_PORT=port)
    assert done.returncode == 2
    assert f"invalid port_number value: '{port}'" in done.stderr


def test_an_address_of_another_machine_is_one_sentence(portal: Installation) -> None:
    done = portal.run("up", "--bind", "192.0.2.1")
    assert done.returncode == 2
    assert done.stdout.endswith("on 192.0.2.1 cannot be used: Cannot assign requested address.\n")
