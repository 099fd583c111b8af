"""Clusters, services and placements over REST."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rest_framework.test import APIClient

from fleet.models import Cluster, Placement, Service
from portal.base.models import AuditEntry, Role
from tests import factories as make
from tests.api.conftest import V1, pointers, problem, signed_in

pytestmark = pytest.mark.usefixtures("loopback_clusters")
NEW = {"name": "edge-1", "region": "eu-west-1", "provider": "edge", "environment": "staging"}


def kubeconfig(user: dict[str, Any], **cluster: Any) -> str:
    cluster = {"server": "https://127.0.0.1:1", **cluster}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


def test_a_cluster_is_registered_by_its_kubeconfig(root: APIClient) -> None:
    answer = root.post(f"{V1}/clusters", {**NEW, "kubeconfig": kubeconfig({"token": "t0k3n"})})
    assert answer.status_code == 201, answer.content
    assert {**answer.json(), **NEW} == answer.json()
    assert answer.json()["connection"] == "unreachable", "nothing answers there; it is kept"
    assert root.get(answer["Location"]).json()["server"] == "https://127.0.0.1:1"
    assert Cluster.objects.get().credentials["token"] == "t0k3n"
    assert "t0k3n" not in json.dumps(list(AuditEntry.objects.values("change", "object_label")))


def test_a_cluster_is_registered_by_address_and_token(root: APIClient) -> None:
    answer = root.post(f"{V1}/clusters", {**NEW, "server": "https://127.0.0.1:1", "token": "t"})
    assert answer.status_code == 201, answer.content
    problem(root.post(f"{V1}/clusters", {**NEW, "server": "https://127.0.0.1:1", "token": "t"}),
            409, "duplicate")  # fmt: skip


@pytest.mark.parametrize(
    ("user", "cluster", "pointer"),
    [
        ({"exec": {"command": "touch"}}, {}, "/users/0/user/exec"),
        ({"auth-provider": {"name": "gcp"}}, {}, "/users/0/user/auth-provider"),
        ({"tokenFile": "/etc/passwd"}, {}, "/users/0/user/tokenFile"),
        ({"client-key": "/etc/key"}, {}, "/users/0/user/client-key"),
        (
            {"token": "t"}, {"insecure-skip-tls-verify": True},
            "/clusters/0/cluster/insecure-skip-tls-verify",
        ),
        ({"token": "t"}, {"proxy-url": "http://p"}, "/clusters/0/cluster/proxy-url"),
        ({"token": "t"}, {"server": "http://10.0.0.1"}, "/clusters/0/cluster/server"),
        ({"token": "t"}, {"server": "https://169.254.169.254"}, "/clusters/0/cluster/server"),
    ],
)  # fmt: skip
def test_a_kubeconfig_that_wants_more_than_it_may_is_refused_at_the_place(
    root: APIClient, user: dict, cluster: dict, pointer: str
) -> None:
    given = kubeconfig(user, **cluster)
    for address in ("/clusters", f"/clusters/{make.make_cluster().pk}/credentials"):
        body = {"kubeconfig": given} | (NEW if address == "/clusters" else {})
        answer = root.post(V1 + address, body)
        problem(answer, 422, "kubeconfig_refused")
        assert list(pointers(answer)) == [f"/kubeconfig{pointer}"]
    assert not Cluster.objects.filter(name="edge-1").exists()


def test_a_yaml_bomb_is_refused(root: APIClient) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    problem(root.post(f"{V1}/clusters", {**NEW, "kubeconfig": bomb}), 422, "kubeconfig_refused")


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"server": "http://10.0.0.1", "token": "t"}, "/server"),
        ({"server": "https://169.254.169.254", "token": "t"}, "/server"),
        ({"server": "https://10.0.0.1", "token": "a b"}, "/token"),
        ({"server": "https://10.0.0.1"}, "/token"),
        ({"server": "https://10.0.0.1", "token": "t", "ca_pem": "no pem"}, "/ca_pem"),
        ({"token": "t"}, "/server"),
        ({}, "/kubeconfig"),
        ({"kubeconfig": "{}", "token": "t"}, "/kubeconfig"),
    ],
)
def test_single_values_pass_the_same_rules(root: APIClient, given: dict, pointer: str) -> None:
    answer = root.post(f"{V1}/clusters", NEW | given)
    problem(answer, 422)
    assert list(pointers(answer)) == [pointer]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 64, "ü"])
def test_names_are_dns_labels(root: APIClient, name: str) -> None:
    body = {**NEW, "name": name, "kubeconfig": kubeconfig({"token": "t"})}
    answer = root.post(f"{V1}/clusters", body)
    assert answer.status_code in (400, 422)
    assert list(pointers(answer)) == ["/name"]


def test_the_connection_test_tells_each_step(root: APIClient, world: SimpleNamespace) -> None:
    answer = root.post(f"{V1}/clusters/{world.cluster.pk}/check")
    assert answer.status_code == 200
    steps = answer.json()["results"]
    assert [step["ok"] for step in steps][-1] is False
    assert steps[-1]["hint"], "a step that fails says what to do"
    assert answer.json()["cluster"]["connection"] == "unreachable"


def test_credentials_are_replaced(root: APIClient, world: SimpleNamespace) -> None:
    address = f"{V1}/clusters/{world.cluster.pk}/credentials"
    answer = root.post(address, {"kubeconfig": kubeconfig({"token": "newer"})})
    assert answer.status_code == 200, answer.content
    assert Cluster.objects.get(pk=world.cluster.pk).credentials["token"] == "newer"


def test_removing_needs_the_name_and_an_unused_cluster(
    root: APIClient, world: SimpleNamespace
) -> None:
    address = f"{V1}/clusters/{world.cluster.pk}"
    problem(root.delete(address), 422, "not_confirmed")
    problem(root.delete(f"{address}?confirm=us-west"), 422, "not_confirmed")
    problem(root.delete(f"{address}?confirm=us-east"), 409, "in_use")
    unused = make.make_cluster("spare")
    assert root.delete(f"{V1}/clusters/{unused.pk}?confirm=spare").status_code == 204
    problem(root.get(f"{V1}/clusters/{unused.pk}"), 404)


def test_a_service_is_declared_placed_and_removed(world: SimpleNamespace) -> None:
    admin = signed_in(make.make_user(team=world.team, role=Role.ADMIN))
    service = admin.post(f"{V1}/services", {"team": str(world.team.pk), "name": "tts"}).json()
    place = {"service": service["id"], "cluster": str(world.cluster.pk), "namespace": "speech"}
    placement = admin.post(f"{V1}/placements", place)
    assert placement.status_code == 201, placement.content
    problem(admin.post(f"{V1}/placements", place), 409, "duplicate")
    assert admin.get(f"{V1}/services/{service['id']}").json()["placements"] == 1
    problem(admin.delete(f"{V1}/services/{service['id']}?confirm=tts"), 409, "in_use")
    assert admin.delete(f"{placement['Location']}?confirm=tts").status_code == 204
    assert admin.delete(f"{V1}/services/{service['id']}?confirm=tts").status_code == 204
    assert not Service.objects.filter(name="tts").exists()
    assert Placement.objects.count() == 1


def test_a_service_name_is_taken_once(world: SimpleNamespace, root: APIClient) -> None:
    body = {"team": str(world.team.pk), "name": "asr"}
    problem(root.post(f"{V1}/services", body), 409, "duplicate")
