"""Patches as the API server applies them, directives included."""

from typing import Any

import pytest

from fleet.sandbox import patches
from fleet.sandbox.errors import StatusError
from fleet.sandbox.schema import type_of

POD_SPEC = type_of("v1", "Pod").child("spec")
DEPLOYMENT_SPEC = type_of("apps/v1", "Deployment").child("spec")


def containers(*names: str) -> dict[str, Any]:
    return {"containers": [{"name": name, "image": f"{name}:1"} for name in names]}


def names(spec: dict[str, Any]) -> list[str]:
    return [container["name"] for container in spec["containers"]]


def strategic(original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return patches.strategic_merge_patch(original, patch, POD_SPEC)


def test_a_container_is_found_by_its_name() -> None:
    patch = {"containers": [{"name": "b", "image": "b:2"}]}
    patched = strategic(containers("a", "b"), patch)
    assert [c["image"] for c in patched["containers"]] == ["a:1", "b:2"]


def test_the_original_is_left_alone() -> None:
    original = containers("a")
    strategic(original, {"containers": [{"name": "a", "image": "a:2"}]})
    assert original == containers("a")


def test_an_item_is_deleted_by_directive() -> None:
    patch = {"containers": [{"name": "a", "$patch": "delete"}]}
    assert names(strategic(containers("a", "b"), patch)) == ["b"]


def test_a_list_is_replaced_by_directive() -> None:
    patch = {"containers": [{"$patch": "replace"}, {"name": "c", "image": "c:1"}]}
    assert names(strategic(containers("a", "b"), patch)) == ["c"]


def test_a_map_is_replaced_by_directive() -> None:
    original = {"nodeSelector": {"a": "1", "b": "2"}}
    patch = {"nodeSelector": {"$patch": "replace", "c": "3"}}
    assert strategic(original, patch) == {"nodeSelector": {"c": "3"}}


@pytest.mark.parametrize(
    ("patch", "order"),
    [
        ({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}, ["b", "c", "a"]),
        ({"containers": [{"name": "new"}]}, ["new", "a", "b", "c"]),
        (
            {
                "$setElementOrder/containers": [{"name": "a"}, {"name": "new"}, {"name": "c"}],
                "containers": [{"name": "new"}],
            },
            ["a", "new", "b", "c"],
        ),
    ],
)
def test_the_order_of_a_patch_comes_before_the_order_of_the_list(
    patch: dict[str, Any], order: list[str]
) -> None:
    assert names(strategic(containers("a", "b", "c"), patch)) == order


def test_primitives_are_deleted_from_a_list() -> None:
    meta = type_of("v1", "Pod").child("metadata")
    patch = {"$deleteFromPrimitiveList/finalizers": ["b"]}
    patched = patches.strategic_merge_patch({"finalizers": ["a", "b"]}, patch, meta)
    assert patched == {"finalizers": ["a"]}


def test_retained_keys_drop_the_others() -> None:
    original = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    patched = patches.strategic_merge_patch(original, patch, DEPLOYMENT_SPEC)
    assert patched == {"strategy": {"type": "Recreate"}}


def test_an_atomic_list_is_replaced() -> None:
    patched = strategic(
        {"containers": [{"name": "a", "args": ["1", "2"]}]},
        {"containers": [{"name": "a", "args": ["3"]}]},
    )
    assert patched["containers"][0]["args"] == ["3"]


def test_an_item_without_its_merge_key_is_refused() -> None:
    with pytest.raises(StatusError) as refused:
        strategic(containers("a"), {"containers": [{"image": "b:2"}]})
    assert refused.value.message == "map: map[image:b:2] does not contain declared merge key: name"


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_follow_rfc_7386(original: Any, patch: Any, result: Any) -> None:
    assert patches.merge_patch(original, patch) == result


def test_json_patches_apply_in_order_or_not_at_all() -> None:
    original = {"spec": {"replicas": 1}}
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
        {"op": "add", "path": "/metadata", "value": {}},
    ]
    assert patches.json_patch(original, operations) == {"spec": {"replicas": 2}, "metadata": {}}
    operations[0]["value"] = 7
    with pytest.raises(StatusError) as refused:
        patches.json_patch(original, operations)
    assert (refused.value.code, original) == (422, {"spec": {"replicas": 1}})
