"""What is refused, with the field, the reason and the message of the real API server."""

from typing import Any

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.objects import config_map, deployment, pod, service
from tests.conformance.pins import Pins


def _container(**fields: Any) -> dict:
    return {"name": "main", "image": "registry.example/app:1"} | fields


def _template(*containers: dict, **spec: Any) -> dict:
    labels = {"metadata": {"labels": {"app": "web"}}}
    return labels | {"spec": {"containers": list(containers)} | spec}


GPU = {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 2}}
MORE_THAN_LIMIT = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
REFUSED = {
    "no selector": deployment(selector=None),
    "selector that misses the template": deployment(selector={"matchLabels": {"app": "other"}}),
    "empty selector": deployment(selector={}),
    "no containers": deployment(template=_template()),
    "container without image": deployment(template=_template({"name": "main"})),
    "containers of one name": deployment(template=_template(_container(), _container())),
    "bad container name": deployment(template=_template(_container(name="Main_1"))),
    "negative replicas": deployment(replicas=-1),
    "text as replicas": deployment(replicas="three"),
    "no surge and no unavailability": deployment(surge=0, unavailable=0),
    "surge of nonsense": deployment(surge="lots", unavailable=0),
    "deadline below min ready": deployment(progressDeadlineSeconds=5, minReadySeconds=10),
    "strategy nobody knows": deployment(strategy={"type": "Canary"}),
    "recreate with rolling settings": deployment(
        strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}
    ),
    "bad restart policy": deployment(template=_template(_container(), restartPolicy="Never")),
    "bad name": config_map("Not_A_Name"),
    "no name": config_map() | {"metadata": {}},
    "bad label": config_map() | {"metadata": {"name": "x", "labels": {"a/b/c": "-"}}},
    "bad annotation": config_map() | {"metadata": {"name": "x", "annotations": {"a b": "c"}}},
    "number as data": config_map() | {"data": {"port": 80}},
    "bad data key": config_map(data={"a key": "x"}),
    "gpu request beside limit": pod(containers=[_container(resources=GPU)]),
    "request above limit": pod(containers=[_container(resources=MORE_THAN_LIMIT)]),
    "bad quantity": pod(containers=[_container(resources={"limits": {"cpu": "lots"}})]),
    "port out of range": pod(containers=[_container(ports=[{"containerPort": 70000}])]),
    "env without name": pod(containers=[_container(env=[{"value": "x"}])]),
    "mount without volume": pod(
        containers=[_container(volumeMounts=[{"name": "data", "mountPath": "/data"}])]
    ),
    "service without ports": service(ports=[]),
    "service port out of range": service(ports=[{"port": 0}]),
    "two ports without names": service(ports=[{"port": 80}, {"port": 81}]),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_faulty_object_is_refused(cluster: Cluster, pinned: Pins, fault: str) -> None:
    answer = cluster.create(REFUSED[fault])
    assert answer.status in (400, 422)
    pinned(answer)


def test_unknown_fields(cluster: Cluster, pinned: Pins) -> None:
    obj = deployment(replicas=0, replicaz=3)
    obj["spec"]["template"]["spec"]["containers"][0]["imaeg"] = "x"
    pinned(cluster.create(obj, fieldValidation="Strict"))
    warned = cluster.create(obj, fieldValidation="Warn")
    pinned([warned.status, warned.warning])
    assert "replicaz" not in warned["spec"]
    ignored = cluster.replace(obj, fieldValidation="Ignore")
    assert (ignored.status, ignored.warning) == (200, "")
    patched = cluster.merge("Deployment", "web", {"spec": {"a": 1}}, fieldValidation="Strict")
    assert patched["message"].endswith('strict decoding error: unknown field "spec.a"')
    pinned([patched.status, patched["reason"], patched["details"]["causes"][0]["field"]])
    pinned(cluster.create(obj, fieldValidation="Sometimes"))


def test_duplicate_fields(cluster: Cluster, pinned: Pins) -> None:
    body = (
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"1","a":"2"}}'
    )
    pinned(cluster.client.post(cluster.path("ConfigMap"), body, fieldValidation="Strict"))


def test_the_selector_of_a_deployment_is_immutable(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=0))
    other = {"matchLabels": {"app": "other"}}
    labels = {"metadata": {"labels": {"app": "other"}}}
    patch = {"spec": {"selector": other, "template": labels}}
    pinned(cluster.merge("Deployment", "web", patch))


def test_the_spec_of_a_pod_is_immutable_but_for_its_images(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(pod("late", nodeSelector={"nowhere": "yes"}))
    image = {"spec": {"containers": [{"name": "main", "image": "registry.example/app:2"}]}}
    assert cluster.strategic("Pod", "late", image).status == 200
    refused = cluster.merge("Pod", "late", {"spec": {"restartPolicy": "Never"}})
    assert refused.status == 422
    pinned([refused["reason"], refused["details"]["causes"][0]["field"]])


def test_an_immutable_config_map_stays_as_it_is(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(config_map(immutable=True))
    pinned(cluster.merge("ConfigMap", "settings", {"data": {"colour": "red"}}))
    pinned(cluster.merge("ConfigMap", "settings", {"immutable": None}))
    assert (
        cluster.merge("ConfigMap", "settings", {"metadata": {"labels": {"a": "b"}}}).status == 200
    )


def test_metadata_the_server_owns_cannot_be_changed(cluster: Cluster, pinned: Pins) -> None:
    before = cluster.created(deployment(replicas=0))
    pinned(cluster.merge("Deployment", "web", {"metadata": {"uid": "other"}}))
    pinned(cluster.merge("Deployment", "web", {"metadata": {"name": "other"}}))
    patch = {"metadata": {"generation": 77, "creationTimestamp": None}}
    after = cluster.merge("Deployment", "web", patch)
    assert after["metadata"]["generation"] == 1
    assert after["metadata"]["creationTimestamp"] == before["metadata"]["creationTimestamp"]
