"""What a client can send wrongly, and the status code it gets: the catalogue's REST part."""

import json
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from tests import factories as make
from tests.api.conftest import V1, pointers, problem


def post(client: APIClient, body: bytes | str, path: str = "/rollouts", **extra: Any) -> Any:
    extra.setdefault("content_type", "application/json")
    return client.post(f"{V1}{path}", body, **extra)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"release": ', "malformed_json"),
        (b"\xff\xfe{}", "malformed_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "malformed_json"),
        (b"[" * 100 + b"]" * 100, "too_deep"),
        (b"[" * 400_000, "too_deep"),
        (b'{"a": NaN}', "not_a_number"),
        (b'{"a": -Infinity}', "not_a_number"),
        (b'{"a": 1e999}', "not_a_number"),
        (b'{"reason": "a\\u0000b"}', "nul_character"),
        (b'{"a\\u0000b": 1}', "nul_character"),
        (b'{"reason": "\\ud800"}', "lone_surrogate"),
        (b'{"reason": "a", "reason": "b"}', "duplicate_member"),
    ],
)
def test_what_is_not_sound_json_is_refused(operator: APIClient, body: bytes, code: str) -> None:
    problem(post(operator, body), 400, code)


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/xml"]
)
def test_other_media_types_are_refused(operator: APIClient, kind: str) -> None:
    problem(post(operator, "a=b", content_type=kind), 415, "unsupported_media_type")


def test_a_body_over_the_limit_is_refused(operator: APIClient, settings: Any) -> None:
    body = json.dumps({"reason": "x" * settings.API_MAX_BODY_BYTES})
    problem(post(operator, body), 413, "too_large")


def test_unknown_fields_are_named(operator: APIClient) -> None:
    response = post(operator, '{"colour": "red"}')
    problem(response, 400, "invalid")
    assert pointers(response) == {"/colour": "unknown_field"}


@pytest.mark.parametrize("field", ["state", "fence", "id", "plan"])
def test_fields_of_the_engine_cannot_be_given(operator: APIClient, field: str) -> None:
    response = post(operator, json.dumps({field: "succeeded"}))
    problem(response, 400, "invalid")
    assert pointers(response) == {f"/{field}": "read_only"}


def test_nested_unknown_fields_are_named_too(operator: APIClient, world: SimpleNamespace) -> None:
    body = {"release": str(world.new.pk), "placement": str(world.placement.pk)}
    response = post(operator, json.dumps({**body, "parameters": {"speed": 3}}))
    problem(response, 400, "invalid")
    assert pointers(response) == {"/parameters/speed": "unknown_field"}


@pytest.mark.parametrize("body", ["[]", "3", '"text"', "null"])
def test_a_body_that_is_no_object_is_refused(operator: APIClient, body: str) -> None:
    problem(post(operator, body), 400, "invalid")


def test_ids_of_nothing_and_of_others_answer_alike(
    operator: APIClient, world: SimpleNamespace
) -> None:
    others = make.make_release()
    for release in (others.pk, uuid4()):
        body = {"release": str(release), "placement": str(world.placement.pk)}
        response = post(operator, json.dumps(body))
        problem(response, 404, "not_found")
        assert pointers(response) == {"/release": "not_found"}


def test_an_id_that_is_no_uuid_is_refused(operator: APIClient) -> None:
    problem(operator.get(f"{V1}/rollouts/12"), 404, "not_found")
    problem(operator.get(f"{V1}/rollouts/%00"), 404, "not_found")
    response = post(operator, '{"release": "12", "placement": 3}')
    problem(response, 400, "invalid")
    assert set(pointers(response)) == {"/release", "/placement"}


def test_unknown_methods_are_refused(operator: APIClient, world: SimpleNamespace) -> None:
    for method in (operator.put, operator.delete, operator.options, operator.patch):
        response = method(f"{V1}/releases/{world.new.pk}", {})
        problem(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "query",
    [
        "cluster__credentials__contains=a", "placement__cluster__credentials=a", "format=json",
        "state__in=queued", "_method=DELETE",
    ],
)  # fmt: skip
def test_unknown_parameters_are_refused(operator: APIClient, query: str) -> None:
    response = operator.get(f"{V1}/rollouts?{query}")
    problem(response, 400, "invalid")
    assert pointers(response) == {f"/{query.split('=')[0]}": "unknown_parameter"}


def test_single_objects_take_no_parameters(operator: APIClient, world: SimpleNamespace) -> None:
    problem(operator.get(f"{V1}/services/{world.service.pk}?name=other"), 400, "invalid")


@pytest.mark.parametrize(
    "query",
    ["state=flying", "service=12", "active=perhaps", "ordering=plan", "page_size=many",
     "page_size=0", "search=%00"],
)  # fmt: skip
def test_wrong_values_of_parameters_are_refused(operator: APIClient, query: str) -> None:
    response = operator.get(f"{V1}/rollouts?{query}")
    problem(response, 400, "invalid")
    assert response.json()["errors"][0]["pointer"].lstrip("/") in ("", query.split("=")[0])


def test_huge_pages_are_cut_and_forged_ones_not_found(
    operator: APIClient, world: SimpleNamespace
) -> None:
    for _ in range(205):
        make.make_rollout(world.placement, world.new, state="aborted")
    page = operator.get(f"{V1}/rollouts?page_size=1000000000").json()
    assert (len(page["results"]), page["count"]) == (200, 206)
    for forged in ("0", "-1", "99999999999999999999", "first", "%00"):
        problem(operator.get(f"{V1}/rollouts?page={forged}"), 404, "not_found")


@pytest.mark.parametrize("query", ["api_key=x", "token=x", "next=ph_0123456789abcdef.secret"])
def test_keys_in_addresses_are_refused_before_anything_else(query: str, db: None) -> None:
    problem(APIClient().get(f"{V1}/me?{query}"), 400, "key_in_address")


def test_addresses_of_nothing_are_problems_too(operator: APIClient) -> None:
    for path in ("/unknown", "/rollouts/", "/clusters/x/y/z"):
        problem(operator.get(f"{V1}{path}"), 404, "not_found")


def test_what_cannot_be_produced_is_refused(operator: APIClient) -> None:
    problem(operator.get(f"{V1}/me", HTTP_ACCEPT="text/html"), 406, "not_acceptable")


@pytest.mark.parametrize(
    ("manifests", "images"),
    [
        ([], {}), ([{}], {}), ([{"kind": 3}], {"a": "b"}), ([{"kind": "Deployment"}], {}),
        ([make.make_deployment()], {"web": "registry.example/web:latest"}),
        ([make.make_deployment()], {"web": "registry.example/web@md5:0123"}),
        ([{**make.make_deployment(), "spec": []}], {}),
        ([{**make.make_deployment(), "metadata": None}], {}),
        ([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}], {}),
    ],
)  # fmt: skip
def test_releases_that_break_a_rule_are_refused(
    operator: APIClient, world: SimpleNamespace, manifests: list, images: dict
) -> None:
    body = {"service": str(world.service.pk), "version": "9.9.9"}
    body |= {"manifests": manifests, "images": images}
    response = post(operator, json.dumps(body), "/releases")
    assert response.status_code in (400, 422), response.content
    assert response.json()["errors"], "the mistake is pointed at"


def test_an_unpinned_image_is_unprocessable(operator: APIClient, world: SimpleNamespace) -> None:
    body = {"service": str(world.service.pk), "version": "9.9.9"}
    body |= {"manifests": [make.make_deployment()], "images": {"web": "registry.example/web:1"}}
    response = post(operator, json.dumps(body), "/releases")
    problem(response, 422)
    assert any(pointer.startswith("/images/web") for pointer in pointers(response))


def test_a_content_length_that_is_no_number_is_refused(operator: APIClient) -> None:
    problem(post(operator, "{}", CONTENT_LENGTH="many"), 400)
