"""Who may do what: every kind of caller at every door, as one table."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from portal.base.models import ApiKey, User
from tests import factories as make
from tests.api.conftest import V1, problem, with_key

CALLERS = (
    "anonymous", "stranger", "viewer", "operator", "admin", "superuser", "read key", "write key"
)  # fmt: skip
# Status codes in the order of CALLERS. The keys belong to the team's admin.
DOORS: list[tuple[str, str, dict[str, Any] | None, tuple[int, ...]]] = [
    ("GET", "/", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/me", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/schema", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/clusters", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/clusters/{cluster}", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/node-pools", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/audit-entries", None, (401, 200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/services/{service}", None, (401, 404, 200, 200, 200, 200, 200, 200)),
    ("GET", "/placements/{placement}", None, (401, 404, 200, 200, 200, 200, 200, 200)),
    ("GET", "/releases/{new}", None, (401, 404, 200, 200, 200, 200, 200, 200)),
    ("GET", "/releases/{new}/difference", None, (401, 404, 200, 200, 200, 200, 200, 200)),
    ("GET", "/rollouts/{ended}", None, (401, 404, 200, 200, 200, 200, 200, 200)),
    (
        "POST", "/clusters",
        {"name": "new", "server": "https://127.0.0.1:1", "token": "t"},
        (401, 403, 403, 403, 403, 201, 403, 403),
    ),
    ("PATCH", "/clusters/{cluster}", {"region": "x"}, (401, 403, 403, 403, 403, 200, 403, 403)),
    ("DELETE", "/clusters/{cluster}", None, (401, 403, 403, 403, 403, 422, 403, 403)),
    ("POST", "/clusters/{cluster}/check", None, (401, 200, 200, 200, 200, 200, 403, 200)),
    (
        "POST", "/clusters/{cluster}/credentials", {"kubeconfig": "{}"},
        (401, 403, 403, 403, 403, 422, 403, 403),
    ),
    (
        "POST", "/services", {"team": "{team}", "name": "tts"},
        (401, 404, 403, 403, 201, 201, 403, 201),
    ),
    (
        "PATCH", "/services/{service}", {"description": "Speech"},
        (401, 404, 403, 403, 200, 200, 403, 200),
    ),
    ("DELETE", "/services/{service}?confirm=asr", None, (401, 404, 403, 403, 409, 409, 403, 409)),
    (
        "POST", "/placements",
        {"service": "{service}", "cluster": "{cluster}", "namespace": "other"},
        (401, 404, 403, 403, 201, 201, 403, 201),
    ),
    (
        "PATCH", "/placements/{placement}", {"overrides": {}},
        (401, 404, 403, 403, 200, 200, 403, 200),
    ),
    (
        "DELETE", "/placements/{placement}?confirm=asr", None,
        (401, 404, 403, 403, 409, 409, 403, 409),
    ),
    ("POST", "/placements/{placement}/roll_back", {}, (401, 404, 422, 422, 422, 422, 403, 422)),
    (
        "POST", "/releases",
        {"service": "{service}", "version": "5", "manifests": "[deployment]", "images": {}},
        (401, 404, 403, 201, 201, 201, 403, 201),
    ),
    (
        "POST", "/rollouts", {"release": "{new}", "placement": "{placement}"},
        (401, 404, 403, 201, 201, 201, 403, 201),
    ),
    ("POST", "/rollouts/{going}/pause", {}, (401, 404, 403, 202, 202, 202, 403, 202)),
    ("POST", "/rollouts/{going}/abort", {}, (401, 404, 403, 202, 202, 202, 403, 202)),
    ("POST", "/rollouts/{going}/resume", {}, (401, 404, 403, 409, 409, 409, 403, 409)),
    ("POST", "/rollouts/{ended}/retry", {}, (401, 404, 403, 201, 201, 201, 403, 201)),
]  # fmt: skip


@pytest.fixture
def names(world: SimpleNamespace, loopback_clusters: None) -> dict[str, str]:
    going = make.make_rollout(make.make_placement(world.service), world.new, state="progressing")
    rows = {**vars(world), "going": going}
    return {name: str(row.pk) for name, row in rows.items()}


@pytest.mark.parametrize("caller", CALLERS)
def test_every_door_opens_for_whom_it_should(
    caller: str, callers: dict[str, APIClient], names: dict[str, str]
) -> None:
    wrong = {}
    for method, path, body, expected in DOORS:
        response = _knock(callers[caller], method, path.format(**names), body, names)
        if response.status_code != expected[CALLERS.index(caller)]:
            wrong[f"{method} {path}"] = (response.status_code, response.content[:300])
        if response.status_code >= 400:
            problem(response, response.status_code)
    assert wrong == {}


def _knock(client: APIClient, method: str, path: str, body: Any, names: dict[str, str]) -> Any:
    """One request in a transaction of its own: no door changes the world for the next."""
    if body is not None:
        deployment = json.dumps([make.make_deployment()])
        text = json.dumps(body).replace('"[deployment]"', deployment)
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        body = json.loads(text)
    with transaction.atomic():
        response = client.generic(
            method,
            V1 + path,
            "" if body is None else json.dumps(body),
            content_type="application/json",
            HTTP_IF_MATCH="*",
        )
        transaction.set_rollback(True)
    return response


def test_lists_hold_only_what_the_caller_may_see(callers: dict[str, APIClient]) -> None:
    make.make_rollout()
    seen = {
        caller: [callers[caller].get(f"{V1}/{kind}").json()["count"] for kind in LISTS]
        for caller in CALLERS[1:]
    }
    team = [1, 1, 2, 1]
    assert seen.pop("superuser") == [2, 2, 3, 2]
    assert seen.pop("stranger") == [0, 0, 0, 0]
    assert seen == dict.fromkeys(seen, team)


LISTS = ("services", "placements", "releases", "rollouts")


def test_dead_keys_do_not_open(world: SimpleNamespace, db: None) -> None:
    owner = make.make_user(team=world.team)
    for change in ({"revoked_at": "2020-01-01T00:00Z"}, {"expires_at": "2020-01-01T00:00Z"}):
        client = with_key(owner, ApiKey.Scope.WRITE)
        assert client.get(f"{V1}/me").status_code == 200
        ApiKey.objects.update(**change)
        problem(client.get(f"{V1}/me"), 401, "authentication_failed")
    client = with_key(owner, ApiKey.Scope.WRITE)
    User.objects.filter(pk=owner.pk).update(is_active=False)
    response = client.get(f"{V1}/me")
    problem(response, 401, "authentication_failed")
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_session_without_its_csrf_token_changes_nothing(world: SimpleNamespace) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(make.make_admin())
    body = {"release": str(world.new.pk), "placement": str(world.placement.pk)}
    problem(client.post(f"{V1}/rollouts", body), 403, "permission_denied")
    assert world.placement.rollouts.count() == 1


def test_viewers_see_why_their_buttons_are_off(callers: dict[str, APIClient]) -> None:
    going = make.make_rollout(make.Placement.objects.get(), make.Release.objects.first(),
                              state="progressing")  # fmt: skip
    actions = callers["viewer"].get(f"{V1}/rollouts/{going.pk}").json()["available_actions"]
    assert actions
    assert not any(action["enabled"] for action in actions)
    assert all("operator" in action["why_not"] for action in actions)


def test_the_audit_trail_shows_what_concerns_ones_own_teams(
    callers: dict[str, APIClient], world: SimpleNamespace
) -> None:
    body = {"release": str(world.new.pk), "placement": str(world.placement.pk)}
    assert callers["operator"].post(f"{V1}/rollouts", body).status_code == 201

    def verbs(caller: str) -> set[str]:
        entries = callers[caller].get(f"{V1}/audit-entries").json()["results"]
        return {entry["verb"] for entry in entries}

    assert verbs("viewer") == {"rollout.deploy"}
    assert verbs("stranger") == set()
    assert verbs("superuser") >= {"rollout.deploy", "api_key.create"}


def test_everybody_learns_their_teams_and_roles(callers: dict[str, APIClient]) -> None:
    me = callers["read key"].get(f"{V1}/me").json()
    assert me["user"]["username"] == "anna"
    assert [(team["name"], team["role"]) for team in me["teams"]] == [("speech", "admin")]
    assert me["api_key"]["scope"] == "read"
