"""What the watcher sees is stored, told and handed on, in one transaction per batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from fleet.inventory import NOTICE_ABOVE, Inventory
from fleet.kube import projections
from fleet.kube.changes import Change
from fleet.kube.projections import VERSION, WATCHED
from fleet.models import Cluster, ObservedObject, Placement, WatchCursor
from portal.base import events
from tests import factories
from tests.conftest import Emitted

pytestmark = pytest.mark.django_db

BY_KIND = {watched.kind: watched for watched in WATCHED}


def sink(cluster: Cluster, kind: str = "Pod") -> Inventory:
    inventory = Inventory(cluster, BY_KIND[kind])
    inventory.stored()
    return inventory


def a_pod(uid: str, placement: Placement | str = "", **values: Any) -> Change:
    label = str(getattr(placement, "pk", placement))
    obj = {
        "metadata": {"name": f"pod-{uid}", "labels": {projections.PLACEMENT_LABEL: label}},
        "status": {"phase": values.pop("phase", "Running")},
    }
    projection = {**projections.pod(obj), **values}
    return Change("upsert", "Pod", "default", f"pod-{uid}", uid, projection, "7")


def a_gone_pod(uid: str) -> Change:
    return Change("delete", "Pod", "default", f"pod-{uid}", uid, {}, "9")


@contextmanager
def woken() -> Iterator[list[str]]:
    """The placements whose wake was sent inside the block."""
    heard: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "pg_notify" in sql and params[0] == events.WAKE_CHANNEL:
            heard.append(params[1])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield heard


def cursor_of(cluster: Cluster, kind: str = "Pod") -> WatchCursor:
    return WatchCursor.objects.get(cluster=cluster, kind=kind)


def test_a_batch_stores_objects_and_the_version_to_resume_from() -> None:
    placement = factories.make_placement()
    sink(placement.cluster).batch([a_pod("a", placement), a_pod("b", placement)], "42")
    assert placement.observed.filter(kind="Pod").count() == 2
    cursor = cursor_of(placement.cluster)
    assert (cursor.resource_version, cursor.projection_version) == ("42", VERSION)
    assert cursor.heard_at and cursor.listed_at


def test_a_later_batch_updates_the_same_row() -> None:
    placement = factories.make_placement()
    inventory = sink(placement.cluster)
    inventory.batch([a_pod("a", placement, phase="Pending")], "1")
    inventory.batch([a_pod("a", placement, phase="Running")], "2")
    assert [row.projection["phase"] for row in ObservedObject.objects.all()] == ["Running"]


def test_the_same_uid_may_exist_on_two_clusters() -> None:
    for cluster in (factories.make_cluster(), factories.make_cluster()):
        sink(cluster).batch([a_pod("a")], "1")
    assert ObservedObject.objects.filter(uid="a").count() == 2


def test_changes_of_pods_are_told_on_their_placement(emitted: Emitted) -> None:
    placement = factories.make_placement()
    inventory = sink(placement.cluster)
    inventory.batch([a_pod("a", placement)], "1")
    inventory.batch([a_gone_pod("a")], "2")
    [changed], [gone] = emitted("pod.changed"), emitted("pod.gone")
    assert changed.topics == gone.topics == [placement.topic]
    assert changed.object_id == gone.object_id == "a"
    assert changed.payload["placement_id"] == str(placement.pk)
    assert (changed.payload["name"], changed.payload["phase"]) == ("pod-a", "Running")


def test_nodes_are_told_on_their_cluster(emitted: Emitted) -> None:
    cluster = factories.make_cluster()
    node = Change("upsert", "Node", "", "n1", "u1", projections.node({}), "1")
    sink(cluster, "Node").batch([node], "1")
    assert [event.topics for event in emitted("node.changed")] == [[cluster.topic]]


def test_deployments_and_replica_sets_are_workloads(emitted: Emitted) -> None:
    placement = factories.make_placement()
    manifest = factories.make_deployment()
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    labels[projections.PLACEMENT_LABEL] = str(placement.pk)
    change = Change("upsert", "Deployment", "x", "web", "d", projections.deployment(manifest), "1")
    sink(placement.cluster, "Deployment").batch([change], "1")
    [event] = emitted("workload.changed")
    assert (event.payload["kind"], event.payload["desired"]) == ("Deployment", 2)


@pytest.mark.parametrize("label", ["not a uuid", "0190aaaa-0000-7000-8000-000000000000", ""])
def test_a_label_that_names_no_placement_here_is_only_text(label: str, emitted: Emitted) -> None:
    cluster = factories.make_cluster()
    sink(cluster).batch([a_pod("a", label)], "1")
    assert ObservedObject.objects.get().placement is None
    assert emitted() == []


def test_a_pod_cannot_claim_a_placement_of_another_cluster(emitted: Emitted) -> None:
    elsewhere = factories.make_placement()
    sink(factories.make_cluster()).batch([a_pod("a", elsewhere)], "1")
    assert ObservedObject.objects.get().placement is None
    assert emitted() == []


def test_a_warning_belongs_to_the_placement_of_its_subject() -> None:
    placement = factories.make_placement()
    sink(placement.cluster).batch([a_pod("a", placement)], "1")
    warning = projections.event({"involvedObject": {"kind": "Pod", "uid": "a"}, "type": "Warning"})
    change = Change("upsert", "Event", "default", "e", "e1", warning, "2")
    sink(placement.cluster, "Event").batch([change], "2")
    assert ObservedObject.objects.get(kind="Event").placement == placement


def test_each_touched_placement_is_woken_once_per_batch() -> None:
    placement = factories.make_placement()
    pods = [a_pod(str(number), placement) for number in range(5)]
    with woken() as wakes:
        sink(placement.cluster).batch(pods, "1")
    assert wakes == [str(placement.pk)]


def test_a_flood_on_one_placement_is_one_notice(emitted: Emitted) -> None:
    placement = factories.make_placement()
    pods = [a_pod(str(number), placement) for number in range(NOTICE_ABOVE + 1)]
    sink(placement.cluster).batch(pods, "1")
    [notice] = emitted()
    assert (notice.kind, notice.topics) == ("inventory.changed", [placement.topic])
    assert notice.payload["count"] == NOTICE_ABOVE + 1


def test_a_batch_that_fails_leaves_neither_objects_nor_cursor(emitted: Emitted) -> None:
    placement = factories.make_placement()
    inventory = sink(placement.cluster)
    inventory.batch([a_pod("a", placement)], "1")
    emitted.forget()
    broken = a_pod("c" * 65, placement)  # longer than the column
    with pytest.raises(Exception, match="too long"):
        inventory.batch([a_pod("b", placement), a_gone_pod("a"), broken], "2")
    assert [row.uid for row in ObservedObject.objects.all()] == ["a"]
    assert cursor_of(placement.cluster).resource_version == "1"
    assert emitted() == []


def test_a_batch_costs_the_same_few_queries_whatever_its_size(
    django_assert_max_num_queries: Any,
) -> None:
    placement = factories.make_placement()
    inventory = sink(placement.cluster)
    pods = [a_pod(str(number), placement) for number in range(300)]
    with django_assert_max_num_queries(10):
        inventory.batch(pods, "1")
    with django_assert_max_num_queries(12):
        inventory.batch([a_gone_pod(str(number)) for number in range(300)], "2")


def test_a_restart_finds_objects_and_version(emitted: Emitted) -> None:
    placement = factories.make_placement()
    sink(placement.cluster).batch([a_pod("a", placement)], "42")
    version, objects = Inventory(placement.cluster, BY_KIND["Pod"]).stored()
    [(uid, namespace, name, projection)] = objects
    assert (version, uid, namespace, name) == ("42", "a", "default", "pod-a")
    assert projection == a_pod("a", placement).projection


def test_projections_of_another_shape_are_not_resumed_from() -> None:
    cluster = factories.make_cluster()
    inventory = sink(cluster)
    inventory.batch([a_pod("a")], "42")
    WatchCursor.objects.update(projection_version=VERSION + 1)
    version, objects = inventory.stored()
    assert (version, len(list(objects))) == ("", 1)


def test_a_watch_state_is_told_once_and_only_when_it_changes(emitted: Emitted) -> None:
    cluster = factories.make_cluster()
    inventory = sink(cluster)
    for _ in range(3):
        inventory.state("live")
    inventory.state("forbidden", "list pods: missing")
    told = [(event.payload["state"], event.payload["detail"]) for event in emitted("watch.state")]
    assert told == [("live", ""), ("forbidden", "list pods: missing")]
    assert cursor_of(cluster).state == "forbidden"


def test_a_watch_that_is_lost_for_long_is_still_reconnecting() -> None:
    cluster = factories.make_cluster()
    sink(cluster).state("stale", "no answer in time")
    assert cursor_of(cluster).state == "reconnecting"


def test_what_the_audit_found_is_told(emitted: Emitted) -> None:
    cluster = factories.make_cluster()
    sink(cluster).drift([a_gone_pod("a")])
    [event] = emitted("watch.drift")
    assert event.payload["missed"] == ["delete default/pod-a"]
