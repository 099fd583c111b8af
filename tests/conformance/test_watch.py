"""Watches: order, resumption, bookmarks, selectors, and versions that are gone."""

from collections.abc import Iterator
from itertools import islice

from tests.conformance.cluster import Cluster
from tests.conformance.objects import config_map
from tests.conformance.pins import Pins
from tests.controlplane.fixtures import Target

# Controllers put a map of their own into every namespace, at a time of their own.
OURS = {"fieldSelector": "metadata.name!=kube-root-ca.crt"}


def _seen(events: Iterator[dict], count: int) -> list[list[str]]:
    """Type and name of the next events."""
    return [[e["type"], e["object"]["metadata"]["name"]] for e in islice(events, count)]


def _label(value: str | None) -> dict:
    return {"metadata": {"labels": {"team": value}}}


def test_changes_come_in_order_and_a_watch_resumes(cluster: Cluster) -> None:
    path = cluster.path("ConfigMap")
    start = cluster.client.get(path)["metadata"]["resourceVersion"]
    cluster.created(config_map("a"))
    cluster.created(config_map("b"))
    cluster.merge("ConfigMap", "a", {"data": {"colour": "red"}})
    cluster.delete("ConfigMap", "b")
    events = list(islice(cluster.client.watch(path, resourceVersion=start, **OURS), 4))
    kinds = [(event["type"], event["object"]["metadata"]["name"]) for event in events]
    assert kinds == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    resumed = cluster.client.watch(path, resourceVersion=str(versions[1]), **OURS)
    assert _seen(resumed, 2) == [["MODIFIED", "a"], ["DELETED", "b"]]


def test_a_watch_without_version_starts_with_what_is_there(cluster: Cluster) -> None:
    for name in ("a", "b"):
        cluster.created(config_map(name))
    for version in (None, "0"):
        events = cluster.client.watch(cluster.path("ConfigMap"), resourceVersion=version, **OURS)
        assert sorted(_seen(events, 2)) == [["ADDED", "a"], ["ADDED", "b"]]


def test_initial_events_end_with_a_bookmark(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(config_map("a"))
    events = cluster.client.watch(
        cluster.path("ConfigMap"),
        sendInitialEvents=True,
        resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks=True,
        fieldSelector="metadata.name=a",
    )
    first, bookmark = islice(events, 2)
    assert (first["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    pinned(bookmark)
    refused = cluster.client.get(
        cluster.path("ConfigMap"), watch=True, sendInitialEvents=True, timeoutSeconds=1
    )
    pinned(refused)


def test_objects_enter_and_leave_a_selection(cluster: Cluster) -> None:
    path = cluster.path("ConfigMap")
    start = cluster.client.get(path)["metadata"]["resourceVersion"]
    cluster.created(config_map("a"))
    cluster.merge("ConfigMap", "a", _label("speech"))
    cluster.merge("ConfigMap", "a", {"data": {"colour": "red"}})
    cluster.merge("ConfigMap", "a", _label(None))
    cluster.delete("ConfigMap", "a")
    cluster.created(config_map("b") | {"metadata": {"name": "b", "labels": {"team": "speech"}}})
    events = cluster.client.watch(path, resourceVersion=start, labelSelector="team=speech")
    assert _seen(events, 4) == [["ADDED", "a"], ["MODIFIED", "a"], ["DELETED", "a"], ["ADDED", "b"]]


def test_a_version_long_gone_is_told(cluster: Cluster, target: Target, pinned: Pins) -> None:
    path = cluster.path("ConfigMap")
    target.forget_history()
    pinned(list(cluster.client.watch(path, resourceVersion="1", seconds=1)))
    pinned(cluster.client.get(path, watch=True, resourceVersion="abc", timeoutSeconds=1))


def test_a_watch_of_one_object(cluster: Cluster) -> None:
    cluster.created(config_map("a"))
    cluster.created(config_map("b"))
    events = cluster.client.watch(cluster.path("ConfigMap"), fieldSelector="metadata.name=b")
    assert _seen(events, 1) == [["ADDED", "b"]]


def test_the_last_state_of_a_deleted_object_is_sent(cluster: Cluster, pinned: Pins) -> None:
    path = cluster.path("ConfigMap")
    created = cluster.created(config_map())
    cluster.delete("ConfigMap", "settings")
    (deleted,) = islice(
        cluster.client.watch(path, resourceVersion=created.resource_version, **OURS), 1
    )
    pinned(deleted)
    version = deleted["object"]["metadata"]["resourceVersion"]
    assert int(version) > int(created.resource_version)
