"""The sandbox as a process: what survives it, who may enter, how it refuses to start."""

import re
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.sandbox.database import FLUSH_SECONDS
from tests.conformance.client import Client
from tests.sandbox.process import SandboxDied, SandboxProcess, start_sandbox

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SELF_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def client_of(sandbox: SandboxProcess, cluster: str = "", token: str | None = None) -> Client:
    cluster = cluster or sandbox.clusters[0]
    given = sandbox.token_of(cluster) if token is None else token
    return Client(sandbox.servers[cluster], sandbox.ca_pem_of(cluster), given)


def config_map(name: str, **data: str) -> dict:
    return {"metadata": {"name": name}, "data": data}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    folder = tmp_path_factory.mktemp("sandbox")
    running = start_sandbox(folder, ["north", "south"], start_seconds=0.05)
    yield running
    running.stop()


def test_clusters_are_apart(sandbox: SandboxProcess) -> None:
    client_of(sandbox, "north").post(MAPS, config_map("only-north"))
    assert client_of(sandbox, "south").get(f"{MAPS}/only-north").status == 404
    stranger = client_of(sandbox, "south", token=sandbox.token_of("north"))
    assert stranger.get(MAPS).status == 401


def test_everything_survives_a_crash(tmp_path: Path) -> None:
    sandbox = start_sandbox(tmp_path, ["one"])
    try:
        before = dict(sandbox.servers), sandbox.token, sandbox.ca_pem
        created = client_of(sandbox).post(MAPS, config_map("kept", a="1"))
        last = client_of(sandbox).post(MAPS, config_map("later"))
        time.sleep(10 * FLUSH_SECONDS)
        sandbox.kill()
        sandbox.start()
        assert (dict(sandbox.servers), sandbox.token, sandbox.ca_pem) == before
        client = client_of(sandbox)
        kept = client.get(f"{MAPS}/kept")
        assert kept.body == created.body
        changed = client.merge_patch(f"{MAPS}/kept", {"data": {"a": "2"}})
        assert int(changed.resource_version) > int(last.resource_version)
        (lost,) = client.watch(MAPS, resourceVersion=created.resource_version, seconds=1)
        assert (lost["type"], lost["object"]["reason"]) == ("ERROR", "Expired")
    finally:
        sandbox.stop()


def test_pods_keep_running_over_a_restart(tmp_path: Path) -> None:
    sandbox = start_sandbox(tmp_path, ["one"], start_seconds=0.05)
    try:
        spec = {"containers": [{"name": "main", "image": "app:1"}]}
        client_of(sandbox).post(PODS, {"metadata": {"name": "worker"}, "spec": spec})
        _wait_until_running(client_of(sandbox))
        sandbox.restart()
        assert client_of(sandbox).get(f"{PODS}/worker")["status"]["phase"] == "Running"
        client_of(sandbox).delete(f"{PODS}/worker")
        gone = client_of(sandbox).watch(PODS, fieldSelector="metadata.name=worker")
        assert any(event["type"] == "DELETED" for event in gone)
    finally:
        sandbox.stop()


def _wait_until_running(client: Client) -> None:
    for event in client.watch(PODS, fieldSelector="metadata.name=worker"):
        if event["object"]["status"].get("phase") == "Running":
            return
    raise AssertionError("the pod never ran")


def test_it_stops_cleanly(tmp_path: Path) -> None:
    sandbox = start_sandbox(tmp_path, ["one"])
    stream = client_of(sandbox).watch(MAPS, seconds=30)
    next(stream)
    assert sandbox.stop() == 0


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxDied) as died:
            start_sandbox(tmp_path, [f"one:{port}"])
    text = f"sandbox: port {port} of cluster one is taken: .*\n"
    assert re.fullmatch(text, str(died.value))


def test_a_scenario_nobody_can_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SandboxDied, match="^sandbox: cannot read scenario /nowhere.yaml: .*\n$"):
        start_sandbox(tmp_path, ["one"], scenario="/nowhere.yaml")


def test_kubeconfigs_and_state_are_for_their_owner_alone(sandbox: SandboxProcess) -> None:
    state = sandbox.kubeconfig_directory.parent / "state" / "sandbox.sqlite3"
    for path in (*sandbox.kubeconfigs.values(), state):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_token_only_health_is_open(sandbox: SandboxProcess) -> None:
    nobody = client_of(sandbox, token="")
    assert nobody.get("/livez").body == "ok"
    refused = nobody.get(PODS)
    assert refused.status == 403
    assert refused["message"] == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )


def test_an_unknown_token_is_unauthorized(sandbox: SandboxProcess) -> None:
    refused = client_of(sandbox, token="guess").get(PODS)
    assert (refused.status, refused["reason"]) == (401, "Unauthorized")


def test_the_read_only_token_may_look_but_not_touch(sandbox: SandboxProcess) -> None:
    viewer = client_of(sandbox, token=sandbox.token_of("north", read_only=True))
    assert viewer.get(PODS).status == 200
    refused = viewer.delete(f"{PODS}/any")
    assert (refused.status, refused["reason"]) == (403, "Forbidden")
    assert _may(viewer, "list") is True
    assert _may(viewer, "create") is False
    assert _may(client_of(sandbox), "create") is True


def _may(client: Client, verb: str) -> bool:
    spec = {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}}
    return client.post(SELF_REVIEW, {"spec": spec})["status"]["allowed"]


def test_custom_resources_are_served_once_defined(sandbox: SandboxProcess) -> None:
    client = client_of(sandbox)
    names = {"plural": "routes", "kind": "Route"}
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"weight": {"type": "integer"}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "example.dev", "names": names, "scope": "Namespaced", "versions": [version]}
    definition = {"metadata": {"name": "routes.example.dev"}, "spec": spec}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert client.post(path, definition).status == 201
    routes = "/apis/example.dev/v1/namespaces/default/routes"
    wanted = {
        "apiVersion": "example.dev/v1",
        "kind": "Route",
        "metadata": {"name": "a"},
        "spec": {"weight": 5},
    }
    assert client.apply(f"{routes}/a", wanted, manager="pilot").status == 201
    assert client.get(routes)["items"][0]["spec"] == {"weight": 5}
    bad = wanted | {"spec": {"weight": "much"}}
    assert client.put(f"{routes}/a", bad).status == 400
    assert client.delete(f"{path}/routes.example.dev").status == 200
    assert client.get(routes).status == 404
