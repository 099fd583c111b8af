"""Optimistic locking: an ETag is a digest of what a client may change or act upon (RFC 9110)."""

import hashlib
from typing import Any

from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from portal.base.problems import Problem


class PreconditionFailed(Problem):
    status, code, title = 412, "stale", "It changed since you read it"


class PreconditionRequired(Problem):
    status, code, title = 428, "if_match_required", "Say which version you change"


def etag(version: Any) -> str:
    """A strong ETag over any JSON value."""
    return f'"{hashlib.sha256(JSONRenderer().render(version)).hexdigest()[:32]}"'


def require_match(request: Request, current: str) -> None:
    """For changes: raises PreconditionRequired without If-Match, PreconditionFailed when stale."""
    if "If-Match" not in request.headers:
        raise PreconditionRequired("Send the ETag you read in the If-Match header")
    refuse_stale(request, current)


def refuse_stale(request: Request, current: str) -> None:
    """For actions, where If-Match is optional: raises PreconditionFailed when given and stale."""
    if "If-Match" in request.headers and not _names(request.headers["If-Match"], current):
        raise PreconditionFailed("Read it again, then decide again")


def unchanged(request: Request, current: str) -> bool:
    """Whether the client already holds this version (If-None-Match), so 304 is the answer."""
    return _names(request.headers.get("If-None-Match", ""), current, weak=True)


def _names(header: str, current: str, *, weak: bool = False) -> bool:
    given = [part.strip() for part in header.split(",")]
    if weak:
        given = [part.removeprefix("W/") for part in given]
    return "*" in given or current in given
