"""Creating, reading, replacing: defaults, names, generations, and what is refused."""

from typing import Any

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.objects import config_map, deployment, pod, replica_set, service
from tests.conformance.pins import Pins

SUBJECTS = {
    "config map": config_map(),
    "pod": pod("late", nodeSelector={"nowhere": "yes"}),
    "service": service(),
    "headless service": service("peers", clusterIP="None"),
    "deployment": deployment("idle", 0),
    "deployment without replicas": deployment("single", None, paused=True),
    "replica set": replica_set("idle", 0),
    "gpu deployment": deployment(
        "asr",
        0,
        template={
            "metadata": {"labels": {"app": "asr"}},
            "spec": {
                "containers": [
                    {
                        "name": "server",
                        "image": "registry.example/asr@sha256:" + "a" * 64,
                        "args": ["--model", "small"],
                        "env": [{"name": "LANGUAGE", "value": "ms"}],
                        "envFrom": [{"configMapRef": {"name": "settings"}}],
                        "ports": [{"containerPort": 8080, "name": "http"}],
                        "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": 2, "memory": "4Gi"}},
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                        "volumeMounts": [{"name": "settings", "mountPath": "/etc/asr"}],
                    }
                ],
                "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            },
        },
    ),
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_created_object_carries_its_defaults(
    cluster: Cluster, pinned: Pins, subject: str
) -> None:
    obj = SUBJECTS[subject]
    answer = cluster.create(obj)
    pinned(answer)
    assert answer.status == 201
    assert cluster.get(obj["kind"], answer.name)["metadata"]["uid"] == answer["metadata"]["uid"]


def test_a_second_object_of_the_name_is_refused(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(config_map())
    pinned(cluster.create(config_map()))
    cluster.created(deployment(replicas=0))
    pinned(cluster.create(deployment(replicas=0)))


def test_generate_name_completes_the_name(cluster: Cluster) -> None:
    obj = config_map() | {"metadata": {"generateName": "part-"}}
    first, second = cluster.created(obj), cluster.created(obj)
    assert first.name != second.name
    assert first.name.startswith("part-") and len(first.name) == len("part-") + 5


def test_what_is_absent_is_named_in_the_answer(cluster: Cluster, pinned: Pins) -> None:
    pinned(cluster.get("Deployment", "none"))
    pinned(cluster.delete("ConfigMap", "none"))
    pinned(cluster.merge("Deployment", "none", {"spec": {"replicas": 2}}))
    pinned(cluster.get("Deployment", "none", "scale"))
    pinned(cluster.replace(deployment("none")))


def test_paths_nobody_serves(cluster: Cluster, pinned: Pins) -> None:
    pinned(cluster.client.get("/apis/apps/v1/none"))
    pinned(cluster.client.get("/apis/none.example/v1/things"))
    pinned(cluster.client.post("/api/v1/namespaces/nowhere/configmaps", config_map()))
    pinned(cluster.client.put(cluster.path("ConfigMap"), config_map()))
    pinned(cluster.client.delete("/api/v1/nodes/none"))


def test_body_and_path_must_agree(cluster: Cluster, pinned: Pins) -> None:
    elsewhere = config_map() | {"metadata": {"name": "settings", "namespace": "elsewhere"}}
    pinned(cluster.create(elsewhere))
    pinned(cluster.client.post(cluster.path("ConfigMap"), pod()))
    pinned(cluster.client.post(cluster.path("ConfigMap"), b"{not json"))
    cluster.created(config_map())
    pinned(cluster.client.put(cluster.path("ConfigMap", "settings"), config_map("other")))


def test_a_stale_replace_is_a_conflict(cluster: Cluster, pinned: Pins) -> None:
    old = cluster.created(deployment(replicas=0)).body
    assert cluster.merge("Deployment", "web", {"spec": {"minReadySeconds": 1}}).status == 200
    pinned(cluster.replace(old))
    del old["metadata"]["resourceVersion"]
    answer = cluster.replace(old)
    assert answer.status == 200
    assert answer["metadata"]["generation"] == 3


def test_a_replace_of_a_recreated_object_is_a_conflict(cluster: Cluster, pinned: Pins) -> None:
    old = cluster.created(config_map()).body
    cluster.delete("ConfigMap", "settings")
    cluster.created(config_map())
    del old["metadata"]["resourceVersion"]
    pinned(cluster.replace(old))


def test_only_a_change_of_the_spec_counts_as_a_generation(cluster: Cluster) -> None:
    cluster.created(deployment(replicas=0, paused=True))
    cluster.eventually("observed", lambda: _observed(cluster, 1))
    before = cluster.get("Deployment", "web")
    assert cluster.replace(before.body).resource_version == before.resource_version
    labelled = cluster.merge("Deployment", "web", {"metadata": {"labels": {"tier": "front"}}})
    assert labelled["metadata"]["generation"] == 1
    assert labelled.resource_version != before.resource_version
    changed = cluster.merge("Deployment", "web", {"spec": {"minReadySeconds": 1}})
    assert changed["metadata"]["generation"] == 2
    cluster.eventually("observed", lambda: _observed(cluster, 2))


def test_dry_runs_answer_but_store_nothing(cluster: Cluster, pinned: Pins) -> None:
    answer = cluster.create(deployment(replicas=0), dryRun="All")
    pinned(answer)
    assert cluster.get("Deployment", "web").status == 404
    before = cluster.created(config_map())
    patched = cluster.merge("ConfigMap", "settings", {"data": {"colour": "red"}}, dryRun="All")
    assert patched["data"] == {"colour": "red"}
    pinned(cluster.delete("ConfigMap", "settings", dryRun="All"))
    pinned(cluster.create(config_map(), dryRun="All"))
    pinned(cluster.create(config_map("other"), dryRun="Some"))
    assert cluster.get("ConfigMap", "settings").resource_version == before.resource_version


def _observed(cluster: Cluster, generation: int) -> Any:
    status = cluster.get("Deployment", "web")["status"]
    return status.get("observedGeneration") == generation
