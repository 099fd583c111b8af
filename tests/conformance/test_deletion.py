"""Deletion: policies, preconditions, finalizers, collections; and who owns what."""

from tests.conformance.cluster import Cluster, owners
from tests.conformance.objects import config_map, deployment, pod, replica_set
from tests.conformance.pins import Pins


def _policy(name: str) -> dict:
    return {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": name}


def _running(cluster: Cluster) -> None:
    cluster.created(deployment(replicas=2))
    cluster.eventually("two pods", lambda: len(cluster.items("Pod")) == 2)
    cluster.settled("web")


def test_background_removes_the_owner_at_once_and_the_rest_after(
    cluster: Cluster, pinned: Pins
) -> None:
    _running(cluster)
    pinned(cluster.delete("Deployment", "web", _policy("Background")))
    assert cluster.gone("Deployment", "web")
    cluster.eventually("replica sets gone", lambda: not cluster.items("ReplicaSet"))
    cluster.eventually("pods gone", lambda: not cluster.items("Pod"))


def test_foreground_keeps_the_owner_until_the_rest_is_gone(cluster: Cluster, pinned: Pins) -> None:
    _running(cluster)
    start = cluster.client.get(cluster.path("Deployment"))["metadata"]["resourceVersion"]
    answer = cluster.delete("Deployment", "web", _policy("Foreground"))
    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]
    cluster.eventually("deployment gone", lambda: cluster.gone("Deployment", "web"))
    assert not cluster.items("ReplicaSet")
    assert not cluster.items("Pod")
    events = list(
        cluster.client.watch(cluster.path("Deployment"), resourceVersion=start, seconds=1)
    )
    assert events[0]["object"]["metadata"]["deletionTimestamp"]
    assert events[-1]["type"] == "DELETED"
    pinned([answer.status, answer["metadata"]])


def test_orphan_leaves_the_rest_without_owner(cluster: Cluster) -> None:
    _running(cluster)
    cluster.delete("Deployment", "web", _policy("Orphan"))
    cluster.eventually("deployment gone", lambda: cluster.gone("Deployment", "web"))
    (left,) = cluster.items("ReplicaSet")
    assert owners(left) == []
    assert len(cluster.items("Pod")) == 2


def test_a_new_deployment_adopts_the_orphans(cluster: Cluster) -> None:
    _running(cluster)
    before = {item["metadata"]["uid"] for item in cluster.items("Pod")}
    cluster.delete("Deployment", "web", _policy("Orphan"))
    cluster.eventually("deployment gone", lambda: cluster.gone("Deployment", "web"))
    uid = cluster.created(deployment(replicas=2))["metadata"]["uid"]

    def adopted() -> bool:
        return [ref["uid"] for item in cluster.items("ReplicaSet") for ref in owners(item)] == [uid]

    cluster.eventually("adopted", adopted)
    cluster.settled("web")
    assert {item["metadata"]["uid"] for item in cluster.items("Pod")} == before


def test_a_replica_set_adopts_and_releases_pods(cluster: Cluster, pinned: Pins) -> None:
    stray = pod("stray")
    stray["metadata"]["labels"] = {"app": "set"}
    cluster.created(stray)
    uid = cluster.created(replica_set(replicas=1))["metadata"]["uid"]
    cluster.eventually("adopted", lambda: owners(cluster.get("Pod", "stray").body))
    pinned(owners(cluster.get("Pod", "stray").body))
    assert owners(cluster.get("Pod", "stray").body)[0]["uid"] == uid
    cluster.merge("Pod", "stray", {"metadata": {"labels": {"app": "released"}}})
    cluster.eventually("released", lambda: not owners(cluster.get("Pod", "stray").body))
    cluster.eventually("replaced", lambda: len(cluster.items("Pod")) == 2)


def test_a_deleted_pod_is_replaced(cluster: Cluster) -> None:
    _running(cluster)
    gone = cluster.items("Pod")[0]["metadata"]
    cluster.delete("Pod", gone["name"])

    def replaced() -> bool:
        names = {item["metadata"]["name"] for item in cluster.items("Pod")}
        return len(names) == 2 and gone["name"] not in names

    cluster.eventually("replaced", replaced)


def test_preconditions_must_hold(cluster: Cluster, pinned: Pins) -> None:
    created = cluster.created(config_map())
    other = {"preconditions": {"uid": "11111111-2222-3333-4444-555555555555"}}
    pinned(cluster.delete("ConfigMap", "settings", other))
    pinned(cluster.delete("ConfigMap", "settings", {"preconditions": {"resourceVersion": "1"}}))
    right = {"preconditions": {"uid": created["metadata"]["uid"]}}
    pinned(cluster.delete("ConfigMap", "settings", right))


def test_a_finalizer_holds_the_object(cluster: Cluster, pinned: Pins) -> None:
    held = config_map() | {"metadata": {"name": "settings", "finalizers": ["pilothouse.test/hold"]}}
    cluster.created(held)
    answer = cluster.delete("ConfigMap", "settings")
    pinned(answer)
    pinned(cluster.delete("ConfigMap", "settings"))
    pinned(cluster.merge("ConfigMap", "settings", {"metadata": {"finalizers": ["a.test/new"]}}))
    pinned(cluster.create(config_map()))
    assert cluster.merge("ConfigMap", "settings", {"data": {"colour": "red"}}).status == 200
    released = cluster.merge("ConfigMap", "settings", {"metadata": {"finalizers": None}})
    assert released.status == 200
    assert cluster.gone("ConfigMap", "settings")


def test_a_collection_is_deleted_by_selector(cluster: Cluster, pinned: Pins) -> None:
    for name, team in (("a", "speech"), ("b", "speech"), ("c", "vision")):
        cluster.created(config_map(name) | {"metadata": {"name": name, "labels": {"team": team}}})
    answer = cluster.client.delete(cluster.path("ConfigMap"), labelSelector="team=speech")
    assert answer.status == 200
    pinned([answer["kind"], [item["metadata"]["name"] for item in answer["items"]]])
    left = {item["metadata"]["name"] for item in cluster.items("ConfigMap")}
    assert left - {"kube-root-ca.crt"} == {"c"}


def test_a_scheduled_pod_ends_gracefully(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(pod("worker", manual=True))
    cluster.eventually("scheduled", lambda: "nodeName" in cluster.get("Pod", "worker")["spec"])
    start = cluster.get("Pod", "worker").resource_version
    answer = cluster.delete("Pod", "worker")
    pinned([answer.status, answer["kind"], answer["metadata"]])
    events = cluster.client.watch(cluster.path("Pod"), resourceVersion=start)
    kinds = []
    for event in events:
        kinds.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert set(kinds[:-1]) == {"MODIFIED"}


def test_an_unscheduled_pod_is_gone_at_once(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(pod("late", nodeSelector={"nowhere": "yes"}))
    answer = cluster.delete("Pod", "late")
    pinned([answer.status, answer["kind"]])
    assert cluster.gone("Pod", "late")


def test_an_object_whose_owner_never_was_is_collected(cluster: Cluster) -> None:
    ghost = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "ghost",
        "uid": "11111111-2222-3333-4444-555555555555",
    }
    cluster.created(config_map() | {"metadata": {"name": "settings", "ownerReferences": [ghost]}})
    cluster.eventually("collected", lambda: cluster.gone("ConfigMap", "settings"))


def test_a_namespace_takes_its_objects_along(cluster: Cluster) -> None:
    _running(cluster)
    cluster.created(config_map())
    path = f"/api/v1/namespaces/{cluster.namespace}"
    answer = cluster.client.delete(path)
    assert answer["status"]["phase"] == "Terminating"
    refused = cluster.create(config_map("late"))
    assert refused.status == 403
    assert refused["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    cluster.eventually("pods gone", lambda: not cluster.items("Pod"))
