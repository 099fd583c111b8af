"""The three patch formats, and what each of them refuses."""

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.objects import config_map, deployment, service
from tests.conformance.pins import Pins

WEB = deployment(
    replicas=0,
    template={
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example/app:1",
                    "args": ["--one", "--two"],
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    "ports": [{"containerPort": 8080, "name": "http"}],
                },
                {"name": "side", "image": "registry.example/side:1"},
            ],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    },
)


def _template(**spec: object) -> dict:
    return {"spec": {"template": {"spec": spec}}}


STRATEGIC = {
    "one container by name": _template(containers=[{"name": "side", "image": "side:2"}]),
    "a new container": _template(containers=[{"name": "new", "image": "new:1"}]),
    "one variable by name": _template(
        containers=[{"name": "main", "env": [{"name": "B", "value": "3"}]}]
    ),
    "a variable from a field": _template(
        containers=[
            {
                "name": "main",
                "env": [
                    {
                        "name": "B",
                        "value": None,
                        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                    }
                ],
            }
        ]
    ),
    "arguments as a whole": _template(containers=[{"name": "main", "args": ["--three"]}]),
    "a port by number": _template(
        containers=[{"name": "main", "ports": [{"containerPort": 8080, "name": "web"}]}]
    ),
    "delete a container": _template(containers=[{"name": "side", "$patch": "delete"}]),
    "delete a variable": _template(
        containers=[{"name": "main", "env": [{"name": "A", "$patch": "delete"}]}]
    ),
    "replace the containers": _template(
        containers=[{"name": "only", "image": "only:1"}, {"$patch": "replace"}]
    ),
    "replace a map": {"metadata": {"labels": {"$patch": "replace", "fresh": "yes"}}},
    "delete a key": {"metadata": {"labels": {"app": None}}},
    "order of the containers": _template(
        **{"$setElementOrder/containers": [{"name": "side"}, {"name": "main"}]}
    ),
    "volume with only its new source": _template(
        volumes=[
            {"name": "scratch", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}
        ]
    ),
    "volume beside its old source": _template(
        volumes=[{"name": "scratch", "configMap": {"name": "c"}}]
    ),
    "strategy without the old settings": {
        "spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    },
    "strategy beside the old settings": {"spec": {"strategy": {"type": "Recreate"}}},
    "finalizers are added": {"metadata": {"finalizers": ["pilothouse.test/second"]}},
    "container without its key": _template(containers=[{"image": "side:2"}]),
}

JSON = {
    "every operation": [
        {"op": "test", "path": "/spec/replicas", "value": 0},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "app:2"},
        {"op": "add", "path": "/metadata/annotations", "value": {"a.b/c": "1"}},
        {"op": "add", "path": "/metadata/annotations/d.e~1f", "value": "2"},
        {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--three"},
        {"op": "remove", "path": "/spec/template/spec/containers/1"},
        {"op": "copy", "from": "/metadata/labels/app", "path": "/metadata/labels/copy"},
        {"op": "move", "from": "/metadata/labels/copy", "path": "/metadata/labels/moved"},
    ],
    "failing test": [
        {"op": "test", "path": "/spec/replicas", "value": 5},
        {"op": "replace", "path": "/spec/replicas", "value": 1},
    ],
    "test of an absent field": [{"op": "test", "path": "/metadata/labels/none", "value": "b"}],
    "removal of an absent field": [{"op": "remove", "path": "/metadata/labels/none"}],
    "replacement of an absent field": [{"op": "replace", "path": "/spec/none/x", "value": 1}],
    "index beyond the end": [
        {"op": "add", "path": "/spec/template/spec/containers/9", "value": {"name": "x"}}
    ],
    "unknown operation": [{"op": "turn", "path": "/spec/replicas", "value": 1}],
    "result of the wrong type": [{"op": "replace", "path": "/spec/replicas", "value": "many"}],
    "result that is invalid": [{"op": "replace", "path": "/spec/replicas", "value": -1}],
}


@pytest.mark.parametrize("change", STRATEGIC)
def test_a_strategic_merge_patch(cluster: Cluster, pinned: Pins, change: str) -> None:
    cluster.created(WEB)
    pinned(cluster.strategic("Deployment", "web", STRATEGIC[change]))


@pytest.mark.parametrize("change", JSON)
def test_a_json_patch(cluster: Cluster, pinned: Pins, change: str) -> None:
    cluster.created(WEB)
    pinned(cluster.json("Deployment", "web", JSON[change]))


def test_a_merge_patch_replaces_lists_and_drops_nulls(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(WEB)
    containers = [{"name": "only", "image": "only:1"}]
    patch = {"metadata": {"labels": {"app": None, "new": "x"}}} | _template(containers=containers)
    pinned(cluster.merge("Deployment", "web", patch))


def test_ports_of_a_service_merge_by_number(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]))
    ports = [{"port": 81, "targetPort": 9000}, {"name": "c", "port": 82}]
    pinned(cluster.strategic("Service", "front", {"spec": {"ports": ports}}))


def test_a_patch_of_an_older_version_is_a_conflict(cluster: Cluster, pinned: Pins) -> None:
    old = cluster.created(config_map()).resource_version
    assert cluster.merge("ConfigMap", "settings", {"data": {"a": "b"}}).status == 200
    stale = {"metadata": {"resourceVersion": old}, "data": {"a": "c"}}
    pinned(cluster.merge("ConfigMap", "settings", stale))
    pinned(cluster.strategic("ConfigMap", "settings", stale))
    pinned(
        cluster.json(
            "ConfigMap",
            "settings",
            [{"op": "test", "path": "/metadata/resourceVersion", "value": old}],
        )
    )


def test_patches_nobody_can_read(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(config_map())
    path = cluster.path("ConfigMap", "settings")
    client = cluster.client
    pinned(client.request("PATCH", path, {"data": {}}, content_type="application/json"))
    pinned(client.request("PATCH", path, b"{", content_type="application/merge-patch+json"))
    pinned(client.merge_patch(path, [1, 2]))
    pinned(client.json_patch(path, {"op": "add"}))  # an object where a list belongs
    pinned(client.strategic_patch(path, {"data": {"colour": {"$patch": "burn"}}}))


def test_a_patch_that_changes_nothing_stores_nothing(cluster: Cluster) -> None:
    before = cluster.created(config_map()).resource_version
    patch = {"data": {"colour": "blue"}}
    assert cluster.merge("ConfigMap", "settings", patch).resource_version == before
    assert cluster.strategic("ConfigMap", "settings", patch).resource_version == before
