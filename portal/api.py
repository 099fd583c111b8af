"""The REST API's root: all addresses below /api/v1/, who asks, and the audit trail."""

from typing import Any

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.urls import URLPattern, path
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from deploy.api import PlacementViewSet, ReleaseViewSet, RolloutViewSet
from deploy.models import Release, Rollout
from fleet.api import ClusterViewSet, NodePoolViewSet, ServiceViewSet
from fleet.models import Cluster, Placement, Service
from portal.base import access
from portal.base.models import ApiKey, AuditEntry, User
from portal.base.rest.views import ApiViewSet, StrictView

# Model -> path to its team; "" where everybody who is signed in sees every row.
_SEEN_THROUGH = {
    Cluster: "",
    Service: "team",
    Placement: "service__team",
    Release: "service__team",
    Rollout: "placement__service__team",
}


class AuditEntrySerializer(serializers.ModelSerializer):
    class Meta:
        model = AuditEntry
        fields = (
            "id", "at", "actor", "verb", "object_type", "object_id", "object_label", "change",
            "reason", "request_id", "remote_address",
        )  # fmt: skip


class AuditEntryFilter(filters.FilterSet):
    at = filters.IsoDateTimeFromToRangeFilter()

    class Meta:
        model = AuditEntry
        fields = ("actor", "verb", "object_type", "object_id", "request_id")


class AuditEntryViewSet(ApiViewSet):
    """Who did what. Members see what concerns their teams' objects and clusters, and what they
    did themselves; the permission `base.view_auditentry` shows everything."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = AuditEntryFilter
    search_fields = ("actor", "object_label", "reason")
    ordering_fields = ("at", "actor", "verb")
    list_queries = 2

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return audit_entries(self.request.user)


def audit_entries(user: User) -> QuerySet[AuditEntry]:
    """The entries that a user may read; pages use it as well."""
    if user.has_perm("base.view_auditentry"):
        return AuditEntry.objects.all()
    mine = Q(actor=user.get_username())
    for model, team_path in _SEEN_THROUGH.items():
        rows = access.visible(model.objects, user, team_path=team_path) if team_path else model
        ids = getattr(rows, "objects", rows).values_list(Cast("pk", CharField()), flat=True)
        mine |= Q(object_type=model._meta.label_lower, object_id__in=ids)
    return AuditEntry.objects.filter(mine)


class MeView(StrictView, APIView):
    """Who asks: the user, the teams with their ids and roles, and the key in use."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        user = request.user
        memberships = user.memberships.select_related("team").order_by("team__name")
        teams = [{"id": m.team_id, "name": m.team.name, "role": m.role} for m in memberships]
        about = {"id": user.pk, "username": user.username, "is_superuser": user.is_superuser}
        return Response({"user": about, "teams": teams, "api_key": _key(request.auth)})


def _key(auth: Any) -> dict[str, Any] | None:
    if not isinstance(auth, ApiKey):
        return None
    return {"name": auth.name, "scope": auth.scope, "expires_at": auth.expires_at}


router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("clusters", ClusterViewSet, basename="cluster")
router.register("node-pools", NodePoolViewSet, basename="node-pool")
router.register("services", ServiceViewSet, basename="service")
router.register("placements", PlacementViewSet, basename="placement")
router.register("releases", ReleaseViewSet, basename="release")
router.register("rollouts", RolloutViewSet, basename="rollout")
router.register("audit-entries", AuditEntryViewSet, basename="audit-entry")


class RootView(StrictView, APIView):
    """Where everything is."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        lists = {prefix: f"{basename}-list" for prefix, _, basename in router.registry}
        names = {**lists, "me": "api-me", "schema": "api-schema"}
        found = {name: reverse(f"api:{view}", request=request) for name, view in names.items()}
        # RFC 8631: where a program finds the description of this API.
        return Response(found, headers={"Link": f'<{found["schema"]}>; rel="service-desc"'})


class SchemaView(StrictView, SpectacularJSONAPIView):
    """The OpenAPI 3 description of this API."""

    permission_classes = (access.SignedInWithScope,)


urlpatterns: list[URLPattern] = [
    path("", RootView.as_view(), name="api-root"),
    path("me", MeView.as_view(), name="api-me"),
    path("schema", SchemaView.as_view(), name="api-schema"),
    *router.urls,
]
