"""Every error of the API as one `application/problem+json` document (RFC 9457)."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response

from portal.base import requests
from portal.base.problems import Conflict, FieldProblem, Missing, NotAllowed, Problem, Unreachable

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5

log = logging.getLogger("pilothouse.api")


def document(
    *,
    status: int,
    code: str,
    detail: str,
    title: str = "",
    errors: list[FieldProblem] | None = None,
) -> dict[str, Any]:
    """The members of a problem document; `type` is an URN that names the code."""
    return {
        "type": f"urn:pilothouse:problem:{code}",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": requests.current().request_id,
        "errors": [vars(error) for error in errors or []],
    }


def problem_response(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler: whatever was raised becomes a problem document."""
    problem = _as_problem(error)
    if problem.status >= 500:
        log.error("%s: %s", problem.code, error, exc_info=error)
    body = document(
        status=problem.status,
        code=problem.code,
        title=problem.title,
        detail=problem.detail,
        errors=problem.errors,
    )
    headers = _headers(error, problem.status)
    return Response(body, status=problem.status, headers=headers, content_type=CONTENT_TYPE)


def _headers(error: Exception, status: int) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = str(int(getattr(error, "wait", None) or RETRY_AFTER_SECONDS))
    return headers


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.APIException):
        return _from_framework(error)
    for kinds, make in _TRANSLATIONS:
        if isinstance(error, kinds):
            return make(error)
    return _made(500, "internal", "Something went wrong here; the request id finds it in the log")


_TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], Any], ...] = (
    ((Http404,), lambda _: Missing("Nothing is found at this address")),
    ((PermissionDenied,), lambda _: NotAllowed("You may not do this")),
    ((RequestDataTooBig,), lambda _: _made(413, "too_large", "The request body is too large")),
    (
        (SuspiciousOperation, UnreadablePostError),
        lambda _: _made(400, "bad_request", "The request cannot be read"),
    ),
    (
        (ProtectedError, RestrictedError),
        lambda _: Conflict("Other things still need it", code="in_use"),
    ),
    ((IntegrityError,), lambda _: Conflict("It contradicts what is stored already")),
    ((DataError,), lambda _: _made(400, "out_of_range", "A value does not fit what it is for")),
    (
        (OperationalError, InterfaceError),
        lambda _: Unreachable("The database does not answer", code="database_unavailable"),
    ),
)


def _made(status: int, code: str, detail: str) -> Problem:
    problem = Problem(detail, code=code)
    problem.status, problem.title = status, HTTPStatus(status).phrase
    return problem


def _from_framework(error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.ValidationError):
        problem = _made(error.status_code, "invalid", "The request has mistakes; see `errors`")
        problem.errors = list(field_problems(error.detail))
        return problem
    return _made(error.status_code, error.get_codes(), str(error.detail))


def field_problems(detail: Any, pointer: str = "") -> Iterator[FieldProblem]:
    """Flattens a ValidationError's nested detail; pointers follow RFC 6901."""
    if isinstance(detail, exceptions.ErrorDetail):
        yield FieldProblem(pointer, detail.code, str(detail))
    elif isinstance(detail, dict):
        for name, inner in detail.items():
            yield from field_problems(inner, _below(pointer, name))
    else:
        for index, inner in enumerate(detail):
            nested = isinstance(inner, dict)
            yield from field_problems(inner, _below(pointer, index) if nested else pointer)


def _below(pointer: str, name: Any) -> str:
    if name == "non_field_errors":
        return pointer
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
