"""Bodies as a server hands them over: in pieces, without a length, or with a wrong one."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler

from portal.base.models import ApiKey
from tests import factories as make
from tests.api.conftest import V1

pytestmark = pytest.mark.django_db(transaction=True)


async def send(token: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """One POST over ASGI, in pieces of 64 KB; status and body of the answer."""
    given = {"host": "localhost", "content-type": "application/json", **headers}
    given["authorization"] = f"Bearer {token}"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": f"{V1}/rollouts",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    client = ApplicationCommunicator(ASGIHandler(), scope)
    for start in range(0, max(len(body), 1), 65_536):
        piece, more = body[start : start + 65_536], start + 65_536 < len(body)
        await client.send_input({"type": "http.request", "body": piece, "more_body": more})
    started = await client.receive_output(10)
    rest = await client.receive_output(10)
    await client.wait(10)
    return started["status"], json.loads(rest["body"])


@pytest.fixture
async def token() -> str:
    _, token = await sync_to_async(make.make_api_key)(scope=ApiKey.Scope.WRITE)
    return token


@pytest.mark.parametrize("headers", [{}, {"content-length": "10"}, {"content-length": "0"}])
async def test_the_limit_counts_what_arrives_not_what_is_announced(
    token: str, headers: dict[str, str], settings: Any
) -> None:
    body = json.dumps({"reason": "x" * settings.API_MAX_BODY_BYTES}).encode()
    status, answer = await send(token, body, headers)
    assert (status, answer["code"]) == (413, "too_large")


async def test_a_body_without_a_length_is_read(token: str) -> None:
    status, answer = await send(token, b'{"colour": "red"}', {})
    assert status == 400
    assert [one["pointer"] for one in answer["errors"]] == ["/colour"]
