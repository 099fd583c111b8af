"""Rendering: pinned images, suffixed config, overrides; the same input gives the same output."""

import copy

import pytest

from deploy.render import PLACEMENT_LABEL, Target, render
from portal.base.problems import Invalid
from tests.factories import digest, make_deployment

PIN = f"registry.example/web@{digest('web')}"
TARGET = Target("prod", "0190-placement")


def rendered(**given):
    values = {"manifests": [make_deployment(image="web:1.4")], "images": {"web": PIN}, "config": {}}
    return render(**{**values, "target": TARGET, **given})


def deployment(objects):
    return next(obj for obj in objects if obj["kind"] == "Deployment")


def test_an_image_is_pinned_by_its_name_whatever_tag_the_manifest_gives():
    spec = deployment(rendered())["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == PIN


def test_a_registry_port_is_not_taken_for_a_tag():
    name = "registry.example:5000/team/web"
    pin = f"{name}@{digest('x')}"
    objects = rendered(manifests=[make_deployment(image=f"{name}:2")], images={name: pin})
    assert deployment(objects)["spec"]["template"]["spec"]["containers"][0]["image"] == pin


@pytest.mark.parametrize(
    ("images", "code"),
    [
        ({}, "unpinned_image"),
        ({"web": "registry.example/web:latest"}, "unpinned_image"),
        ({"web": "registry.example/web@md5:0123"}, "digest"),
        ({"web": "registry.example/web@sha256:abc"}, "digest"),
        ([], "type"),
    ],
)
def test_an_image_that_is_not_pinned_by_sha256_is_refused(images, code):
    with pytest.raises(Invalid) as refusal:
        rendered(images=images)
    assert refusal.value.code == code
    assert refusal.value.errors[0].pointer.startswith("/images")


def test_config_is_named_after_its_content_and_references_follow():
    manifest = make_deployment(image="web", envFrom=[{"configMapRef": {"name": "web-config"}}])
    manifest["spec"]["template"]["spec"]["volumes"] = [
        {"name": "a", "configMap": {"name": "web-config"}},
        {"name": "b", "projected": {"sources": [{"configMap": {"name": "web-config"}}]}},
        {"name": "c", "configMap": {"name": "somebody-elses"}},
    ]
    first = rendered(manifests=[manifest], config={"web-config": {"LIMIT": "500"}})
    second = rendered(manifests=[manifest], config={"web-config": {"LIMIT": "900"}})
    names = [obj["metadata"]["name"] for obj in (first[0], second[0])]
    assert names[0] != names[1]
    assert all(name.startswith("web-config-") for name in names)
    spec = deployment(first)["spec"]["template"]["spec"]
    assert spec["containers"][0]["envFrom"][0]["configMapRef"]["name"] == names[0]
    assert [v.get("configMap", {}).get("name") for v in spec["volumes"]] == [
        names[0],
        None,
        "somebody-elses",
    ]
    assert spec["volumes"][1]["projected"]["sources"][0]["configMap"]["name"] == names[0]


def test_every_object_and_pod_carries_the_placement_and_nothing_that_changes():
    objects = rendered(config={"web-config": {"A": "1"}})
    assert {obj["metadata"]["namespace"] for obj in objects} == {"prod"}
    assert {obj["metadata"]["labels"][PLACEMENT_LABEL] for obj in objects} == {TARGET.placement_id}
    template = deployment(objects)["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "web", PLACEMENT_LABEL: TARGET.placement_id}
    assert deployment(objects)["spec"]["selector"] == {"matchLabels": {"app": "web"}}


def test_rendering_is_pure():
    manifests = [make_deployment(image="web")]
    before = copy.deepcopy(manifests)
    assert rendered(manifests=manifests) == rendered(manifests=manifests)
    assert manifests == before


def test_overrides_of_the_placement_win():
    target = Target(
        "prod",
        "p",
        {
            "replicas": {"web": 7},
            "resources": {"web/web": {"limits": {"cpu": "2"}}},
            "patches": [
                {"kind": "Deployment", "name": "web", "patch": {"spec": {"minReadySeconds": 5}}},
                {"kind": "Deployment", "name": "other", "patch": {"spec": {"replicas": 0}}},
            ],
        },
    )
    spec = deployment(rendered(target=target))["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (7, 5)
    assert spec["template"]["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("manifest", "pointer"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, "/manifests/1/kind"),
        ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "s"}}, "/manifests/1/kind"),
        ({"kind": "Service", "metadata": {"name": "s"}}, "/manifests/1"),
        (
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "Web"}},
            "/manifests/1/metadata/name",
        ),
        (
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": []},
            "/manifests/1/spec",
        ),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}},
            "/manifests/1/spec",
        ),
        (make_deployment(image="web"), "/manifests/1/metadata/name"),
    ],
)
def test_what_cannot_be_rolled_out_is_refused_with_its_place(manifest, pointer):
    with pytest.raises(Invalid) as refusal:
        rendered(manifests=[make_deployment(image="web"), manifest])
    assert [problem.pointer for problem in refusal.value.errors] == [pointer]


def test_a_release_without_a_deployment_is_refused():
    with pytest.raises(Invalid, match="at least one Deployment"):
        rendered(manifests=[])
