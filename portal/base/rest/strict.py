"""Serializers that refuse what they do not know instead of dropping it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model, QuerySet
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.relations import PrimaryKeyRelatedField
from rest_framework.serializers import UUIDField

from portal.base import access
from portal.base.problems import FieldProblem, Missing


class Strict:
    """Mixin for serializers: unknown and read-only members of the input are errors (400)."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            refused = {name: [self._refusal(name)] for name in data if not self._writable(name)}
            if refused:
                raise ValidationError(refused)
        return super().to_internal_value(data)

    def _writable(self, name: str) -> bool:
        field = self.fields.get(name)
        return field is not None and not field.read_only

    def _refusal(self, name: str) -> ErrorDetail:
        if name in self.fields:
            return ErrorDetail("Pilothouse sets this itself; it cannot be given", "read_only")
        return ErrorDetail("There is no such field", "unknown_field")


class Seen(PrimaryKeyRelatedField):
    """A reference by id to something the asking user may see.

    What belongs to another team and what does not exist answer alike: 404.
    """

    def __init__(self, *, team_path: str = "", **kwargs: Any) -> None:
        self.team_path = team_path
        super().__init__(pk_field=UUIDField(), **kwargs)

    def get_queryset(self) -> QuerySet:
        rows = super().get_queryset()
        if self.team_path:
            rows = access.visible(rows, self.context["request"].user, team_path=self.team_path)
        return rows

    def to_internal_value(self, data: Any) -> Model:
        if not isinstance(data, str):
            self.pk_field.fail("invalid", value=data)
        row = self.get_queryset().filter(pk=self.pk_field.to_internal_value(data)).first()
        if row is None:
            problem = FieldProblem(f"/{self.field_name}", "not_found", "There is no such object")
            raise Missing(f"The {self.field_name} is not found", errors=[problem])
        return row
