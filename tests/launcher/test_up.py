"""`./pilothouse up`, really started, killed and stopped. The tests share one portal, in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.launcher.layout import REPOSITORY
from portal.launcher.proc import Identity
from tests.launcher.installation import Installation

pytestmark = pytest.mark.launcher

PROGRAMS = {
    *("postgres", "valkey", "sandbox", "web", "control", "notify", "dispatch", "watch"),
}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """This checkout, with a `var` of its own in a private folder with a space in its name."""
    home = tmp_path_factory.mktemp("the home")
    home.chmod(0o700)
    portal = Installation(REPOSITORY, home / "var")
    portal.start()
    yield portal
    if portal.process.poll() is None:
        portal.stop()


def everything(portal: Installation) -> set[Identity]:
    """All processes of the running portal."""
    return {*portal.processes(portal.run_id), *portal.recorded().values()}


def test_every_program_runs_and_the_printed_password_signs_in(portal: Installation) -> None:
    assert set(portal.recorded()) == PROGRAMS
    assert all(identity.is_alive() for identity in portal.recorded().values())
    assert "Sign out" in portal.sign_in()


def test_secrets_are_for_the_owner_alone(portal: Installation) -> None:
    private = [portal.var / "admin-password", portal.var / "embedded.json"]
    private += [*(portal.var / "secrets").iterdir(), *(portal.var / "kubeconfigs").glob("*.yaml")]
    assert len(private) >= 9
    assert {oct(path.stat().st_mode & 0o777) for path in private} == {"0o600"}
    command_lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert not [path for path in private if path.read_text().strip() in command_lines]


def test_kubectl_reaches_the_sandbox_with_the_announced_kubeconfig(portal: Installation) -> None:
    kubeconfig = portal.var / "kubeconfigs" / "us-east-1.yaml"
    assert f'--kubeconfig "{kubeconfig}"' in portal.output
    assert "server: https://127.0.0.1:" in kubeconfig.read_text()


def test_a_killed_program_is_started_again_and_said_so(portal: Installation) -> None:
    before = portal.recorded()["web"]
    os.kill(before.pid, signal.SIGKILL)
    portal.wait_for("web was killed by SIGKILL; it starts again in 1 s.")
    portal.wait_for("web is ready again.")
    assert portal.recorded()["web"] != before
    assert "Sign out" in portal.sign_in()


def test_the_database_may_die_and_comes_back(portal: Installation) -> None:
    os.kill(portal.recorded()["postgres"].pid, signal.SIGKILL)
    portal.wait_for("postgres is ready again.")
    assert "Sign out" in portal.sign_in()


def test_a_second_up_is_refused_in_one_sentence(portal: Installation) -> None:
    done = portal.run("up")
    assert done.returncode == 2
    assert f"already runs on {portal.var} (pid {portal.process.pid}" in done.stdout
    assert done.stdout.count("\n") == 1


def test_management_commands_use_the_running_database(portal: Installation) -> None:
    done = portal.run("manage", "ensure_admin")
    assert done.stdout == "admin exists; its password stays.\n", done.stderr


def test_a_taken_port_is_refused_in_one_sentence(portal: Installation, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = portal.run("up", PILOTHOUSE_VAR=str(tmp_path / "var"), PILOTHOUSE_PORT=str(port))
    assert done.returncode == 2
    assert f"Port {port} on 127.0.0.1 is taken" in done.stdout and done.stdout.count("\n") == 1


def test_after_a_killed_up_the_next_one_cleans_and_keeps_everything(
    portal: Installation,
) -> None:
    password, before = portal.password, everything(portal)
    stubborn = portal.recorded()["control"]
    os.kill(stubborn.pid, signal.SIGSTOP)  # does not notice that its parent is gone
    portal.stop(signal.SIGKILL)
    assert stubborn.is_alive()

    portal.start()
    assert f"control (pid {stubborn.pid}) is left from an earlier start" in portal.output
    assert not [identity for identity in before if identity.is_alive()]
    assert portal.password == password and "Sign out" in portal.sign_in()
    assert "seed      |" not in portal.output and "admin     |" not in portal.output


def test_a_stop_leaves_no_process_behind(portal: Installation) -> None:
    run_id, before = portal.run_id, everything(portal)
    assert len(before) > len(PROGRAMS)
    assert portal.stop(signal.SIGTERM) == 0
    assert portal.output.rstrip().endswith("Stopped.")
    assert not [identity for identity in before if identity.is_alive()]
    assert portal.processes(run_id) == []
    assert {path.name for path in (portal.var / "run").iterdir()} == {"lock"}
