"""Who asks, from where, under which request id: known to everything a request calls.

The id is taken from a well-formed `X-Request-ID` header or made here, returned in the response
and written into audit entries and problem documents.
"""

import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

_WELL_FORMED = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


@dataclass(frozen=True)
class RequestContext:
    request_id: str = ""
    remote_address: str = ""


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def current() -> RequestContext:
    """The context of the request being answered, or an empty one outside of requests."""
    return _current.get() or RequestContext()


def _open(request: HttpRequest) -> RequestContext:
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _WELL_FORMED.match(given) else uuid4().hex
    return RequestContext(request_id, request.META.get("REMOTE_ADDR", "") or "")


class RequestContextMiddleware:
    """Sets the context for sync and async views alike."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self.is_async:
            return self._answer_async(request)
        context = _open(request)
        token = _current.set(context)
        try:
            return self._stamp(self.get_response(request), context)
        finally:
            _current.reset(token)

    async def _answer_async(self, request: HttpRequest) -> HttpResponse:
        context = _open(request)
        token = _current.set(context)
        try:
            return self._stamp(await self.get_response(request), context)
        finally:
            _current.reset(token)

    @staticmethod
    def _stamp(response: HttpResponse, context: RequestContext) -> HttpResponse:
        response["X-Request-ID"] = context.request_id
        return response
