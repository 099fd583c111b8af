"""The main job on a portal started by its door: by curl, watched by kubectl, refused when bad."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.plane import binaries_directory
from tests.launcher.installation import Installation, running_portal
from tests.rest_client import RestClient

pytestmark = pytest.mark.launcher
CLUSTER = "eu-west-1"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running_portal(tmp_path_factory.mktemp("scripted") / "var") as portal:
        yield portal


@pytest.fixture(scope="module")
def api(portal: Installation) -> RestClient:
    """A script with a key of its own."""
    made = portal.run(
        *("manage", "create_api_key", "admin", "--name", "script"),
        *("--scope", "write", "--quiet"),
    )
    return RestClient(f"http://127.0.0.1:{portal.port}", made.stdout.strip())


@pytest.fixture(scope="module")
def placement(api: RestClient) -> str:
    """Where asr runs on the second cluster, once its first release is there."""
    [found] = [p for p in api.get("/placements")["results"] if p["cluster_name"] == CLUSTER]
    [first] = api.get("/rollouts", placement=found["id"])["results"]
    assert api.follow(first["id"])["state"] == "succeeded"
    return found["id"]


def release(api: RestClient, version: str) -> str:
    [found] = api.get("/releases", service_name="asr", version=version)["results"]
    return found["id"]


def kubectl(portal: Installation, *arguments: str) -> str:
    kubeconfig = portal.var / "kubeconfigs" / f"{CLUSTER}.yaml"
    built = binaries_directory()
    program = str(built / "kubectl") if built else shutil.which("kubectl")
    command = [program, "--kubeconfig", str(kubeconfig), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=90
    ).stdout.strip()


def setting(portal: Installation) -> str:
    """The name of the ConfigMap that the pods of asr are configured with."""
    path = "{.spec.template.spec.containers[0].envFrom[0].configMapRef.name}"
    return kubectl(portal, "get", "deploy/asr", "-o", f"jsonpath={path}")


def image(portal: Installation) -> str:
    path = "{.spec.template.spec.containers[0].image}"
    return kubectl(portal, "get", "deploy/asr", "-o", f"jsonpath={path}")


def test_a_release_by_curl_ends_when_kubectl_rollout_status_does(portal, api, placement):
    before = image(portal), setting(portal)
    rollout = api.made("/rollouts", release=release(api, "1.5.0"), placement=placement)
    ended = api.follow(rollout["id"])
    assert ended["state"] == "succeeded"
    status = kubectl(portal, "rollout", "status", "deploy/asr", "--timeout=5s")
    assert "successfully rolled out" in status
    assert image(portal) != before[0]
    assert setting(portal) != before[1]


def test_rolling_back_restores_the_older_config(portal, api, placement):
    newer = image(portal), setting(portal)
    rollout = api.made(f"/placements/{placement}/roll_back", reason="too slow")
    assert api.follow(rollout["id"])["state"] == "succeeded"
    older = image(portal), setting(portal)
    assert older[0] != newer[0]
    assert older[1] != newer[1]


def test_the_crashing_release_ends_where_it_began(portal, api, placement):
    before = image(portal), setting(portal)
    rollout = api.made("/rollouts", release=release(api, "1.6.0-crash"), placement=placement)
    ended = api.follow(rollout["id"])
    assert ended["state"] == "aborted"
    assert "No progress for 20 s" in ended["reason"]
    assert "CrashLoopBackOff" in ended["reason"]
    assert (image(portal), setting(portal)) == before
    ready = "{.status.updatedReplicas} {.status.availableReplicas} {.status.replicas}"
    assert kubectl(portal, "get", "deploy/asr", "-o", f"jsonpath={ready}") == "2 2 2"


def test_the_greedy_release_says_that_gpus_are_missing(portal, api, placement):
    rollout = api.made("/rollouts", release=release(api, "1.7.0-greedy"), placement=placement)
    ended = api.follow(rollout["id"])
    assert ended["state"] == "aborted"
    assert ended["reason"] == "Each pod of asr asks 2 GPUs; the largest node has 1 GPU."


@pytest.mark.parametrize(
    ("user", "pointer"),
    [
        ({"exec": {"command": "touch", "args": ["MARK"]}}, "/users/0/user/exec"),
        ({"tokenFile": "/etc/hostname"}, "/users/0/user/tokenFile"),
    ],
)
def test_a_kubeconfig_that_would_run_or_read_something_is_refused(
    api, tmp_path: Path, user, pointer
):
    mark = tmp_path / "mark"
    text = _kubeconfig(str(user).replace("MARK", str(mark)))
    status, answer = api.post("/clusters", name="evil", kubeconfig=text)
    assert (status, answer["errors"][0]["pointer"]) == (422, f"/kubeconfig{pointer}")
    assert not mark.exists()


def test_an_insecure_or_bomb_like_kubeconfig_is_refused(api):
    insecure = _kubeconfig("{token: t}").replace(
        "server:", "insecure-skip-tls-verify: true, server:"
    )
    status, answer = api.post("/clusters", name="evil", kubeconfig=insecure)
    assert status == 422
    assert answer["errors"][0]["pointer"].endswith("/insecure-skip-tls-verify")
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    status, answer = api.post("/clusters", name="evil", kubeconfig=bomb)
    assert (status, answer["code"]) == (422, "kubeconfig_refused")


def _kubeconfig(user: str) -> str:
    return (
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'https://203.0.113.9:6443'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
        f"users: [{{name: u, user: {user}}}]\n"
    )
