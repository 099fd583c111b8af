"""Lists: selectors, pages, tables and bare metadata."""

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.objects import config_map, deployment, pod, service
from tests.conformance.pins import Pins

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata{};v=v1;g=meta.k8s.io"
LABELS = {
    "a": {"tier": "front", "size": "1"},
    "b": {"tier": "back", "size": "2"},
    "c": {"tier": "back"},
    "d": {},
}
SELECTORS = {
    "equal": "tier=back",
    "equal to both": "tier==back,size=2",
    "not equal": "tier!=back",
    "in a set": "tier in (front,back)",
    "not in a set": "tier notin (back)",
    "present": "size",
    "absent": "!size",
    "nobody": "tier=none",
    "set and presence": "size in (1),tier",
    "set without brackets": "tier in back",
    "open bracket": "tier=(back",
    "bad key": "-tier=x",
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_label_selector(cluster: Cluster, pinned: Pins, selector: str) -> None:
    for name, labels in LABELS.items():
        cluster.created(config_map(name) | {"metadata": {"name": name, "labels": labels}})
    answer = cluster.client.get(cluster.path("ConfigMap"), labelSelector=SELECTORS[selector])
    if answer.status == 200:
        names = [item["metadata"]["name"] for item in answer["items"]]
        pinned([name for name in names if name in LABELS])
    else:
        pinned(answer)


def test_field_selectors(cluster: Cluster, pinned: Pins) -> None:
    for name in ("a", "b"):
        cluster.created(pod(name, nodeSelector={"nowhere": "yes"}))
    for selector in ("metadata.name=a", "metadata.name!=a", "status.phase=Pending,spec.nodeName="):
        pinned([item["metadata"]["name"] for item in cluster.items("Pod", fieldSelector=selector)])
    pinned(cluster.client.get(cluster.path("Pod"), fieldSelector="spec.colour=red"))
    pinned(cluster.client.get(cluster.path("Deployment"), fieldSelector="status.replicas=1"))


def test_long_lists_come_in_pages(cluster: Cluster, pinned: Pins) -> None:
    for name in "abcde":
        cluster.created(service(name))
    path, pages, token, version = cluster.path("Service"), [], None, ""
    while token != "":
        page = cluster.client.get(path, limit=2, **{"continue": token})
        names = [item["metadata"]["name"] for item in page["items"]]
        pages.append([names, page["metadata"].get("remainingItemCount")])
        assert version in ("", page["metadata"]["resourceVersion"])
        version, token = page["metadata"]["resourceVersion"], page["metadata"].get("continue", "")
        cluster.delete("Service", "e")  # the list stays as it was on its first page
    pinned(pages)
    pinned(cluster.client.get(path, limit=2, **{"continue": "nonsense"}))


def test_a_list_carries_kind_and_version(cluster: Cluster, pinned: Pins) -> None:
    pinned(cluster.client.get(cluster.path("Deployment")))
    pinned(cluster.client.get(cluster.path("Pod"), resourceVersion="0"))


def test_a_version_of_the_future_is_refused(cluster: Cluster) -> None:
    future = {"resourceVersion": "999999999", "resourceVersionMatch": "NotOlderThan"}
    answer = cluster.client.request("GET", cluster.path("ConfigMap"), timeout="1s", **future)
    assert answer.status == 504
    assert answer["reason"] == "Timeout"


def test_tables(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=2))
    cluster.eventually("ready", lambda: _ready(cluster) == 2)
    cluster.created(config_map("table", {"a": "1", "b": "2"}))
    cluster.created(pod("late", nodeSelector={"nowhere": "yes"}))
    pinned(_table(cluster, "Deployment", "metadata.name=web"))
    pinned(_table(cluster, "ConfigMap", "metadata.name=table"))
    pinned(_table(cluster, "Pod", "metadata.name=late"))
    for kind in ("ReplicaSet", "Service", "Node", "Event", "Namespace"):
        pinned(_columns(cluster, kind))
    metadata = cluster.client.request("GET", cluster.path("Deployment", "web"), accept=TABLE)
    assert metadata["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_bare_metadata(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(config_map())
    accept = METADATA.format("")
    pinned(cluster.client.request("GET", cluster.path("ConfigMap", "settings"), accept=accept))
    refused = cluster.client.request("GET", cluster.path("ConfigMap"), accept="text/html")
    pinned(refused)


def _ready(cluster: Cluster) -> int:
    return cluster.get("Deployment", "web")["status"].get("readyReplicas", 0)


def _table(cluster: Cluster, kind: str, selector: str) -> list:
    path = cluster.path(kind)
    table = cluster.client.request("GET", path, accept=TABLE, fieldSelector=selector)
    names = [column["name"] for column in table["columnDefinitions"]]
    rows = [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]
    return [{key: value for key, value in row.items() if key != "Age"} for row in rows]


def _columns(cluster: Cluster, kind: str) -> list:
    table = cluster.client.request("GET", cluster.path(kind), accept=TABLE)
    fields = ("name", "type", "format", "priority")
    return [[column[field] for field in fields] for column in table["columnDefinitions"]]
