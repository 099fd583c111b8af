"""Server-side apply: owners, conflicts, and what disappears when nobody wants it any longer."""

from typing import Any

import pytest

from fleet.sandbox import apply, field_sets
from fleet.sandbox.errors import StatusError
from fleet.sandbox.managed_fields import Manager, Ownership, record_update
from fleet.sandbox.schema import type_of

SCHEMA = type_of("apps/v1", "Deployment")
STATUS = {("f:status",)}
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"
IMAGE = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"web"}', "f:image")


def applier(name: str) -> Manager:
    return Manager(name, "Apply", "apps/v1")


def updater(name: str) -> Manager:
    return Manager(name, "Update", "apps/v1")


def config(image: str = "", **spec: Any) -> dict[str, Any]:
    if image:
        spec["template"] = {"spec": {"containers": [{"name": "web", "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}


def applied(
    live: dict[str, Any] | None, wanted: dict[str, Any], by: str, *, force: bool = False
) -> dict[str, Any]:
    empty = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}}
    merged, owners = apply.apply(
        live or empty, wanted, SCHEMA, applier(by), NOW, STATUS, force=force
    )
    merged["metadata"] = {**merged["metadata"], "managedFields": owners}
    return merged


def edited(live: dict[str, Any], by: str, **spec: Any) -> dict[str, Any]:
    new = {**live, "metadata": dict(live["metadata"]), "spec": {**live["spec"], **spec}}
    del new["metadata"]["managedFields"]
    owners = record_update(live, new, SCHEMA, updater(by), LATER, STATUS)
    new["metadata"]["managedFields"] = owners
    return new


def owned(obj: dict[str, Any], manager: Manager) -> set[tuple[str, ...]]:
    return Ownership.of(obj).fields_of(manager)


def test_an_applier_owns_what_it_named() -> None:
    obj = applied(None, config("web:1", replicas=2), "pilot")
    assert ("f:spec", "f:replicas") in owned(obj, applier("pilot"))
    assert IMAGE in owned(obj, applier("pilot"))


def test_a_field_left_out_later_disappears() -> None:
    obj = applied(None, config("web:1", replicas=2, minReadySeconds=5), "pilot")
    obj = applied(obj, config("web:1", replicas=2), "pilot")
    assert "minReadySeconds" not in obj["spec"]


def test_a_field_somebody_else_wants_too_stays() -> None:
    obj = applied(None, config(replicas=2, minReadySeconds=5), "pilot")
    obj = applied(obj, config(minReadySeconds=5), "other")
    obj = applied(obj, config(replicas=2), "pilot")
    assert obj["spec"]["minReadySeconds"] == 5
    assert owned(obj, applier("other")) == {("f:spec", "f:minReadySeconds")}


def test_a_conflict_names_the_manager_and_the_field() -> None:
    obj = applied(None, config(replicas=2), "pilot")
    with pytest.raises(StatusError) as refused:
        applied(obj, config(replicas=3), "other")
    assert refused.value.message == (
        'Apply failed with 1 conflict: conflict with "pilot": .spec.replicas'
    )
    assert refused.value.details == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "pilot"',
                "field": ".spec.replicas",
            }
        ]
    }


def test_several_conflicts_are_listed_by_manager() -> None:
    obj = edited(applied(None, config("web:1", replicas=2), "pilot"), "kubectl-edit", replicas=5)
    with pytest.raises(StatusError) as refused:
        applied(obj, config("web:2", replicas=3), "other")
    assert refused.value.message == (
        "Apply failed with 2 conflicts: "
        'conflicts with "kubectl-edit" using apps/v1:\n- .spec.replicas\n'
        'conflicts with "pilot":\n- .spec.template.spec.containers[name="web"].image'
    )


def test_force_takes_the_field_over() -> None:
    obj = applied(None, config(replicas=2), "pilot")
    obj = applied(obj, config(replicas=3), "other", force=True)
    assert obj["spec"]["replicas"] == 3
    assert owned(obj, applier("pilot")) == set()


def test_two_managers_may_agree() -> None:
    obj = applied(None, config(replicas=2), "pilot")
    obj = applied(obj, config(replicas=2), "other")
    assert owned(obj, applier("pilot")) == owned(obj, applier("other"))


def test_an_update_takes_what_it_changes() -> None:
    obj = edited(applied(None, config("web:1", replicas=2), "pilot"), "scaler", replicas=7)
    assert owned(obj, updater("scaler")) == {("f:spec", "f:replicas")}
    assert ("f:spec", "f:replicas") not in owned(obj, applier("pilot"))


def test_two_managers_own_a_container_each() -> None:
    obj = applied(None, config("web:1"), "pilot")
    side = {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}
    obj = applied(obj, config(**side), "mesh")
    assert [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]] == ["web", "side"]
    obj = applied(obj, config(**{"template": {"spec": {"containers": []}}}), "mesh")
    assert [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]] == ["web"]


def test_applying_the_same_again_changes_nothing() -> None:
    obj = applied(None, config("web:1", replicas=2), "pilot")
    again, owners = apply.apply(
        obj, config("web:1", replicas=2), SCHEMA, applier("pilot"), LATER, STATUS, force=False
    )
    assert owners == obj["metadata"]["managedFields"]
    assert again["spec"] == obj["spec"]


def test_kubectl_may_change_what_it_applied_on_the_client_side() -> None:
    last = '{"spec":{"replicas":2}}'
    live = applied(None, config(replicas=2), "kubectl-client-side-apply")
    live["metadata"]["annotations"] = {apply.LAST_APPLIED: last}
    assert applied(live, config(replicas=4), "kubectl")["spec"]["replicas"] == 4
    with pytest.raises(StatusError):
        applied(live, config(replicas=4), "somebody")


def test_field_sets_survive_their_encoding() -> None:
    fields = field_sets.fields_of(config("web:1", replicas=2), SCHEMA)
    assert field_sets.decode(field_sets.encode(fields)) == fields


def test_an_atomic_value_is_one_field() -> None:
    selector = config(selector={"matchLabels": {"a": "b"}})
    assert ("f:spec", "f:selector") in field_sets.fields_of(selector, SCHEMA)


def test_a_port_is_identified_with_its_default_protocol() -> None:
    ports = type_of("v1", "Pod").child("spec").child("containers").element.child("ports")
    name = field_sets.element_of({"containerPort": 80}, ports)
    assert name == 'k:{"containerPort":80,"protocol":"TCP"}'


def test_the_oldest_of_many_updaters_are_lumped_together() -> None:
    obj = applied(None, config(replicas=0), "pilot")
    for number in range(1, 15):
        obj = edited(
            obj,
            f"editor-{number:02}",
            **{"template": {"metadata": {"labels": {f"l{label}": "x" for label in range(number)}}}},
        )
    names = [entry["manager"] for entry in obj["metadata"]["managedFields"]]
    assert names.count("ancient-changes") == 1
    assert len([n for n in names if n != "pilot"]) <= 11
