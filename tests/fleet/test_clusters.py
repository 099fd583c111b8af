"""Registering clusters: what is accepted, what is refused, and what the first contact shows."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connection

from fleet import clusters, connection_test
from fleet.kube import errors
from fleet.kube.connect import Endpoint
from fleet.models import Cluster, WatchCursor
from portal.base.models import AuditEntry, Event
from portal.base.problems import Conflict, Invalid, NotAllowed
from tests import factories
from tests.conftest import Emitted
from tests.kube.faulty_apiserver import FaultyApiserver, own_certificate, refuse, stall
from tests.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback_clusters")]

ABOUT = {"name": "c", "provider": "sandbox", "environment": "staging", "actor": None}


def endpoint(sandbox: SandboxProcess, **values: Any) -> Endpoint:
    given = {"server": sandbox.server, "ca_pem": sandbox.ca_pem, "token": sandbox.token}
    return Endpoint(**{**given, **values})


def changed(kubeconfig: str, change: Callable[[dict[str, Any]], None]) -> str:
    document = yaml.safe_load(kubeconfig)
    change(document)
    return json.dumps(document)


# --- What the first contact shows -------------------------------------------------------------


def test_a_kubeconfig_is_enough(kubeconfig: str, emitted: Emitted) -> None:
    admin = factories.make_admin()
    cluster = clusters.register(**{**ABOUT, "actor": admin}, kubeconfig=kubeconfig)
    assert (cluster.connection, cluster.connection_detail) == ("connected", "")
    assert cluster.version.startswith("v1.")
    assert 0 < cluster.api_latency_seconds < 5
    assert clusters.gateway(cluster).version()["gitVersion"] == cluster.version
    last = emitted("cluster.changed")[-1]
    assert last.topics == ["fleet", cluster.topic]
    assert last.payload["connection"] == "connected"
    entry = AuditEntry.objects.get(verb="cluster.register")
    assert (entry.actor, entry.object_id) == (admin.username, str(cluster.pk))


def test_server_ca_and_token_are_enough_too(sandbox: SandboxProcess) -> None:
    cluster = clusters.register(**ABOUT, endpoint=endpoint(sandbox))
    assert cluster.connection == "connected"


def test_the_stored_credential_is_encrypted(kubeconfig: str, sandbox: SandboxProcess) -> None:
    clusters.register(**ABOUT, kubeconfig=kubeconfig)
    with connection.cursor() as cursor:
        cursor.execute("SELECT credentials, fleet_cluster::text FROM fleet_cluster")
        sealed, whole = cursor.fetchone()
    assert sandbox.token.encode() not in bytes(sealed)
    assert sandbox.token not in whole


def test_no_record_holds_the_credential(kubeconfig: str, sandbox: SandboxProcess) -> None:
    cluster = clusters.register(**ABOUT, kubeconfig=kubeconfig)
    clusters.update_credentials(cluster=cluster, kubeconfig=kubeconfig, actor=None)
    told = [str(row) for row in Event.objects.values_list("payload", flat=True)]
    told += [str(row) for row in AuditEntry.objects.values_list("change", flat=True)]
    assert told and not [text for text in told if sandbox.token in text]


def test_a_cluster_that_is_away_is_registered_and_says_so() -> None:
    nobody = Endpoint(server="https://127.0.0.1:1", token="t")
    cluster = clusters.register(**ABOUT, endpoint=nobody)
    assert cluster.connection == "unreachable"
    assert cluster.connection_detail == "Address: 127.0.0.1:1: Connection refused"
    failed = clusters.check(cluster=cluster)[-1]
    assert (failed.name, failed.ok) == ("Address", False)
    assert "firewall" in failed.hint


def test_a_wrong_token_is_registered_and_refused(sandbox: SandboxProcess) -> None:
    cluster = clusters.register(**ABOUT, endpoint=endpoint(sandbox, token="wrong"))
    assert cluster.connection == "refused"
    assert "does not accept the credential" in cluster.connection_detail
    assert (cluster.failures, cluster.closed_until) == (0, None)


def test_a_certificate_of_another_authority_is_told_at_the_tls_step(
    sandbox: SandboxProcess,
) -> None:
    other_ca, _ = own_certificate()
    cluster = clusters.register(**ABOUT, endpoint=endpoint(sandbox, ca_pem=other_ca))
    step = clusters.check(cluster=cluster)[-1]
    assert (step.name, step.ok, cluster.connection) == ("TLS", False, "unreachable")
    assert "not trusted" in step.detail


def test_a_server_that_accepts_and_never_answers_ends_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_test, "CALLS_SECONDS", 0.5)
    with FaultyApiserver() as server:
        server.on("GET", "/version", stall)
        cluster = clusters.register(**ABOUT, endpoint=server.endpoint)
    assert cluster.connection == "unreachable"
    assert "no answer in time" in cluster.connection_detail


def test_all_steps_pass_on_a_healthy_cluster(registered: Callable[..., Cluster]) -> None:
    results = clusters.check(cluster=registered())
    assert [result.name for result in results if result.ok] == [
        "Name", "Address", "TLS", "Credential",
        "Rights to watch", "Rights to deliver", "Excess rights",
    ]  # fmt: skip


def test_more_rights_than_needed_are_a_warning(registered: Callable[..., Cluster]) -> None:
    excess = clusters.check(cluster=registered())[-1]
    assert "get secrets" in excess.detail and "ops/" in excess.hint


def test_missing_rights_are_named_and_leave_the_cluster_connected(
    sandbox: SandboxProcess,
) -> None:
    read_only = endpoint(sandbox, token=sandbox.token_of(read_only=True))
    cluster = clusters.register(**ABOUT, endpoint=read_only)
    [missing] = [result for result in clusters.check(cluster=cluster) if not result.ok]
    assert missing.name == "Rights to deliver"
    assert "patch deployments.apps" in missing.detail
    assert cluster.connection == "connected"
    assert "patch deployments.apps" in cluster.connection_detail


# --- What is refused --------------------------------------------------------------------------


def test_a_kubeconfig_never_runs_a_command(kubeconfig: str, tmp_path: Path) -> None:
    proof = tmp_path / "executed"

    def plant(document: dict[str, Any]) -> None:
        command = {"command": "touch", "args": [str(proof)]}
        document["users"][0]["user"] = {"exec": {"apiVersion": "v1", **command}}

    with pytest.raises(Invalid) as refused:
        clusters.register(**ABOUT, kubeconfig=changed(kubeconfig, plant))
    assert refused.value.code == "kubeconfig_refused"
    assert refused.value.errors[0].pointer == "/kubeconfig/users/0/user/exec"
    assert not proof.exists()
    assert not Cluster.objects.exists()


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ("users/0/user", "tokenFile", "/etc/hostname"),
        ("users/0/user", "auth-provider", {"name": "gcp"}),
        ("users/0/user", "client-key", "/etc/ssl/private/key.pem"),
        ("clusters/0/cluster", "insecure-skip-tls-verify", True),
        ("clusters/0/cluster", "certificate-authority", "/etc/hostname"),
        ("clusters/0/cluster", "proxy-url", "http://proxy.example"),
    ],
)
def test_a_kubeconfig_holds_nothing_but_inline_data(
    kubeconfig: str, where: str, key: str, value: Any
) -> None:
    room, index, part = where.split("/")
    plant = lambda document: document[room][int(index)][part].update({key: value})  # noqa: E731
    with pytest.raises(Invalid) as refused:
        clusters.register(**ABOUT, kubeconfig=changed(kubeconfig, plant))
    assert refused.value.errors[0].pointer == f"/kubeconfig/{where}/{key}"
    assert not Cluster.objects.exists()


def test_a_yaml_bomb_does_not_go_off() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(20)
    )
    with pytest.raises(Invalid) as refused:
        clusters.register(**ABOUT, kubeconfig=bomb)
    assert refused.value.errors[0].code == "alias"


@pytest.mark.parametrize(
    "server",
    [
        "http://10.0.0.1:6443",
        "https://169.254.169.254/",
        "https://[fe80::1]:6443",
        "https://user:secret@10.0.0.1",
        "https://2852039166/",
        "",
    ],
)
def test_an_endpoint_in_parts_passes_the_same_rules(server: str) -> None:
    with pytest.raises(Invalid) as refused:
        clusters.register(**ABOUT, endpoint=Endpoint(server=server, token="t"))
    assert refused.value.errors[0].pointer == "/server"


def test_an_endpoint_cannot_allow_itself_the_loopback(settings: Any) -> None:
    settings.ALLOW_LOOPBACK_CLUSTERS = False
    given = Endpoint(server="https://127.0.0.1:6443", token="t", allow_loopback=True)
    with pytest.raises(Invalid) as refused:
        clusters.register(**ABOUT, endpoint=given)
    assert refused.value.errors[0].code == "forbidden_address"


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({}, "/token"),
        ({"token": "two words"}, "/token"),
        ({"token": "t", "ca_pem": "no PEM"}, "/ca_pem"),
        ({"token": "t", "ca_pem": "\ud800"}, "/ca_pem"),
        ({"token": "\ud800"}, "/token"),
        ({"client_certificate_pem": own_certificate()[0]}, "/client_key_pem"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_told_by_its_part(
    parts: dict[str, str], pointer: str
) -> None:
    with pytest.raises(Invalid) as refused:
        clusters.register(**ABOUT, endpoint=Endpoint(server="https://10.0.0.1", **parts))
    assert refused.value.errors[0].pointer == pointer


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "Not A Label"), ("name", ""), ("provider", "other"), ("environment", "moon")],
)
def test_fields_keep_their_rules(kubeconfig: str, field: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        clusters.register(**{**ABOUT, field: value}, kubeconfig=kubeconfig)
    assert [problem.pointer for problem in refused.value.errors] == [f"/{field}"]


def test_a_name_is_given_once(kubeconfig: str) -> None:
    factories.make_cluster("c")
    with pytest.raises(Conflict) as refused:
        clusters.register(**ABOUT, kubeconfig=kubeconfig)
    assert refused.value.code == "duplicate"


@pytest.mark.parametrize("both", [{}, {"kubeconfig": "x", "endpoint": Endpoint()}])
def test_either_a_kubeconfig_or_an_endpoint(both: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        clusters.register(**ABOUT, **both)


def test_only_platform_people_may_register_change_and_remove(kubeconfig: str) -> None:
    somebody, cluster = factories.make_user(role="admin"), factories.make_cluster("there")
    with pytest.raises(NotAllowed):
        clusters.register(**{**ABOUT, "actor": somebody}, kubeconfig=kubeconfig)
    with pytest.raises(NotAllowed):
        clusters.update_credentials(cluster=cluster, kubeconfig=kubeconfig, actor=somebody)
    with pytest.raises(NotAllowed):
        clusters.remove(cluster=cluster, actor=somebody, confirm="there")
    assert [c.name for c in Cluster.objects.all()] == ["there"]


# --- Later on ---------------------------------------------------------------------------------


def test_new_credentials_open_a_refused_cluster(sandbox: SandboxProcess, kubeconfig: str) -> None:
    cluster = clusters.register(**ABOUT, endpoint=endpoint(sandbox, token="wrong"))
    clusters.update_credentials(cluster=cluster, kubeconfig=kubeconfig, actor=None)
    assert Cluster.objects.get().connection == "connected"


def test_another_server_is_watched_from_the_start(sandbox: SandboxProcess) -> None:
    cluster = factories.make_cluster()
    WatchCursor.objects.create(cluster=cluster, kind="Pod", resource_version="9000")
    text = sandbox.kubeconfigs["eu-west-1"].read_text()
    clusters.update_credentials(cluster=cluster, kubeconfig=text, actor=None)
    assert not cluster.cursors.exists()


def test_a_certificate_says_when_it_ends() -> None:
    certificate, key = own_certificate(days=3)
    cluster = clusters.register(
        **ABOUT,
        endpoint=Endpoint(
            server="https://127.0.0.1:1", client_certificate_pem=certificate, client_key_pem=key
        ),
    )
    assert cluster.credentials_expire_at is not None


def test_removing_needs_the_name_typed_and_no_placement(emitted: Emitted) -> None:
    placement = factories.make_placement()
    cluster = placement.cluster
    with pytest.raises(Invalid):
        clusters.remove(cluster=cluster, actor=None, confirm="another")
    with pytest.raises(Conflict):
        clusters.remove(cluster=cluster, actor=None, confirm=cluster.name)
    placement.delete()
    gone = str(cluster.pk)
    clusters.remove(cluster=cluster, actor=None, confirm=cluster.name, reason="moved")
    assert [event.object_id for event in emitted("cluster.gone")] == [gone]
    assert not Cluster.objects.exists()


# --- The breaker ------------------------------------------------------------------------------


def fail(cluster: Cluster, times: int) -> Cluster:
    for _ in range(times):
        clusters.record_contact(cluster.pk, False, "no answer in time")
    cluster.refresh_from_db()
    return cluster


def test_five_failures_in_a_row_close_the_road(emitted: Emitted) -> None:
    cluster, other = factories.make_cluster(), factories.make_cluster()
    assert clusters.gateway(fail(cluster, 4))
    with pytest.raises(errors.Unavailable, match="not tried again before .* no answer in time"):
        clusters.gateway(fail(cluster, 1))
    assert clusters.gateway(other)
    assert len(emitted("cluster.changed")) == 1


def test_one_success_opens_it_again(emitted: Emitted) -> None:
    cluster = fail(factories.make_cluster(), 7)
    clusters.record_contact(cluster.pk, True, latency_seconds=0.01)
    cluster.refresh_from_db()
    assert (cluster.failures, cluster.closed_until, cluster.connection_detail) == (0, None, "")
    assert clusters.gateway(cluster)
    states = [event.payload["connection"] for event in emitted("cluster.changed")]
    assert states == ["unreachable", "connected"]


def test_failures_count_only_in_a_row() -> None:
    cluster = fail(factories.make_cluster(), 4)
    clusters.record_contact(cluster.pk, True)
    assert clusters.gateway(fail(cluster, 4))


def test_a_closed_road_is_not_another_failure() -> None:
    cluster = fail(factories.make_cluster(), 5)
    with pytest.raises(errors.Unavailable) as closed:
        clusters.gateway(cluster)
    clusters.record_error(cluster.pk, closed.value)
    assert Cluster.objects.get().failures == 5


@pytest.mark.parametrize(
    ("error", "connection_after", "failures"),
    [
        (errors.Unavailable("gone"), "unreachable", 1),
        (errors.UnknownOutcome("lost"), "unreachable", 1),
        (errors.BudgetSpent("late"), "unknown", 0),
        (errors.Unauthorized("expired"), "refused", 0),
        (errors.BadCredentials("no PEM"), "refused", 0),
        (errors.NotFound("no such pod"), "connected", 0),
    ],
)
def test_each_error_says_something_about_the_connection(
    error: errors.KubeError, connection_after: str, failures: int
) -> None:
    cluster = factories.make_cluster()
    clusters.record_error(cluster.pk, error)
    cluster.refresh_from_db()
    assert (cluster.connection, cluster.failures) == (connection_after, failures)


def test_successes_are_written_at_most_every_two_seconds() -> None:
    cluster = factories.make_cluster()
    clusters.record_contact(cluster.pk, True)
    first = Cluster.objects.get().last_contact_at
    clusters.record_contact(cluster.pk, True)
    assert Cluster.objects.get().last_contact_at == first


def test_the_breaker_answers_without_asking_the_cluster() -> None:
    with FaultyApiserver() as server:
        server.on("GET", "/version", refuse(500, "InternalError", "boom"))
        cluster = clusters.register(**ABOUT, endpoint=server.endpoint)
        fail(cluster, 5)
        asked = len(server.seen)
        with pytest.raises(errors.Unavailable):
            clusters.gateway(cluster)
        assert len(server.seen) == asked


def test_a_kubeconfig_of_other_bytes_is_no_kubeconfig() -> None:
    text = base64.b64encode(b"\x00" * 100).decode()
    with pytest.raises(Invalid) as refused:
        clusters.register(**ABOUT, kubeconfig=text)
    assert refused.value.errors[0].pointer == "/kubeconfig"
