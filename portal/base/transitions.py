"""State changes: a table of allowed transitions and a guarded UPDATE. A lost race is an error."""

from collections.abc import Mapping
from typing import Any

from django.db import models

from portal.base.problems import Conflict


def check(allowed: Mapping[str, frozenset[str]], *, before: str, after: str) -> None:
    """Raises Conflict when the table does not allow the step."""
    if after not in allowed.get(before, frozenset()):
        raise Conflict(f"It cannot go from {before} to {after}", code="illegal_transition")


def transition(
    row: models.Model, *, to: str, allowed: Mapping[str, frozenset[str]], **changes: Any
) -> None:
    """Moves `row.state` with `UPDATE … WHERE state = old` and mirrors the change on the instance.

    Raises Conflict for a step the table does not allow, or when somebody else was first.
    """
    check(allowed, before=row.state, after=to)
    values = {"state": to, **changes}
    won = type(row)._default_manager.filter(pk=row.pk, state=row.state).update(**values)
    if not won:
        raise Conflict("Somebody else changed it at the same moment", code="lost_race")
    for name, value in values.items():
        setattr(row, name, value)
