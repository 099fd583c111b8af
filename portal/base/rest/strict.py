"""Serializers that refuse what they do not know instead of dropping it."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError


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
