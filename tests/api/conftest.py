"""Clients of the REST API, one per kind of caller, and a world with one service in it."""

from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.test import APIClient

from portal.base.models import ApiKey, Role, User
from tests import factories as make

V1 = "/api/v1"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Nobody attacks the passwords of these users."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def signed_in(user: User) -> APIClient:
    """A browser session; CSRF is switched off by the test client."""
    client = APIClient()
    client.force_login(user)
    return client


def with_key(user: User, scope: str) -> APIClient:
    client = APIClient()
    _, token = make.make_api_key(user, scope)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


@pytest.fixture
def world(db: None) -> SimpleNamespace:
    """A team's service with two releases, placed on a cluster, and one ended rollout."""
    team = make.make_team("speech")
    service = make.make_service("asr", team)
    placement = make.make_placement(service, make.make_cluster("us-east"))
    old, new = (make.make_release(service) for _ in range(2))
    ended = make.make_rollout(placement, old, state="succeeded")
    return SimpleNamespace(
        team=team, service=service, placement=placement, cluster=placement.cluster,
        old=old, new=new, ended=ended,
    )  # fmt: skip


@pytest.fixture
def operator(world: SimpleNamespace) -> APIClient:
    return signed_in(make.make_user("olga", team=world.team, role=Role.OPERATOR))


@pytest.fixture
def root(db: None) -> APIClient:
    return signed_in(make.make_admin("root"))


@pytest.fixture
def callers(world: SimpleNamespace) -> dict[str, APIClient]:
    """Everybody who may knock, by name."""
    team_admin = make.make_user("anna", team=world.team, role=Role.ADMIN)
    return {
        "anonymous": APIClient(),
        "stranger": signed_in(make.make_user("sam", role=Role.ADMIN)),
        "viewer": signed_in(make.make_user("vera", team=world.team, role=Role.VIEWER)),
        "operator": signed_in(make.make_user("otto", team=world.team, role=Role.OPERATOR)),
        "admin": signed_in(team_admin),
        "superuser": signed_in(make.make_admin("boss")),
        "read key": with_key(team_admin, ApiKey.Scope.READ),
        "write key": with_key(team_admin, ApiKey.Scope.WRITE),
    }


def problem(response: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem document of a response, after checking what every one must have."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert body["status"] == status
    assert body["request_id"] == response["X-Request-ID"]
    if code is not None:
        assert body["code"] == code, body
    return body


def pointers(response: Any) -> dict[str, str]:
    """Pointer to code of every single mistake."""
    return {one["pointer"]: one["code"] for one in response.json()["errors"]}
