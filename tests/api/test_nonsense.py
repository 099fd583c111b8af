"""Nonsense of every shape at every door: whatever is sent, the answer is a problem, never a 500."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from tests import factories as make
from tests.api.conftest import V1

ODD_TEXT = st.sampled_from(
    ["", " ", "a" * 5000, "../etc", "%", "'; --", "\u202e", "𝟚", "null", "1e400", "::", "-", "/",
     "a/b", "~", "default", "asr", "apps/v1", "Deployment", "ConfigMap", "web"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
    | ODD_TEXT
)  # fmt: skip
MANIFEST_KEYS = st.sampled_from(
    ["apiVersion", "kind", "metadata", "name", "namespace", "spec", "template", "containers",
     "image", "replicas", "labels", "data", "web"]
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MANIFEST_KEYS, inner, max_size=4),
    max_leaves=12,
)
FIELDS = {
    "/releases": ("service", "version", "manifests", "images", "config", "model_id", "provenance"),
    "/rollouts": ("release", "placement", "reason", "parameters"),
    "/placements": ("service", "cluster", "namespace", "overrides"),
    "/services": ("team", "name", "description", "runbook_url"),
    "/clusters": ("name", "region", "provider", "environment", "kubeconfig", "server", "token"),
}  # fmt: skip
PARAMETERS = ("state", "active", "service", "cluster", "search", "ordering", "page", "page_size",
              "at_after", "spot", "name", "version", "verb")  # fmt: skip
QUIET = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def sound(world: SimpleNamespace) -> dict[str, Any]:
    """A sound value for every field; nonsense replaces some of them."""
    return {
        "service": str(world.service.pk), "release": str(world.new.pk), "team": str(world.team.pk),
        "placement": str(world.placement.pk), "cluster": str(world.cluster.pk), "version": "9",
        "manifests": [make.make_deployment()], "images": {}, "config": {}, "name": "new",
        "namespace": "other", "overrides": {}, "parameters": {}, "provider": "edge",
        "server": "https://10.255.255.1", "token": "t",
    }  # fmt: skip


@pytest.mark.parametrize("path", FIELDS)
@given(data=st.data())
@QUIET
def test_bodies(path: str, data: Any, root: APIClient, sound: dict[str, Any]) -> None:
    wrong = data.draw(st.dictionaries(st.sampled_from(FIELDS[path]), JSON, min_size=1))
    body = {name: sound[name] for name in FIELDS[path] if name in sound} | wrong
    if path == "/clusters":
        body["name"] = "UPPER"  # never sound: a registered one would be contacted
    answer = root.post(V1 + path, body)
    assert answer.status_code in (201, 400, 404, 409, 422), answer.content
    assert answer.status_code == 201 or answer["Content-Type"] == "application/problem+json"


@given(data=st.data())
@QUIET
def test_manifests(data: Any, root: APIClient, sound: dict[str, Any]) -> None:
    """One part of a sound manifest is replaced by nonsense, wherever it stands."""
    manifest = make.make_deployment()
    place: Any = manifest
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not place[key] or isinstance(place[key], str | int) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    body = {name: sound[name] for name in FIELDS["/releases"] if name in sound}
    answer = root.post(f"{V1}/releases", body | {"manifests": [manifest], "version": str(uuid4())})
    assert answer.status_code in (201, 400, 422), answer.content
    if answer.status_code == 201:
        start = {"release": answer.json()["id"], "placement": sound["placement"]}
        assert root.post(f"{V1}/rollouts", start).status_code in (201, 409, 422)


@pytest.mark.parametrize(
    "kind", ["rollouts", "releases", "clusters", "node-pools", "audit-entries"]
)
@given(parameters=st.dictionaries(st.sampled_from(PARAMETERS), SCALARS, min_size=1, max_size=2))
@QUIET
def test_parameters(
    kind: str, parameters: dict[str, Any], root: APIClient, world: SimpleNamespace
) -> None:
    given_ = {name: "" if value is None else value for name, value in parameters.items()}
    answer = root.get(f"{V1}/{kind}", given_)
    assert answer.status_code in (200, 400, 404), answer.content
