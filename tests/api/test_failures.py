"""Whatever breaks, a client gets a problem document with a request id, and the log has the rest."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.db import DataError, IntegrityError, OperationalError, connection
from django.test import Client
from rest_framework.test import APIClient

from portal.base.rest.throttling import PrincipalThrottle
from tests import factories as make
from tests.api.conftest import V1, problem


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ZeroDivisionError("a secret detail"), 500, "internal"),
        (OperationalError("server closed the connection"), 503, "database_unavailable"),
        (IntegrityError("duplicate key"), 409, "conflict"),
        (DataError("out of range"), 400, "out_of_range"),
    ],
)
def test_errors_nobody_thought_of_become_problems(
    operator: APIClient, error: Exception, status: int, code: str, caplog: Any
) -> None:
    def fail(execute: Any, sql: str, *args: Any) -> Any:
        if 'FROM "deploy_release"' in sql:
            raise error
        return execute(sql, *args)

    with caplog.at_level(logging.ERROR), connection.execute_wrapper(fail):
        answer = operator.get(f"{V1}/releases", HTTP_X_REQUEST_ID="trace-1234")
    body = problem(answer, status, code)
    assert body["request_id"] == "trace-1234"
    assert str(error) not in answer.content.decode()
    assert (str(error) in caplog.text) == (status >= 500)
    assert ("Retry-After" in answer) == (status == 503)


def test_too_many_requests_wait(
    world: SimpleNamespace, operator: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PrincipalThrottle, "rate", "3/min", raising=False)
    cache.clear()
    assert [operator.get(f"{V1}/me").status_code for _ in range(3)] == [200] * 3
    answer = operator.get(f"{V1}/me")
    problem(answer, 429, "throttled")
    assert 1 <= int(answer["Retry-After"]) <= 60
    other = APIClient()
    other.force_login(make.make_user())
    assert other.get(f"{V1}/me").status_code == 200, "each principal has its own allowance"
    cache.clear()


def test_people_get_a_page_instead(db: None) -> None:
    client = Client(raise_request_exception=False)
    missing = client.get("/no/such/page")
    assert missing.status_code == 404
    assert missing["Content-Type"].startswith("text/html")
    assert missing["X-Request-ID"] in missing.content.decode()
    client.force_login(make.make_admin())
    assert "There is nothing at this address" in client.get("/no/such/page").content.decode()


def test_a_form_without_its_token_gets_a_page(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/admin/login/", {"username": "x"})
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()


def test_an_unknown_host_is_refused_without_a_traceback(db: None) -> None:
    answer = Client(raise_request_exception=False).get(f"{V1}/me", HTTP_HOST="evil.example")
    problem(answer, 400, "bad_request")


@pytest.mark.parametrize("address", [f"{V1}/releases", "/admin/deploy/release/"])
def test_what_breaks_outside_of_a_view_is_no_traceback_either(
    address: str, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(make.make_admin())

    def fail(execute: Any, sql: str, *args: Any) -> Any:
        raise RuntimeError("a secret detail")

    with connection.execute_wrapper(fail):
        answer = client.get(address)
    assert answer.status_code == 500
    assert "a secret detail" not in answer.content.decode()
    assert answer["X-Request-ID"] in answer.content.decode()
