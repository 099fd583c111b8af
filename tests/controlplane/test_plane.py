"""The test control plane itself: quick to start, its own, and gone when its user is gone."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from tests.conformance.client import Client
from tests.conformance.objects import config_map
from tests.controlplane.fixtures import require_binaries
from tests.controlplane.nodes import wait_until
from tests.controlplane.plane import Plane

REPOSITORY = Path(__file__).parents[2]
MAPS = "/api/v1/namespaces/default/configmaps"
OWNER = """
import time
from tests.controlplane.plane import Plane
plane = Plane()
plane.start()
print(plane.directory, *plane.pids(), flush=True)
time.sleep(600)
"""

pytestmark = pytest.mark.controlplane


def test_what_was_stored_survives_a_restart_of_the_api_server(plane: Plane) -> None:
    assert plane.client.post(MAPS, config_map("kept")).status == 201
    plane.kill_apiserver()
    with pytest.raises(urllib3.exceptions.HTTPError):
        plane.client.get("/readyz")
    plane.restart_apiserver()
    assert plane.client.get(f"{MAPS}/kept")["data"] == {"colour": "blue"}


def test_a_user_without_a_role_is_told_what_is_missing(plane: Plane) -> None:
    viewer = Client(plane.server, plane.ca_pem, plane.viewer_token)
    refused = viewer.get("/apis/apps/v1/namespaces/default/deployments")
    assert refused.status == 403
    assert 'User "viewer" cannot list resource "deployments"' in refused["message"]
    assert Client(plane.server, plane.ca_pem, "nonsense").get(MAPS).status == 401


def test_the_kubeconfig_serves_kubectl(plane: Plane) -> None:
    kubectl = [str(plane.binaries / "kubectl"), f"--kubeconfig={plane.kubeconfig}"]
    command = [*kubectl, "get", "nodes", "--output=name"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert "node/gpu-1" in done.stdout.split()


def test_nothing_is_left_when_the_owner_is_killed() -> None:
    require_binaries()
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        directory, *pids = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    assert len(pids) == 5
    wait_until("all ended", lambda: not any(_alive(int(pid)) for pid in pids))
    next_plane = Plane()
    assert not Path(directory).exists(), "the next one clears up after a killed one"
    next_plane.stop()


def _alive(pid: int) -> bool:
    """Not counting what has ended and waits to be reaped."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
