"""Server-side apply: who owns which field, and what happens when two want the same one."""

from tests.conformance.cluster import Cluster
from tests.conformance.objects import config_map, deployment, image_patch
from tests.conformance.pins import Pins

COLOUR = {"colour": "blue"}


def _containers(*containers: dict) -> dict:
    """What one manager applies: only the containers of the Deployment."""
    meta = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    return meta | {"spec": {"template": {"spec": {"containers": list(containers)}}}}


def test_applying_creates_and_owns_what_was_given(cluster: Cluster, pinned: Pins) -> None:
    pinned(cluster.apply(deployment(replicas=0), manager="pilot"), managed_fields=True)
    again = cluster.apply(deployment(replicas=0), manager="pilot")
    assert again.status == 200
    pinned(cluster.apply(deployment(replicas=0, version=2), manager="pilot"), managed_fields=True)


def test_applying_the_same_again_stores_nothing(cluster: Cluster) -> None:
    cluster.apply(config_map(), manager="pilot")
    before = cluster.get("ConfigMap", "settings").resource_version
    assert cluster.apply(config_map(), manager="pilot").resource_version == before


def test_a_field_of_another_manager_is_a_conflict(cluster: Cluster, pinned: Pins) -> None:
    cluster.apply(deployment(replicas=0), manager="pilot")
    pinned(cluster.apply(deployment(replicas=0, version=2), manager="rival"))
    both = deployment(replicas=2, version=2)
    pinned(cluster.apply(both, manager="rival"))
    pinned(cluster.apply(both, manager="rival", dryRun="All"))
    image = cluster.get("Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.example/app:1"


def test_the_same_value_is_shared_without_conflict(cluster: Cluster, pinned: Pins) -> None:
    cluster.apply(config_map(data=COLOUR), manager="pilot")
    pinned(cluster.apply(config_map(data=COLOUR), manager="rival"), managed_fields=True)
    pinned(cluster.apply(config_map(data={"colour": "red"}), manager="rival"))
    dropped = cluster.apply(config_map(data={}), manager="pilot")
    assert dropped["data"] == COLOUR
    assert "data" not in cluster.apply(config_map(data={}), manager="rival").body


def test_force_takes_the_field_over(cluster: Cluster, pinned: Pins) -> None:
    cluster.apply(config_map(data=COLOUR), manager="pilot")
    forced = cluster.apply(config_map(data={"colour": "red"}), manager="rival", force=True)
    pinned(forced, managed_fields=True)


def test_a_field_no_longer_applied_is_removed(cluster: Cluster, pinned: Pins) -> None:
    cluster.apply(config_map(data={"colour": "blue", "size": "10"}), manager="pilot")
    cluster.merge("ConfigMap", "settings", {"data": {"shape": "round"}})
    pinned(cluster.apply(config_map(data={"size": "10"}), manager="pilot"), managed_fields=True)


def test_two_managers_own_a_container_each(cluster: Cluster, pinned: Pins) -> None:
    cluster.apply(deployment(replicas=0), manager="pilot")
    side = {
        "name": "side",
        "image": "registry.example/side:1",
        "env": [{"name": "A", "value": "1"}],
    }
    pinned(cluster.apply(_containers(side), manager="mesh"), managed_fields=True)
    pinned(cluster.apply(deployment(replicas=0, version=2), manager="pilot"))
    removed = cluster.apply(_containers(), manager="mesh")
    pinned(removed, managed_fields=True)


def test_a_hand_edit_conflicts_with_the_next_apply(cluster: Cluster, pinned: Pins) -> None:
    cluster.apply(deployment(replicas=0), manager="pilot")
    edit = cluster.strategic("Deployment", "web", image_patch(9), fieldManager="kubectl-set")
    pinned(edit, managed_fields=True)
    pinned(cluster.apply(deployment(replicas=0, version=2), manager="pilot"))
    taken = cluster.apply(deployment(replicas=0, version=2), manager="pilot", force=True)
    pinned(taken, managed_fields=True)


def test_replicas_belong_to_whoever_scales(cluster: Cluster, pinned: Pins) -> None:
    cluster.apply(deployment(replicas=0, paused=True), manager="pilot")
    scale = {"spec": {"replicas": 1}}
    cluster.merge("Deployment", "web", scale, "scale", fieldManager="scaler")
    pinned(cluster.apply(deployment(replicas=0, paused=True), manager="pilot"))
    without = cluster.apply(deployment(replicas=None, paused=True), manager="pilot")
    assert without["spec"]["replicas"] == 1
    entries = [e for e in without["metadata"]["managedFields"] if e["manager"] == "scaler"]
    pinned(entries)


def test_faulty_applies_are_refused(cluster: Cluster, pinned: Pins) -> None:
    path = cluster.path("ConfigMap", "settings")
    pinned(cluster.client.apply(path, config_map(), manager=""))
    applied = cluster.apply(config_map(), manager="pilot").body
    pinned(cluster.client.apply(path, applied, manager="pilot"))
    pinned(cluster.client.apply(path, config_map("other"), manager="pilot"))
    pinned(cluster.client.apply(path, {"metadata": {"name": "settings"}}, manager="pilot"))
    pinned(cluster.apply(config_map() | {"nonsense": 1}, manager="pilot"))
    stale = config_map() | {"metadata": {"name": "settings", "resourceVersion": "1"}}
    pinned(cluster.apply(stale, manager="pilot"))
    missing = config_map("none") | {"metadata": {"name": "none", "uid": "someone"}}
    pinned(cluster.apply(missing, manager="pilot"))
    pinned(cluster.merge("ConfigMap", "settings", {}, fieldManager="x" * 129))


def test_a_dry_run_of_apply_stores_nothing(cluster: Cluster, pinned: Pins) -> None:
    pinned(cluster.apply(config_map(), manager="pilot", dryRun="All"), managed_fields=True)
    assert cluster.get("ConfigMap", "settings").status == 404


def test_an_update_moves_ownership(cluster: Cluster, pinned: Pins) -> None:
    body = cluster.apply(config_map(data={"a": "1", "b": "1"}), manager="pilot").body
    body["data"] = {"a": "2", "c": "1"}
    pinned(cluster.replace(body, fieldManager="editor"), managed_fields=True)
