"""What every request to the API must satisfy before anybody looks at it closely."""

import re
from collections.abc import Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse

from portal.base.rest.rendering import CONTENT_TYPE, document

PREFIX = "/api/"
_API_KEY = re.compile(r"ph_[0-9a-f]{16}\.")
_CREDENTIAL_NAMES = {"access_token", "api_key", "apikey", "authorization", "key", "token"}


class ApiGuardMiddleware:
    """Bodies within the limit whatever Content-Length says, and no credentials in addresses."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = _refusal(request) if request.path_info.startswith(PREFIX) else None
        if refusal is None:
            return self.get_response(request)
        return _at_once(refusal) if iscoroutinefunction(self.get_response) else refusal


async def _at_once(response: HttpResponse) -> HttpResponse:
    return response


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if _carries_credentials(request):
        return _problem(400, "key_in_address", "Send the key in the Authorization header instead")
    try:
        # Reads with Django's own limit; a chunked body gets the length it turned out to have,
        # without which REST framework would take it for empty.
        request.META["CONTENT_LENGTH"] = str(len(request.body))
    except RequestDataTooBig:
        return _problem(413, "too_large", "The request body is too large")
    except ValueError:
        return _problem(400, "bad_content_length", "Content-Length is not a number")
    return None


def _carries_credentials(request: HttpRequest) -> bool:
    names = {name.lower() for name in request.GET}
    return bool(names & _CREDENTIAL_NAMES or _API_KEY.search(request.META["QUERY_STRING"]))


def _problem(status: int, code: str, detail: str) -> HttpResponse:
    body = document(status=status, code=code, detail=detail)
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)
