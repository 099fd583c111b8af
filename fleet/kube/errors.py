"""What can go wrong with a cluster, in our own words.

Every error of this room derives from `KubeError`; its `str()` is a sentence an operator can act
on. The client's own exceptions never leave the room. `status.py` builds these from the `Status`
objects that an API server answers with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class KubeError(Exception):
    """Base of all errors of this room. `status` is the server's Status object, if it sent one."""

    def __init__(self, message: str, *, status: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or {}


class Unavailable(KubeError):
    """The cluster could not be reached or did not answer in time; nothing was changed by us."""


class BudgetSpent(Unavailable):
    """The time set aside for a piece of work is used up; the call was not begun."""


class UnknownOutcome(Unavailable):
    """A write left this process and no answer said what became of it. Read back before acting."""


class Conflict(KubeError):
    """The object changed since it was read, or exists already. Re-read and decide again."""


class FieldConflict(Conflict):
    """Server-side apply met fields that another manager owns (drift).

    `owner` is the first such manager, `fields` all contested paths, `owners` manager -> paths.
    """

    def __init__(self, message: str, owners: dict[str, list[str]], **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.owners = owners
        self.owner = next(iter(owners), "")
        self.fields = [path for paths in owners.values() for path in paths]


class Forbidden(KubeError):
    """The credential may not do this. `missing` names the right to grant, e.g. `list pods`."""

    def __init__(self, message: str, *, verb: str, resource: str, missing: str, **kw: Any) -> None:
        super().__init__(message, **kw)
        self.verb, self.resource, self.missing = verb, resource, missing


class Unauthorized(KubeError):
    """The credential is unknown to the cluster or has expired."""


class NotFound(KubeError):
    """No such object, or no such kind of object on this cluster."""


@dataclass(frozen=True)
class Cause:
    """One reason for a refusal. `field` is the server's path, `pointer` the same in RFC 6901."""

    field: str
    pointer: str
    reason: str
    message: str


class Invalid(KubeError):
    """The cluster refused the object. `field` and `pointer` are those of the first cause."""

    def __init__(self, message: str, causes: list[Cause], **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.causes = causes
        self.field = causes[0].field if causes else ""
        self.pointer = causes[0].pointer if causes else ""


class TooManyRequests(KubeError):
    """The cluster asks for patience: try again after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after_seconds = retry_after_seconds


class Gone(KubeError):
    """A resourceVersion or a continue token is too old for the cluster; list anew."""


class BadCredentials(KubeError):
    """The endpoint's certificates or key cannot be used (not PEM, key and certificate differ)."""


class KubeconfigError(KubeError):
    """An uploaded kubeconfig was refused. `pointer` (RFC 6901) names the place, `code` the rule."""

    def __init__(self, pointer: str, code: str, message: str) -> None:
        super().__init__(f"{pointer or '(document)'}: {message}")
        self.pointer, self.code, self.message = pointer, code, message
