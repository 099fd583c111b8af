"""Errors as the API server words them: every failure is a `metav1.Status`.

Source: k8s.io/apimachinery/pkg/api/errors and pkg/util/validation/field.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CAUSE_TEXT = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueNotFound": "Not found",
    "FieldValueTooLong": "Too long",
    "FieldValueTypeInvalid": "Invalid value",
}
_WITHOUT_VALUE = {"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong"}


class StatusError(Exception):
    """A failed request: `code` is the HTTP status, `status` the body."""

    def __init__(
        self, code: int, reason: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details = details

    @property
    def status(self) -> dict[str, Any]:
        """The `metav1.Status` body."""
        body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
        body |= {"status": "Failure", "message": self.message}
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; `kind` is the cause's reason, e.g. FieldValueInvalid."""

    kind: str
    field: str
    value: Any = None
    detail: str = ""

    @property
    def body(self) -> str:
        """The message without the field, as `field.Error.ErrorBody` writes it."""
        text = _CAUSE_TEXT[self.kind]
        if self.kind not in _WITHOUT_VALUE:
            text += f": {_go_value(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"


def _go_value(value: Any) -> str:
    if isinstance(value, bool | dict | list) or value is None:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, "", detail)


def invalid_value(field: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, value, detail)


def not_supported(field: str, value: Any, supported: Sequence[str]) -> FieldError:
    names = ", ".join(json.dumps(name) for name in supported)
    return FieldError("FieldValueNotSupported", field, value, f"supported values: {names}")


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, value)


def forbidden_field(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, "", detail)


def _object_details(group: str, resource: str, name: str) -> dict[str, Any]:
    return {k: v for k, v in (("name", name), ("group", group), ("kind", resource)) if v}


def qualified(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(group: str, resource: str, name: str) -> StatusError:
    message = f'{qualified(group, resource)} "{name}" not found'
    return StatusError(404, "NotFound", message, _object_details(group, resource, name))


def already_exists(group: str, resource: str, name: str, dying: bool = False) -> StatusError:
    message = f'{qualified(group, resource)} "{name}" already exists'
    message = f"object is being deleted: {message}" if dying else message
    return StatusError(409, "AlreadyExists", message, _object_details(group, resource, name))


def conflict(group: str, resource: str, name: str, why: str) -> StatusError:
    message = f'Operation cannot be fulfilled on {qualified(group, resource)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _object_details(group, resource, name))


def stale(group: str, resource: str, name: str) -> StatusError:
    """The caller's resourceVersion is not the newest."""
    why = (
        "the object has been modified; please apply your changes to the latest version and "
        "try again"
    )
    return conflict(group, resource, name, why)


def invalid(group: str, kind: str, name: str, problems: Sequence[FieldError]) -> StatusError:
    """422 with every cause listed; the message aggregates them as upstream does."""
    texts = list(dict.fromkeys(str(problem) for problem in problems))
    aggregate = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _object_details(group, kind, name)
    details["causes"] = [
        {"reason": problem.kind, "message": problem.body, "field": problem.field}
        for problem in problems
    ]
    message = f'{qualified(group, kind)} "{name}" is invalid: {aggregate}'
    return StatusError(422, "Invalid", message, details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def forbidden(group: str, resource: str, name: str, why: str) -> StatusError:
    what = f'{qualified(group, resource)} "{name}"' if name else qualified(group, resource)
    message = f"{what} is forbidden: {why}"
    return StatusError(403, "Forbidden", message, _object_details(group, resource, name))


def method_not_allowed() -> StatusError:
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, {})


def page_not_found() -> StatusError:
    message = "the server could not find the requested resource"
    return StatusError(404, "NotFound", message, {})


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def unsupported_media_type() -> StatusError:
    return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def not_acceptable() -> StatusError:
    message = (
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf, application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"
    )
    return StatusError(406, "NotAcceptable", message, {})


def internal(message: str) -> StatusError:
    """An error upstream does not translate: 500 without a reason."""
    return StatusError(500, "", message)


def defect(error: Exception) -> StatusError:
    """Something in the sandbox itself went wrong."""
    return StatusError(500, "InternalError", f"Internal error occurred: {error!r}", {})


def invalid_patch(value: str, problem: str) -> StatusError:
    """A patch whose result cannot be read; `value` is how upstream shows the object."""
    return invalid("", "", "", [invalid_value("patch", value, problem)])


def too_large_revision(wanted: int, current: int) -> StatusError:
    text = f"Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return StatusError(504, "Timeout", f"Timeout: {text}", details)
