"""What people and programs see when a request cannot be answered: never a traceback.

Below /api/ a problem document, everywhere else a page that says what to do next.
"""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from portal.base import requests
from portal.base.rest.guard import PREFIX
from portal.base.rest.rendering import CONTENT_TYPE, document


@dataclass(frozen=True)
class Failure:
    """`title` and `detail` are for people; `code` for programs."""

    status: int
    code: str
    title: str
    detail: str


BAD_REQUEST = Failure(
    400, "bad_request", "This request cannot be read", "Go back and try it once more."
)
FORBIDDEN = Failure(
    403, "not_allowed", "You may not do this", "Ask an admin of the owning team for the right."
)
CSRF = Failure(
    403,
    "csrf_failed",
    "This form is too old",
    "Reload the page it was on and send it again. Cookies must be allowed.",
)
NOT_FOUND = Failure(
    404,
    "not_found",
    "There is nothing at this address",
    "It may have been removed, or it belongs to a team you are not in.",
)
BROKEN = Failure(
    500,
    "internal",
    "Something went wrong here",
    "It is in the log. Nothing that was running has stopped; try again.",
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, BAD_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(request, BROKEN)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, CSRF)


def _answer(request: HttpRequest, failure: Failure) -> HttpResponse:
    if request.path_info.startswith(PREFIX):
        body = document(status=failure.status, code=failure.code, detail=failure.title)
        return JsonResponse(body, status=failure.status, content_type=CONTENT_TYPE)
    context = {"failure": failure, "request_id": requests.current().request_id}
    return render(request, _template(request, failure), context, status=failure.status)


def _template(request: HttpRequest, failure: Failure) -> str:
    """With the navigation for who is signed in; without any query where things may be broken."""
    user = getattr(request, "user", None) if failure in (FORBIDDEN, NOT_FOUND, CSRF) else None
    return "errors/error.html" if user and user.is_authenticated else "errors/plain.html"
