"""Translates an API server's refusals (`Status` objects) into the errors of this room.

Shapes: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.kube import errors

_RIGHT = re.compile(
    r'cannot (?P<verb>\S+) (?:resource "(?P<resource>[^"]*)"|path "(?P<path>[^"]*)")'
    r'(?: in API group "(?P<group>[^"]*)")?'
    r'(?P<where> in the namespace "[^"]*"| at the cluster scope)?'
)
_MANAGER = re.compile(r'conflict with "(?P<manager>[^"]*)"')
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")


@dataclass(frozen=True)
class Asked:
    """What a request wanted, in the words of RBAC; for messages and for what an answer means."""

    verb: str
    resource: str
    name: str = ""
    writes: bool = False

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" {self.name}" if self.name else "")


def error_from(
    code: int, body: bytes, headers: Mapping[str, str], asked: Asked
) -> errors.KubeError:
    """The error that an answer with HTTP status `code` (>= 300) stands for."""
    status = _status_in(body)
    said = str(status.get("message") or "") or _plain(body) or "no explanation was given"
    build = _BUILDERS.get(code)
    if build:
        return build(said, status, headers, asked)
    if code >= 500:
        return silent(asked, f"the API server answered {code}: {said}", status)
    if code < 400:
        return errors.Unavailable(f"{asked}: the server answered with a redirect ({code})")
    return errors.KubeError(f"{asked} was refused ({code}): {said}", status=status)


def silent(
    asked: Asked, why: str, status: dict[str, Any] | None = None, *, sent: bool = True
) -> errors.Unavailable:
    """The error for a request without an answer: a write that was sent has no known end."""
    if asked.writes and sent:
        return errors.UnknownOutcome(f"{asked}: {why}; it may have happened", status=status)
    return errors.Unavailable(f"{asked}: {why}", status=status)


def error_from_event(status: dict[str, Any], asked: Asked) -> errors.KubeError:
    """The error that an ERROR event of a watch carries."""
    return error_from(int(status.get("code") or 500), json.dumps(status).encode(), {}, asked)


def pointer_of(field: str) -> str:
    """`spec.containers[0].image` -> `/spec/containers/0/image` (RFC 6901)."""
    steps = (index or name for index, name in _STEP.findall(field))
    return "".join("/" + s.replace("~", "~0").replace("/", "~1") for s in steps)


def _status_in(body: bytes) -> dict[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def _plain(body: bytes) -> str:
    return " ".join(body[:300].decode("utf-8", "replace").split())


def _details(status: dict[str, Any]) -> dict[str, Any]:
    details = status.get("details")
    return details if isinstance(details, dict) else {}


def _causes(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [cause for cause in _details(status).get("causes") or [] if isinstance(cause, dict)]


def _conflict(said: str, status: dict, headers: Mapping, asked: Asked) -> errors.KubeError:
    owners: dict[str, list[str]] = {}
    for cause in _causes(status):
        if cause.get("reason") == "FieldManagerConflict":
            match = _MANAGER.search(str(cause.get("message", "")))
            owner = match["manager"] if match else "another manager"
            owners.setdefault(owner, []).append(str(cause.get("field", "")))
    if not owners:
        return errors.Conflict(f"{asked}: {said}", status=status)
    told = "; ".join(f"{owner} owns {', '.join(paths)}" for owner, paths in owners.items())
    return errors.FieldConflict(f"{asked}: {told}", owners, status=status)


def _forbidden(said: str, status: dict, headers: Mapping, asked: Asked) -> errors.KubeError:
    match = _RIGHT.search(said)
    if not match:  # an admission plugin's or a quota's refusal, not a missing right
        return errors.Forbidden(
            f"{asked}: {said}", verb=asked.verb, resource=asked.resource, missing="", status=status
        )
    resource = match["resource"] or match["path"] or asked.resource
    group = f".{match['group']}" if match["group"] else ""
    missing = f"{match['verb']} {resource}{group}{match['where'] or ''}"
    return errors.Forbidden(
        f"{asked}: the credential lacks the right to {missing}",
        verb=match["verb"], resource=resource, missing=missing, status=status,
    )  # fmt: skip


def _unauthorized(said: str, status: dict, headers: Mapping, asked: Asked) -> errors.KubeError:
    why = "the cluster does not accept the credential (unknown or expired)"
    return errors.Unauthorized(f"{asked}: {why}", status=status)


def _not_found(said: str, status: dict, headers: Mapping, asked: Asked) -> errors.KubeError:
    return errors.NotFound(f"{asked}: {said}", status=status)


def _gone(said: str, status: dict, headers: Mapping, asked: Asked) -> errors.KubeError:
    return errors.Gone(f"{asked}: {said}", status=status)


def _invalid(said: str, status: dict, headers: Mapping, asked: Asked) -> errors.KubeError:
    causes = [
        errors.Cause(
            field=str(cause.get("field", "")),
            pointer=pointer_of(str(cause.get("field", ""))),
            reason=str(cause.get("reason", "")),
            message=str(cause.get("message", "")),
        )
        for cause in _causes(status)
    ]
    return errors.Invalid(f"{asked}: {said}", causes, status=status)


def _too_many(said: str, status: dict, headers: Mapping, asked: Asked) -> errors.KubeError:
    wait = headers.get("Retry-After") or _details(status).get("retryAfterSeconds")
    try:
        seconds = float(wait or 1)
    except (TypeError, ValueError):  # an HTTP date, or nonsense
        seconds = 1.0
    seconds = seconds if 0 <= seconds <= 300 else 30.0
    why = f"the cluster asks to wait {seconds:g} s: {said}"
    return errors.TooManyRequests(f"{asked}: {why}", seconds, status=status)


_BUILDERS = {
    400: _invalid, 401: _unauthorized, 403: _forbidden, 404: _not_found, 409: _conflict,
    410: _gone, 413: _invalid, 415: _invalid, 422: _invalid, 429: _too_many,
}  # fmt: skip
