"""`Idempotency-Key`: a repeated POST is answered from the first one's response for 24 hours.

The key's row is written in the transaction of the change itself: either both are there or
neither. An advisory lock, gone with its transaction, marks the first one as in flight.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from rest_framework.exceptions import ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal.base import events
from portal.base.models import IdempotencyKey
from portal.base.problems import Conflict, Invalid

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(hours=24)
_WELL_FORMED = re.compile(r"^[\x21-\x7e]{1,200}$")
_KEPT_HEADERS = ("Location", "ETag")

Handler = Callable[..., Response]


def once(handler: Handler) -> Handler:
    """Wraps a view's POST handler. Raises Conflict while the first request is in flight, and
    Invalid when the key was used for another request."""

    def answer(request: Request, *args: Any, **kwargs: Any) -> Response:
        key, digest = _key(request), _digest(request)
        with events.transaction():
            _lock(request, key)
            kept = _kept(request, key)
            if kept is not None:
                return _replay(kept, digest)
            response = handler(request, *args, **kwargs)
            _keep(request, key, digest, response)
            return response

    return answer


def _key(request: Request) -> str:
    key = request.headers[HEADER]
    if not _WELL_FORMED.match(key):
        raise ParseError(f"{HEADER} is 1 to 200 printable ASCII characters", code="bad_key")
    return key


def _digest(request: Request) -> str:
    """What makes two requests the same: method, address and body."""
    start = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(start + request._request.body).hexdigest()


def _lock(request: Request, key: str) -> None:
    name = hashlib.sha256(f"idempotency {request.user.pk} {key}".encode()).digest()
    number = int.from_bytes(name[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise Conflict("The first request with this key is not answered yet", code="in_flight")


def _kept(request: Request, key: str) -> IdempotencyKey | None:
    mine = IdempotencyKey.objects.filter(principal=request.user)
    mine.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    return mine.filter(key=key).first()


def _replay(kept: IdempotencyKey, digest: str) -> Response:
    if kept.request_digest != digest:
        message = "This key was used for another request"
        raise Invalid(message, code="idempotency_key_reused")
    headers = {**kept.response_headers, "Idempotency-Replayed": "true"}
    return Response(kept.response_body, status=kept.response_status, headers=headers)


def _keep(request: Request, key: str, digest: str, response: Response) -> None:
    IdempotencyKey.objects.create(
        principal=request.user,
        key=key,
        request_digest=digest,
        response_status=response.status_code,
        response_headers={name: response[name] for name in _KEPT_HEADERS if name in response},
        response_body=json.loads(JSONRenderer().render(response.data) or b"null"),
    )
