"""Input checks of this room's verbs: Django's field rules, told as our own errors."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models

from portal.base import access
from portal.base.models import User
from portal.base.problems import Conflict, FieldProblem, Invalid


def validated(row: models.Model) -> models.Model:
    """The row, if its fields keep their rules. Raises Invalid with a pointer for each that does
    not, Conflict when a unique constraint is already taken."""
    try:
        row.clean_fields()
    except ValidationError as error:
        raise _invalid(error) from None
    try:
        row.validate_unique()
        row.validate_constraints()
    except ValidationError as error:
        sentence = " ".join(error.messages)
        raise Conflict(sentence, code="duplicate", errors=_problems(error)) from None
    return row


def insert(row: models.Model) -> None:
    """Saves a validated new row. Raises Conflict when somebody else just took its name."""
    try:
        row.save(force_insert=True)
    except IntegrityError:
        name = row._meta.verbose_name
        raise Conflict(f"Such a {name} was made at the same moment", code="duplicate") from None


def confirmed(given: str, expected: str) -> None:
    """Dangerous verbs take the object's name, typed by hand. Raises Invalid at /confirm."""
    if given != expected:
        raise Invalid.at("/confirm", "not_confirmed", f"Type {expected} to confirm")


def allowed(actor: User | None, permission: str) -> None:
    """Raises NotAllowed unless the actor holds the permission; the portal itself (None) may."""
    if actor is not None:
        access.require_permission(actor, permission)


def _invalid(error: ValidationError) -> Invalid:
    problems = _problems(error)
    return Invalid("; ".join(f"{p.pointer[1:]}: {p.message}" for p in problems), errors=problems)


def _problems(error: ValidationError) -> list[FieldProblem]:
    return [
        FieldProblem("" if name == "__all__" else f"/{name}", one.code or "invalid", message)
        for name, several in error.error_dict.items()
        for one in several
        for message in one.messages
    ]
