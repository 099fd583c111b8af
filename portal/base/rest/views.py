"""Base classes of the REST views: strict parameters, team scoping, ETags, idempotent POSTs."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from portal.base import access
from portal.base.models import Role, Team
from portal.base.rest import etags, idempotency
from portal.base.rest.filtering import StrictOrdering
from portal.base.rest.throttling import PrincipalThrottle


class StrictView:
    """Mixin for every API view: refuses unknown query parameters and repeats POSTs safely."""

    throttle_classes = (PrincipalThrottle,)
    metadata_class = None  # OPTIONS is 405; the schema describes the API
    # Query parameters by action (viewsets) or by method in lower case (plain views).
    parameters: ClassVar[dict[str, set[str]]] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self._refuse_unknown(request, self.known_parameters(request))
        repeatable = request.method == "POST" and idempotency.HEADER in request.headers
        if repeatable and hasattr(self, "post"):
            self.post = idempotency.once(self.post)

    def known_parameters(self, request: Request) -> set[str]:
        return self.parameters.get(getattr(self, "action", request.method.lower()), set())

    @staticmethod
    def _refuse_unknown(request: Request, known: set[str]) -> None:
        unknown = set(request.query_params) - known
        if unknown:
            message = f"Known here: {', '.join(sorted(known)) or 'no parameters at all'}"
            detail = ErrorDetail(message, "unknown_parameter")
            raise ValidationError({name: [detail] for name in sorted(unknown)})


class ApiViewSet(StrictView, GenericViewSet):
    """Lists and single objects of one model, scoped to the teams of who asks.

    `team_path` leads from the model to its team; empty means everybody signed in sees all.
    `list_queries` is how many queries a list costs, whatever its length; tests hold it to that.
    """

    filter_backends = (DjangoFilterBackend, SearchFilter, StrictOrdering)
    lookup_value_converter = "uuid"
    team_path: ClassVar[str] = ""
    search_fields: ClassVar[tuple[str, ...]] = ()
    ordering_fields: ClassVar[tuple[str, ...]] = ()
    list_queries: ClassVar[int]

    def known_parameters(self, request: Request) -> set[str]:
        known = super().known_parameters(request)
        if self.action != "list":
            return known
        filters = DjangoFilterBackend().get_filterset_class(self, self.queryset)
        names = set(filters.base_filters) if filters else set()
        return known | names | {"search", "ordering", "page", "page_size"}

    def get_queryset(self) -> QuerySet:
        rows = super().get_queryset()
        if self.team_path:
            rows = access.visible(rows, self.request.user, team_path=self.team_path)
        return rows

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def list(self, request: Request) -> Response:
        """One page: `{count, next, previous, results}`."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.representations(page))

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One object, with its ETag; 304 when If-None-Match names it."""
        row = self.get_object()
        if etags.unchanged(request, self.etag(row)):
            return Response(status=304, headers={"ETag": self.etag(row)})
        return self.answer(row)

    def answer(self, row: Model, *, status: int = 200, **headers: str) -> Response:
        """The object as the body, under its ETag."""
        headers = {"ETag": self.etag(row), **headers}
        return Response(self.representation(row), status=status, headers=headers)

    def created(self, row: Model) -> Response:
        """201 with the address of the new object."""
        address = self.reverse_action("detail", kwargs={"pk": row.pk})
        return self.answer(row, status=201, Location=address)

    def representations(self, rows: list[Model]) -> list[dict[str, Any]]:
        """What a list shows of each; may be less than what `representation` shows."""
        return self.serializer_class(rows, many=True, context=self.get_serializer_context()).data

    def representation(self, row: Model) -> dict[str, Any]:
        """What a client gets to see of one object."""
        return self.serializer_class(row, context=self.get_serializer_context()).data

    def version(self, row: Model) -> Any:
        """What the ETag is made of."""
        return self.representation(row)

    def etag(self, row: Model) -> str:
        return etags.etag(self.version(row))

    def locked(self) -> Model:
        """The object of the address, locked until the surrounding transaction ends."""
        seen = self.get_object()
        type(seen)._default_manager.select_for_update().filter(pk=seen.pk).first()
        return self.get_object()  # as it is now that nobody else can change it

    def given(self, kind: type[BaseSerializer]) -> dict[str, Any]:
        """The request's body, checked by a serializer class. Raises ValidationError."""
        body = kind(data=self.request.data, context=self.get_serializer_context())
        body.is_valid(raise_exception=True)
        return body.validated_data

    def require(self, team: Team | UUID, role: Role) -> None:
        access.require(self.request.user, team, role)

    def parameter_id(self, name: str) -> UUID | None:
        """A query parameter that holds an id, None when absent. Raises ValidationError."""
        given = self.request.query_params.get(name)
        try:
            return UUID(given) if given is not None else None
        except ValueError:
            raise ValidationError({name: [ErrorDetail("This is not a UUID", "invalid")]}) from None
