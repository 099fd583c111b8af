"""Filtering and ordering of lists that refuses nonsense instead of ignoring it."""

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import TypedChoiceFilter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request


class TrueOrFalse(TypedChoiceFilter):
    """`true` or `false`; anything else is a mistake and not "no filter"."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("true", "true"), ("false", "false")]
        super().__init__(choices=choices, coerce=lambda text: text == "true", **kwargs)


class StrictOrdering(OrderingFilter):
    """`?ordering=` by declared fields, raising ValidationError for others; it always ends in the
    primary key, so that pages do not wobble."""

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
