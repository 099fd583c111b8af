"""What people see of clusters: counts, tone and freshness, in a fixed number of queries."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet import projections
from fleet.models import Cluster, ObservedObject, Placement, WatchCursor
from tests import factories

pytestmark = pytest.mark.django_db


def observe(cluster: Cluster, kind: str, uid: str, **projection: Any) -> ObservedObject:
    return ObservedObject.objects.create(
        cluster=cluster, kind=kind, uid=uid, name=uid, projection=projection,
        seen_at=timezone.now(), placement=projection.pop("of", None),
    )  # fmt: skip


def a_node(cluster: Cluster, uid: str, *, ready: bool = True, gpus: int = 0) -> None:
    observe(cluster, "Node", uid, ready=ready, allocatable={"gpus": gpus})


def a_pod(cluster: Cluster, uid: str, **values: Any) -> None:
    given = {"phase": "Running", "ready": True, "node": "n", "requests": {"gpus": 1}, **values}
    observe(cluster, "Pod", uid, **given)


def a_cursor(cluster: Cluster, kind: str, state: str, seconds_ago: float | None = 0.0) -> None:
    heard_at = None if seconds_ago is None else timezone.now() - timedelta(seconds=seconds_ago)
    WatchCursor.objects.create(cluster=cluster, kind=kind, state=state, heard_at=heard_at)


def test_nodes_pods_and_gpus_are_counted() -> None:
    cluster = factories.make_cluster(connection="connected")
    a_node(cluster, "n1", gpus=2)
    a_node(cluster, "n2", ready=False)
    a_pod(cluster, "runs")
    a_pod(cluster, "waits", ready=False, node="", phase="Pending")
    a_pod(cluster, "ended", ready=False, phase="Succeeded")
    observe(cluster, "Deployment", "d", ready=1)
    seen = projections.cluster_projection(cluster)
    assert seen["nodes"] == {"ready": 1, "total": 2}
    assert seen["pods"] == {"ready": 1, "total": 2}
    assert seen["gpus"] == {"allocatable": 2, "requested": 1}


def test_a_cluster_nothing_is_known_of() -> None:
    seen = projections.cluster_projection(factories.make_cluster())
    assert seen["nodes"] == {"ready": 0, "total": 0}
    assert (seen["tone"], seen["watch"]["state"]) == ("idle", "none")
    assert seen["watch"]["behind_seconds"] is None


def test_many_clusters_cost_two_queries(django_assert_num_queries: Any) -> None:
    for number in range(5):
        cluster = factories.make_cluster()
        a_node(cluster, f"n{number}")
        a_cursor(cluster, "Pod", "live")
    listed = list(Cluster.objects.all())
    with django_assert_num_queries(2):
        seen = projections.cluster_projections(listed)
    assert [one["id"] for one in seen] == [str(cluster.pk) for cluster in listed]


@pytest.mark.parametrize(
    ("cursors", "state"),
    [
        ([("Pod", "live", 0), ("Node", "live", 0)], "live"),
        ([("Pod", "live", 0), ("Node", "listing", None)], "listing"),
        ([("Pod", "live", 0), ("Node", "reconnecting", 5)], "reconnecting"),
        ([("Pod", "live", 31), ("Node", "live", 0)], "stale"),
        ([("Pod", "live", 0), ("Node", "forbidden", 999)], "live"),
        ([("Pod", "forbidden", None)], "forbidden"),
    ],
)
def test_the_watch_that_is_worst_off_decides(cursors: list[Any], state: str) -> None:
    cluster = factories.make_cluster()
    for kind, cursor_state, seconds_ago in cursors:
        a_cursor(cluster, kind, cursor_state, seconds_ago)
    assert projections.watch_freshness(cluster)["state"] == state


def test_behind_is_the_age_of_the_oldest_word() -> None:
    cluster = factories.make_cluster()
    a_cursor(cluster, "Pod", "live", 12)
    a_cursor(cluster, "Node", "live", 1)
    assert projections.watch_freshness(cluster)["behind_seconds"] == pytest.approx(12, abs=1)


@pytest.mark.parametrize(
    ("values", "watch", "tone"),
    [
        ({"connection": "connected"}, "live", "good"),
        ({"connection": "connected"}, "reconnecting", "warn"),
        ({"connection": "connected", "connection_detail": "missing rights"}, "live", "warn"),
        ({"connection": "unreachable"}, "live", "bad"),
        ({"connection": "refused"}, "live", "bad"),
        ({"connection": "unknown"}, "live", "idle"),
    ],
)
def test_the_tone_says_how_it_is(values: dict[str, str], watch: str, tone: str) -> None:
    cluster = factories.make_cluster(**values)
    a_cursor(cluster, "Pod", watch)
    assert projections.cluster_projection(cluster)["tone"] == tone


def test_a_node_that_is_not_ready_is_a_warning() -> None:
    cluster = factories.make_cluster(connection="connected")
    a_cursor(cluster, "Node", "live")
    a_node(cluster, "n", ready=False)
    assert projections.cluster_projection(cluster)["tone"] == "warn"


def test_no_projection_holds_a_credential() -> None:
    cluster = factories.make_cluster(credentials={"token": "secret-token"})
    assert "secret-token" not in str(projections.cluster_projection(cluster))


def pods_of(placement: Placement) -> list[str]:
    return [pod["name"] for pod in projections.placement_pods(placement)]


def test_pods_of_a_placement_come_oldest_first() -> None:
    placement = factories.make_placement()
    for uid, created in (("young", "2026-02-02T00:00:00Z"), ("old", "2026-01-01T00:00:00Z")):
        observe(placement.cluster, "Pod", uid, created=created, of=placement)
    a_pod(placement.cluster, "stranger")
    assert pods_of(placement) == ["old", "young"]
