"""The gateway against Kubernetes itself and against the sandbox, which must agree."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.kube import errors, projections
from fleet.kube.connect import Endpoint, endpoint_from_kubeconfig, gateway_for
from fleet.kube.gateway import Gateway
from tests.controlplane.fixtures import MISSING, Target
from tests.controlplane.plane import Plane, binaries_directory
from tests.kube.faulty_apiserver import FaultyApiserver, forward_then_hang_up, freeze_stream, refuse
from tests.kube.watching import PODS, Store, eventually, running

ME = {"field_manager": "pilothouse"}


@pytest.fixture
def endpoint(target: Target) -> Endpoint:
    return Endpoint(target.server, target.ca_pem, token=target.token)


@pytest.fixture
def gateway(endpoint: Endpoint) -> Gateway:
    return gateway_for(endpoint)


@pytest.fixture
def namespace(gateway: Gateway) -> Iterator[str]:
    name = f"kube-{uuid.uuid4().hex[:8]}"
    gateway.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, **ME)
    yield name
    gateway.delete("v1", "Namespace", None, name)


def deployment(namespace: str, replicas: int = 2, **changes: Any) -> dict[str, Any]:
    labels = {"app": "asr", projections.PLACEMENT_LABEL: "p-1"}
    container = {
        "name": "asr",
        "image": changes.get("image", "registry.example/asr@sha256:" + "0" * 64),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "asr", **changes.get("metadata", {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "asr"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def config_map(namespace: str, name: str = "settings", **data: str) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def raised(call: Callable[..., Any], *args: Any, **kwargs: Any) -> errors.KubeError:
    with pytest.raises(errors.KubeError) as caught:
        call(*args, **kwargs)
    return caught.value


class TestReading:
    def test_it_tells_its_version(self, gateway):
        assert gateway.version()["major"] == "1"

    def test_the_kubeconfig_that_targets_hand_out_passes_the_allow_list(self, target):
        text = Path(target.kubeconfig).read_text()
        endpoint = endpoint_from_kubeconfig(text, allow_loopback=True)
        assert gateway_for(endpoint).version()["major"] == "1"

    def test_a_missing_object_is_not_found(self, gateway, namespace):
        error = raised(gateway.get, "v1", "ConfigMap", namespace, "nothing")
        assert type(error) is errors.NotFound
        assert 'configmaps "nothing" not found' in str(error)

    def test_a_missing_kind_is_not_found(self, gateway, namespace):
        assert type(raised(gateway.get, "apps/v1", "Nothing", namespace, "x")) is errors.NotFound
        assert type(raised(gateway.get, "none.example/v1", "X", namespace, "x")) is errors.NotFound

    def test_lists_are_whole_however_small_their_pages(self, gateway, namespace):
        for n in range(7):
            gateway.create(config_map(namespace, f"c{n}"), **ME)
        found = gateway.list("v1", "ConfigMap", namespace, limit=3)
        names = {item["metadata"]["name"] for item in found}
        assert {f"c{n}" for n in range(7)} <= names

    def test_selectors_choose(self, gateway, namespace):
        gateway.create(config_map(namespace, "a"), **ME)
        gateway.create(config_map(namespace, "b"), **ME)
        (only,) = gateway.list("v1", "ConfigMap", namespace, field_selector="metadata.name=b")
        assert only["metadata"]["name"] == "b"
        assert only["kind"] == "ConfigMap"

    def test_nonsense_tokens_are_unauthorized(self, endpoint):
        stranger = gateway_for(replace(endpoint, token="nonsense"))
        assert type(raised(stranger.get, "v1", "Node", None, "x")) is errors.Unauthorized

    def test_it_knows_what_it_may(self, gateway, namespace):
        assert gateway.can_i("patch", "apps", "deployments", namespace).allowed


class TestApplying:
    def test_apply_creates_and_changes(self, gateway, namespace):
        created = gateway.apply(deployment(namespace), **ME)
        assert created["metadata"]["uid"]
        changed = gateway.apply(deployment(namespace, 3), **ME)
        assert changed["metadata"]["uid"] == created["metadata"]["uid"]
        assert gateway.get("apps/v1", "Deployment", namespace, "asr")["spec"]["replicas"] == 3

    def test_a_dry_run_stores_nothing(self, gateway, namespace):
        shown = gateway.apply(deployment(namespace), dry_run=True, **ME)
        assert shown["spec"]["progressDeadlineSeconds"] == 600, "defaults are shown"
        error = raised(gateway.get, "apps/v1", "Deployment", namespace, "asr")
        assert type(error) is errors.NotFound

    def test_anothers_field_is_a_conflict_that_names_both(self, gateway, namespace):
        gateway.apply(deployment(namespace), **ME)
        gateway.patch_merge(
            "apps/v1", "Deployment", namespace, "asr", {"spec": {"replicas": 9}},
            field_manager="kubectl-scale",
        )  # fmt: skip
        error = raised(gateway.apply, deployment(namespace), **ME)
        assert isinstance(error, errors.FieldConflict)
        assert error.owner == "kubectl-scale"
        assert error.fields == [".spec.replicas"]
        assert "kubectl-scale owns .spec.replicas" in str(error)
        assert gateway.apply(deployment(namespace), force=True, **ME)["spec"]["replicas"] == 2

    def test_a_stale_version_is_a_conflict(self, gateway, namespace):
        old = gateway.apply(deployment(namespace), **ME)["metadata"]["resourceVersion"]
        gateway.apply(deployment(namespace, 3), **ME)
        stale = deployment(namespace, 4, metadata={"resourceVersion": old})
        assert type(raised(gateway.apply, stale, **ME)) is errors.Conflict

    def test_creating_twice_is_a_conflict(self, gateway, namespace):
        gateway.create(config_map(namespace), **ME)
        error = raised(gateway.create, config_map(namespace), **ME)
        assert type(error) is errors.Conflict
        assert error.status["reason"] == "AlreadyExists"

    def test_an_invalid_object_points_at_its_fault(self, gateway, namespace):
        error = raised(gateway.apply, deployment(namespace, -1), **ME)
        assert isinstance(error, errors.Invalid)
        assert (error.field, error.pointer) == ("spec.replicas", "/spec/replicas")

    def test_a_namespace_that_is_missing_is_not_found(self, gateway):
        assert type(raised(gateway.apply, deployment("nowhere"), **ME)) is errors.NotFound


class TestPatching:
    def test_a_json_patch_whose_test_holds(self, gateway, namespace):
        gateway.create(config_map(namespace, fence="1"), **ME)
        ops = [
            {"op": "test", "path": "/data/fence", "value": "1"},
            {"op": "replace", "path": "/data/fence", "value": "2"},
        ]
        patched = gateway.patch_json("v1", "ConfigMap", namespace, "settings", ops, **ME)
        assert patched["data"] == {"fence": "2"}

    def test_a_json_patch_whose_test_fails_changes_nothing(self, gateway, namespace):
        gateway.create(config_map(namespace, fence="5"), **ME)
        ops = [
            {"op": "test", "path": "/data/fence", "value": "1"},
            {"op": "replace", "path": "/data/fence", "value": "2"},
        ]
        error = raised(gateway.patch_json, "v1", "ConfigMap", namespace, "settings", ops, **ME)
        assert type(error) is errors.Conflict
        assert gateway.get("v1", "ConfigMap", namespace, "settings")["data"] == {"fence": "5"}

    def test_merge_patches_remove_with_none(self, gateway, namespace):
        gateway.create(config_map(namespace, a="1", b="2"), **ME)
        patch = {"data": {"a": None}}
        shown = gateway.patch_merge(
            "v1", "ConfigMap", namespace, "settings", patch, dry_run=True, **ME
        )
        assert shown["data"] == {"b": "2"}
        assert len(gateway.get("v1", "ConfigMap", namespace, "settings")["data"]) == 2

    def test_the_scale_subresource(self, gateway, namespace):
        gateway.apply(deployment(namespace, 1), **ME)
        scale = gateway.patch_merge(
            "apps/v1", "Deployment", namespace, "asr", {"spec": {"replicas": 2}},
            subresource="scale", **ME,
        )  # fmt: skip
        assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)


class TestDeleting:
    def test_only_the_object_that_was_meant(self, gateway, namespace):
        uid = gateway.create(config_map(namespace), **ME)["metadata"]["uid"]
        delete = gateway.delete
        wrong = raised(delete, "v1", "ConfigMap", namespace, "settings", uid=str(uuid.uuid4()))
        assert type(wrong) is errors.Conflict
        delete("v1", "ConfigMap", namespace, "settings", uid=uid)
        gone = raised(delete, "v1", "ConfigMap", namespace, "settings")
        assert type(gone) is errors.NotFound


@pytest.mark.controlplane
class TestRights:
    """Only the real control plane has an authoriser worth asking."""

    @pytest.fixture
    def viewer(self, plane: Plane) -> Gateway:
        return gateway_for(Endpoint(plane.server, plane.ca_pem, token=plane.viewer_token))

    def test_forbidden_names_the_missing_right(self, viewer):
        error = raised(viewer.get, "apps/v1", "Deployment", "default", "asr")
        assert isinstance(error, errors.Forbidden)
        assert (error.verb, error.resource) == ("get", "deployments")
        assert error.missing == 'get deployments.apps in the namespace "default"'

    def test_forbidden_to_list_nodes(self, viewer):
        error = raised(lambda: list(viewer.list("v1", "Node")))
        assert isinstance(error, errors.Forbidden)
        assert error.missing == "list nodes at the cluster scope"

    def test_a_review_says_no(self, viewer):
        assert not viewer.can_i("list", "", "nodes").allowed

    def test_reading_secrets_is_a_right_of_its_own(self, viewer):
        assert not viewer.can_i("list", "", "secrets", "default").allowed


class TestWatching:
    """All watched kinds on true targets, through a proxy that breaks things."""

    @pytest.fixture
    def proxy(self, endpoint: Endpoint) -> Iterator[FaultyApiserver]:
        with FaultyApiserver(upstream=endpoint) as faulty:
            yield faulty

    def pods_of(self, store: Store, namespace: str) -> list[dict[str, Any]]:
        return [c.projection for c in store.objects.values() if c.namespace == namespace]

    def test_pods_become_ready(self, gateway, endpoint, namespace):
        store = Store()
        with running(endpoint, store, replace(PODS, label_selector=projections.PLACEMENT_LABEL)):
            gateway.apply(deployment(namespace, 3), **ME)
            eventually(lambda: sum(p["ready"] for p in self.pods_of(store, namespace)) == 3, 60)
            (one, *_) = self.pods_of(store, namespace)
            assert one["phase"] == "Running"
            assert one["requests"] == {"cpu_cores": 0.1, "memory_bytes": 64 * 2**20, "gpus": 0}
            assert one["owner"]["kind"] == "ReplicaSet"
            assert one["template_hash"] and one["node"] and one["ready_since"]
            assert one["placement"] == "p-1"
            gateway.delete("apps/v1", "Deployment", namespace, "asr")
            eventually(lambda: not self.pods_of(store, namespace), 60)

    @pytest.mark.parametrize("watched", projections.WATCHED, ids=lambda w: w.kind)
    def test_every_watched_kind_can_be_listed_and_watched(self, endpoint, watched):
        store = Store()
        with running(endpoint, store, watched):
            eventually(lambda: ("live", "") in store.states)
        assert not any("unreadable" in c.projection for c in store.objects.values())

    def test_a_deployments_progress_is_told(self, gateway, endpoint, namespace):
        store = Store()
        (watched,) = (w for w in projections.WATCHED if w.kind == "Deployment")
        with running(endpoint, store, watched):
            gateway.apply(deployment(namespace, 2), **ME)
            eventually(lambda: self.available(store, namespace) == 2, 60)
            (found,) = self.pods_of(store, namespace)
        assert found["observed_generation"] == found["generation"] == 1
        assert (found["desired"], found["updated"], found["revision"]) == (2, 2, "1")
        assert {c["type"] for c in found["conditions"]} == {"Available", "Progressing"}

    def available(self, store: Store, namespace: str) -> int:
        return sum(d["available"] for d in self.pods_of(store, namespace))

    def test_trouble_of_every_sort_and_the_picture_is_still_true(self, gateway, proxy, namespace):
        watch = {"watch": "true"}
        proxy.on("GET", "/api/v1/pods", refuse(500, "InternalError", "boom"), times=2, query=watch)
        proxy.on("GET", "/api/v1/pods", freeze_stream(), times=1, query=watch)
        proxy.on("GET", "/api/v1/pods", refuse(410, "Expired", "old"), times=1, query=watch)
        store = Store()
        with running(proxy.endpoint, store, idle=1.0):
            gateway.apply(deployment(namespace, 3), **ME)
            eventually(lambda: sum(p["ready"] for p in self.pods_of(store, namespace)) == 3, 60)
            gateway.apply(deployment(namespace, 1), **ME)
            eventually(lambda: len(self.pods_of(store, namespace)) == 1, 60)

    def test_the_audit_of_a_true_picture_finds_nothing(self, gateway, proxy, namespace):
        store = Store()
        gateway.apply(deployment(namespace, 2), **ME)
        with running(proxy.endpoint, store, audit=0.2, watch_min=1.0, watch_max=1.0):
            eventually(lambda: self.exact_lists(proxy) >= 3, 30)
        assert store.drifts == []

    def exact_lists(self, proxy: FaultyApiserver) -> int:
        return len([e for e in proxy.seen if e.query.get("resourceVersionMatch") == "Exact"])

    def test_a_lost_answer_is_an_unknown_outcome_though_it_happened(
        self, gateway, proxy, namespace
    ):
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/asr"
        proxy.on("PATCH", path, forward_then_hang_up, times=1)
        through = gateway_for(proxy.endpoint)
        error = raised(through.apply, deployment(namespace), **ME)
        assert type(error) is errors.UnknownOutcome
        assert gateway.get("apps/v1", "Deployment", namespace, "asr")["metadata"]["uid"]
        assert len(proxy.arrived("PATCH", path)) == 1


@pytest.mark.controlplane
def test_a_killed_apiserver_is_followed_again_when_it_returns():
    """A real one, with a plane of its own, since it is killed."""
    if binaries_directory() is None:
        pytest.skip(MISSING)
    (watched,) = (w for w in projections.WATCHED if w.kind == "Deployment")
    store = Store()
    with Plane() as plane:
        endpoint = Endpoint(plane.server, plane.ca_pem, token=plane.token)
        gateway = gateway_for(endpoint)
        with running(endpoint, store, watched):
            gateway.apply(deployment("default", 1), **ME)
            eventually(lambda: store.names() == {"asr"})
            plane.kill_apiserver()
            eventually(lambda: store.states[-1][0] in ("reconnecting", "stale"))
            lost = raised(gateway.apply, deployment("default", 2), **ME)
            assert type(lost) is errors.Unavailable, "refused connections change nothing"
            plane.restart_apiserver()
            gateway.apply(deployment("default", 3), **ME)
            eventually(lambda: [c.projection["desired"] for c in store.objects.values()] == [3], 30)
            assert store.states[-1] == ("live", "")
