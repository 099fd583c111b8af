"""`?ordering=` by declared fields only, ending in the primary key so that pages do not wobble."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request


class StrictOrdering(OrderingFilter):
    """Raises ValidationError for a field that cannot be ordered by, instead of ignoring it."""

    def remove_invalid_fields(
        self, queryset: QuerySet, fields: list[str], view: Any, request: Request
    ) -> list[str]:
        valid = super().remove_invalid_fields(queryset, fields, view, request)
        if len(valid) != len(fields):
            message = f"Order by one of: {', '.join(view.ordering_fields)}"
            raise ValidationError({self.ordering_param: [ErrorDetail(message, "invalid_choice")]})
        return valid

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        ordering = self.get_ordering(request, queryset, view) or queryset.query.order_by
        return queryset.order_by(*(ordering or queryset.model._meta.ordering), "pk")
