"""The watcher on real simulated clusters: follows, resumes, takes over, survives its database."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from fleet import clusters, projections
from fleet.inventory import Inventory
from fleet.kube.connect import Endpoint
from fleet.kube.gateway import Gateway
from fleet.kube.projections import WATCHED
from fleet.kube.watch import Timing
from fleet.models import Cluster, ObservedObject, Placement, WatchCursor
from fleet.watching import Watcher
from fleet.watching.cluster import _Sink
from portal.base.events import WAKE_CHANNEL
from portal.base.models import Event
from tests import factories
from tests.controlplane.fixtures import Target
from tests.kube.faulty_apiserver import FaultyApiserver, refuse, stall
from tests.sandbox.process import SandboxProcess, start_sandbox

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("loopback_clusters"),
]

REPOSITORY = Path(__file__).resolve().parents[2]
SOON = 15.0  # nothing here takes longer unless it hangs
QUICK = Timing(backoff_min=0.1, backoff_max=0.5)
KINDS = {"Pod", "Node", "Deployment", "ReplicaSet", "HorizontalPodAutoscaler", "Event"}


def eventually(what: Callable[[], Any], seconds: float = SOON) -> Any:
    """Waits until `what()` is true and returns it."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture
def start_watcher() -> Iterator[Callable[[], Watcher]]:
    """Starts watchers in threads of this process, and ends them."""
    started: list[tuple[Watcher, threading.Thread]] = []

    def start() -> Watcher:
        watcher = Watcher(poll_seconds=0.1, pulse_seconds=0.2, timing=QUICK)
        thread = threading.Thread(target=watcher.run)
        started.append((watcher, thread))
        thread.start()
        return watcher

    yield start
    for watcher, _ in started:
        watcher.stop()
    for _, thread in started:
        thread.join(SOON)
        assert not thread.is_alive()


@pytest.fixture
def in_namespace(registered: Callable[..., Cluster]) -> Iterator[str]:
    """A namespace of this test's own on both clusters, emptied afterwards."""
    name = f"test-{os.urandom(4).hex()}"
    gateways = [clusters.gateway(registered(cluster)) for cluster in ("us-east-1", "eu-west-1")]
    Cluster.objects.all().delete()
    for gateway in gateways:
        gateway.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            field_manager="test",
        )
    yield name
    for gateway in gateways:
        gateway.delete("v1", "Namespace", None, name)


def placed(cluster: Cluster, namespace: str) -> Placement:
    return factories.make_placement(cluster=cluster, namespace=namespace)


def deploy(gateway: Gateway, placement: Placement, name: str = "web", replicas: int = 2) -> None:
    """A Deployment with the placement's label, as the engine would apply it."""
    manifest = factories.make_deployment(name, replicas=replicas)
    manifest["metadata"]["namespace"] = placement.namespace
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    labels["pilothouse.io/placement"] = str(placement.pk)
    gateway.apply(manifest, field_manager="test", force=True)


def pods_of(placement: Placement, **about: Any) -> list[ObservedObject]:
    return list(placement.observed.filter(kind="Pod", **about))


def states(cluster: Cluster) -> dict[str, str]:
    return dict(cluster.cursors.values_list("kind", "state"))


def is_live(cluster: Cluster) -> bool:
    return states(cluster) == dict.fromkeys(KINDS, "live")


def behind(sandbox: SandboxProcess, name: str = "us-east-1") -> Endpoint:
    return Endpoint(
        server=sandbox.servers[name], ca_pem=sandbox.ca_pem_of(name), token=sandbox.token_of(name)
    )


def register_behind(server: FaultyApiserver, name: str = "proxied") -> Cluster:
    about = {"name": name, "provider": "sandbox", "environment": "staging"}
    return clusters.register(**about, endpoint=server.endpoint, actor=None)


def test_a_new_cluster_is_followed_within_seconds(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster]
) -> None:
    start_watcher()
    cluster = registered()
    eventually(lambda: is_live(cluster))
    seen = projections.cluster_projection(cluster)
    assert seen["nodes"] == {"ready": 5, "total": 5}
    assert seen["gpus"]["allocatable"] == 3
    assert (seen["watch"]["state"], seen["watch"]["forbidden"]) == ("live", [])
    assert seen["watch"]["behind_seconds"] < SOON
    told = eventually(lambda: Event.objects.filter(kind="cluster.changed").last())
    assert told.payload["id"] == str(cluster.pk)


def test_a_quiet_cluster_stays_fresh(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster]
) -> None:
    cluster = registered()
    start_watcher()
    eventually(lambda: is_live(cluster))
    long_ago = timezone.now() - timedelta(minutes=1)
    cluster.cursors.update(heard_at=long_ago)
    eventually(lambda: projections.watch_freshness(cluster)["behind_seconds"] < 5)


def test_pods_of_a_placement_are_stored_told_and_wake_the_engine(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster], in_namespace: str
) -> None:
    placement = placed(registered(), in_namespace)
    start_watcher()
    eventually(lambda: is_live(placement.cluster))
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as listening:
        listening.execute(f"LISTEN {WAKE_CHANNEL}")
        deploy(clusters.gateway(placement.cluster), placement)
        woken = next(listening.notifies(timeout=SOON))
    assert woken.payload == str(placement.pk)
    eventually(lambda: len(pods_of(placement, projection__ready=True)) == 2)
    kinds = set(placement.observed.values_list("kind", flat=True))
    assert kinds >= {"Pod", "ReplicaSet", "Deployment"}
    last = Event.objects.filter(kind="pod.changed", topics=[placement.topic]).last()
    assert last.payload["placement_id"] == str(placement.pk)
    assert len(projections.placement_pods(placement)) == 2


def test_pods_that_end_are_removed_and_told(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster], in_namespace: str
) -> None:
    placement = placed(registered(), in_namespace)
    gateway = clusters.gateway(placement.cluster)
    deploy(gateway, placement, replicas=1)
    start_watcher()
    eventually(lambda: pods_of(placement))
    gateway.delete("apps/v1", "Deployment", in_namespace, "web")
    eventually(lambda: not placement.observed.exclude(kind="Event").exists())
    assert Event.objects.filter(kind="pod.gone", topics=[placement.topic]).count() == 1


def test_pods_of_nobody_are_not_kept(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster], in_namespace: str
) -> None:
    placement = placed(registered(), in_namespace)
    stranger = factories.make_deployment("stranger", replicas=1)
    stranger["metadata"]["namespace"] = in_namespace
    gateway = clusters.gateway(placement.cluster)
    gateway.apply(stranger, field_manager="test")
    deploy(gateway, placement, replicas=1)
    start_watcher()
    eventually(lambda: pods_of(placement, projection__ready=True))
    assert not ObservedObject.objects.filter(kind="Pod", name__startswith="stranger").exists()


def test_a_restart_goes_on_where_the_last_one_stopped(
    start_watcher: Callable[[], Watcher], sandbox: SandboxProcess, in_namespace: str
) -> None:
    with FaultyApiserver(behind(sandbox)) as server:
        placement = placed(register_behind(server), in_namespace)
        gateway = clusters.gateway(placement.cluster)
        deploy(gateway, placement, "gone", replicas=1)
        deploy(gateway, placement, "kept", replicas=1)
        first = start_watcher()
        eventually(lambda: len(pods_of(placement, projection__ready=True)) == 2)
        first.stop()
        eventually(lambda: not _threads_of(placement.cluster))

        server.seen.clear()
        gateway.delete("apps/v1", "Deployment", in_namespace, "gone")
        deploy(gateway, placement, "new", replicas=1)
        start_watcher()
        eventually(lambda: _pod_names(placement) == {"kept", "new"})
        lists = [e for e in server.arrived("GET", "/api/v1/pods") if "watch" not in e.query]
        assert lists == []


def test_a_version_that_is_too_old_lists_anew_and_tells_what_ended(
    start_watcher: Callable[[], Watcher], target: Target
) -> None:
    given = Endpoint(server=target.server, ca_pem=target.ca_pem, token=target.token)
    about = {"name": "c", "provider": "kubernetes", "environment": "staging"}
    cluster = clusters.register(**about, endpoint=given, actor=None)
    assert (cluster.connection, cluster.connection_detail) == ("connected", "")
    placement = placed(cluster, f"test-{os.urandom(4).hex()}")
    gateway = clusters.gateway(cluster)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": placement.namespace}}
    gateway.create(namespace, field_manager="test")
    deploy(gateway, placement, "gone", replicas=1)
    first = start_watcher()
    eventually(lambda: _pod_names(placement) == {"gone"})
    first.stop()
    eventually(lambda: not _threads_of(cluster))

    gateway.delete("apps/v1", "Deployment", placement.namespace, "gone")
    deploy(gateway, placement, "new", replicas=1)
    target.forget_history()
    start_watcher()
    eventually(lambda: _pod_names(placement) == {"new"}, seconds=30)
    gone = Event.objects.filter(kind="pod.gone", topics=[placement.topic])
    names = [event.payload["name"] for event in gone]
    # A ReplicaSet may have made a second pod before it went itself; each is told once.
    assert {name.partition("-")[0] for name in names} == {"gone"}
    assert len(set(names)) == len(names)
    gateway.delete("v1", "Namespace", None, placement.namespace)


def _threads_of(cluster: Cluster) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(f"{cluster.name}/")]


def _pod_names(placement: Placement) -> set[str]:
    return {pod.name.partition("-")[0] for pod in pods_of(placement, projection__ready=True)}


def test_new_credentials_are_used_within_seconds(
    start_watcher: Callable[[], Watcher], sandbox: SandboxProcess, kubeconfig: str
) -> None:
    wrong = Endpoint(server=sandbox.server, ca_pem=sandbox.ca_pem, token="wrong")
    about = {"name": "c", "provider": "sandbox", "environment": "staging"}
    cluster = clusters.register(**about, endpoint=wrong, actor=None)
    start_watcher()
    eventually(lambda: states(cluster).get("Pod") == "reconnecting")
    clusters.update_credentials(cluster=cluster, kubeconfig=kubeconfig, actor=None)
    eventually(lambda: is_live(cluster))


def test_a_removed_cluster_is_left_alone(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster]
) -> None:
    cluster = registered()
    start_watcher()
    eventually(lambda: is_live(cluster))
    clusters.remove(cluster=cluster, actor=None, confirm=cluster.name)
    eventually(lambda: not _threads_of(cluster))
    assert not ObservedObject.objects.exists()


def test_a_dead_cluster_does_not_slow_the_others(
    start_watcher: Callable[[], Watcher],
    registered: Callable[..., Cluster],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleet.watching.cluster.PULSE_BUDGET_SECONDS", 1.0)
    with FaultyApiserver() as server:
        server.on("GET", ".*", stall)
        dead = factories.make_cluster("a-dead", credentials=server.endpoint.__dict__)
        start_watcher()
        alive = registered()
        eventually(lambda: is_live(alive), seconds=5)
        dead.refresh_from_db()
        assert dead.connection != "connected"
        eventually(lambda: Cluster.objects.get(pk=dead.pk).connection == "unreachable")


def test_a_kind_that_may_not_be_watched_is_shown_and_the_rest_goes_on(
    start_watcher: Callable[[], Watcher], sandbox: SandboxProcess
) -> None:
    with FaultyApiserver(behind(sandbox)) as server:
        server.on("GET", "/api/v1/nodes", refuse(403, "Forbidden", "nodes is forbidden"))
        cluster = register_behind(server)
        start_watcher()
        expected = {**dict.fromkeys(KINDS, "live"), "Node": "forbidden"}
        eventually(lambda: states(cluster) == expected)
        freshness = projections.watch_freshness(cluster)
        assert (freshness["state"], freshness["forbidden"]) == ("live", ["Node"])


def test_one_watcher_leads_and_another_takes_over(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster]
) -> None:
    cluster = registered()
    leader = start_watcher()
    eventually(lambda: is_live(cluster))
    second = start_watcher()
    time.sleep(0.5)
    assert (len(leader._running), len(second._running)) == (1, 0)
    leader.stop()
    eventually(lambda: second._running)
    eventually(lambda: is_live(cluster))


def test_it_survives_losing_every_connection_to_the_database(
    start_watcher: Callable[[], Watcher], registered: Callable[..., Cluster], in_namespace: str
) -> None:
    placement = placed(registered(), in_namespace)
    gateway = clusters.gateway(placement.cluster)
    start_watcher()
    eventually(lambda: is_live(placement.cluster))
    _cut_all_connections()
    deploy(gateway, placement, replicas=2)
    _cut_all_connections()
    eventually(lambda: len(pods_of(placement, projection__ready=True)) == 2)
    eventually(lambda: is_live(placement.cluster))


def test_a_state_that_could_not_be_written_is_written_later() -> None:
    cluster = factories.make_cluster()
    WatchCursor.objects.create(cluster=cluster, kind="Pod")
    sink = _Sink(Inventory(cluster, WATCHED[0]), threading.Event())

    def away(*_: Any) -> None:
        raise OperationalError("the database is away")

    with connection.execute_wrapper(away):
        sink.state("live")
    assert states(cluster) == {"Pod": "listing"}
    sink.settle()
    assert states(cluster) == {"Pod": "live"}


def test_it_survives_the_restart_of_a_cluster(
    start_watcher: Callable[[], Watcher], tmp_path: Path
) -> None:
    restarted = start_sandbox(tmp_path, ["c"], start_seconds=0.1)
    try:
        about = {"name": "c", "provider": "sandbox", "environment": "staging"}
        cluster = clusters.register(**about, endpoint=behind(restarted, "c"), actor=None)
        placement = placed(cluster, "default")
        start_watcher()
        eventually(lambda: is_live(cluster))
        restarted.kill()
        eventually(lambda: Cluster.objects.get().connection == "unreachable")
        assert projections.cluster_projection(Cluster.objects.get())["tone"] == "bad"
        restarted.start()
        eventually(lambda: Cluster.objects.get().connection == "connected")
        deploy(clusters.gateway(Cluster.objects.get()), placement)
        eventually(lambda: len(pods_of(placement, projection__ready=True)) == 2)
        eventually(lambda: is_live(cluster))
    finally:
        restarted.stop()


def _cut_all_connections() -> None:
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as cutter:
        cutter.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connection.close()


@pytest.fixture
def start_process() -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts `manage.py watch_clusters` on the tests' database."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        params = connection.settings_dict
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**params)
        command = [sys.executable, "manage.py", "watch_clusters", "--skip-checks"]
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env={**os.environ, "DATABASE_URL": url}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=SOON)


def test_a_killed_watcher_is_replaced_without_a_new_list(
    start_process: Callable[[], subprocess.Popen[str]], sandbox: SandboxProcess, in_namespace: str
) -> None:
    with FaultyApiserver(behind(sandbox)) as server:
        placement = placed(register_behind(server), in_namespace)
        gateway = clusters.gateway(placement.cluster)
        deploy(gateway, placement, "kept", replicas=1)
        first = start_process()
        eventually(lambda: len(pods_of(placement, projection__ready=True)) == 1)
        eventually(lambda: WatchCursor.objects.get(kind="Pod").resource_version)
        first.kill()
        first.wait(SOON)

        server.seen.clear()
        deploy(gateway, placement, "new", replicas=1)
        second = start_process()
        eventually(lambda: _pod_names(placement) == {"kept", "new"})
        lists = [e for e in server.arrived("GET", "/api/v1/pods") if "watch" not in e.query]
        assert lists == []
        second.send_signal(signal.SIGTERM)
        assert second.wait(SOON) == 0
