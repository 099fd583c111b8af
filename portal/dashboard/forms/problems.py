"""Brings a Problem back to the form it came from: its pointers name fields."""

from collections.abc import Mapping
from typing import Any

from django import forms

from portal.base.problems import FieldProblem, Problem


class Fields(forms.Form):
    """A form that shows problems at its fields, marked for assistive technology."""

    # JSON pointer's first segment -> field, where the two differ.
    pointers: Mapping[str, str] = {}
    # What the verb returned; the HTTP status to answer with when it refused.
    result: Any = None
    status = 422

    def add_problem(self, problem: Problem) -> None:
        """Shows each part of the problem at its field, the rest above the form."""
        self.status = problem.status
        for error in problem.errors:
            self._place(error)
        if not problem.errors:
            self.add_error(None, problem.detail)

    def _place(self, error: FieldProblem) -> None:
        head, _, rest = error.pointer.lstrip("/").partition("/")
        name = self.pointers.get(head, head)
        where = f" (at {error.pointer})" if rest else ""
        known = name in self.fields
        self.add_error(name if known else None, f"{error.message}{where}")


def text_area(rows: int = 6, **attributes: str) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "spellcheck": "false", **attributes})
