"""REST: clusters with their pools, services, and placements."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import Count
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet import catalogue, clusters
from fleet.kube.connect import Endpoint
from fleet.kube.errors import KubeError
from fleet.models import Cluster, NodePool, Placement, Service
from fleet.models.cluster import Environment, Provider
from fleet.projections import cluster_projection, cluster_projections
from fleet.shapes import ClusterShape, ConnectionTest
from portal.base import events
from portal.base.models import Team
from portal.base.problems import Unreachable
from portal.base.rest import etags
from portal.base.rest.filtering import TrueOrFalse
from portal.base.rest.strict import Seen, Strict
from portal.base.rest.views import ApiViewSet

MAX_TEXT = 65_536
ENDPOINT_PARTS = (
    "server", "token", "ca_pem", "tls_server_name", "client_certificate_pem", "client_key_pem"
)  # fmt: skip
CONFIRM = OpenApiParameter("confirm", str, required=True, description="The object's name, typed")
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag last read"
)


class NewCluster(Strict, serializers.Serializer):
    """A kubeconfig, or an address with a token; PEM texts as they are."""

    name = serializers.CharField(max_length=63)
    region = serializers.CharField(max_length=40, default="", allow_blank=True)
    provider = serializers.ChoiceField(choices=Provider.choices, default=Provider.KUBERNETES)
    environment = serializers.ChoiceField(
        choices=Environment.choices, default=Environment.DEVELOPMENT
    )
    kubeconfig = serializers.CharField(max_length=MAX_TEXT, required=False, trim_whitespace=False)
    server = serializers.CharField(max_length=300, required=False)
    token = serializers.CharField(max_length=16_384, required=False)
    ca_pem = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True)
    tls_server_name = serializers.CharField(max_length=253, required=False, allow_blank=True)
    client_certificate_pem = serializers.CharField(max_length=MAX_TEXT, required=False)
    client_key_pem = serializers.CharField(max_length=MAX_TEXT, required=False)
    # What contact with the cluster shows.
    id, connection, version, credentials = (serializers.CharField(read_only=True) for _ in range(4))


class ClusterChanges(Strict, serializers.Serializer):
    region = serializers.CharField(max_length=40, allow_blank=True, required=False)
    provider = serializers.ChoiceField(choices=Provider.choices, required=False)
    environment = serializers.ChoiceField(choices=Environment.choices, required=False)
    id, name, server, connection, version, credentials = (
        serializers.CharField(read_only=True) for _ in range(6)
    )


class Credentials(Strict, serializers.Serializer):
    kubeconfig = serializers.CharField(max_length=MAX_TEXT, trim_whitespace=False)


class ClusterFilter(filters.FilterSet):
    class Meta:
        model = Cluster
        fields = ("name", "region", "provider", "environment", "connection")


class ClusterViewSet(ApiViewSet):
    """Everybody who is signed in sees clusters; changes need platform permissions."""

    queryset = Cluster.objects.all()
    serializer_class = ClusterShape
    filterset_class = ClusterFilter
    search_fields = ("name", "region", "server")
    ordering_fields = ("name", "region", "environment", "connection", "created_at")
    list_queries = 4
    parameters = {"destroy": {"confirm"}}

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(
            Unreachable(str(exc)) if isinstance(exc, KubeError) else exc
        )

    def representation(self, row: Cluster) -> dict[str, Any]:
        return cluster_projection(row)

    def representations(self, rows: list[Cluster]) -> list[dict[str, Any]]:
        return cluster_projections(rows)

    def version(self, row: Cluster) -> Any:
        """What people enter; what the watcher sees changes by the second."""
        entered = (row.name, row.region, row.provider, row.environment, row.server)
        return [row.pk, *entered]

    @extend_schema(request=NewCluster, responses={201: ClusterShape})
    def create(self, request: Request) -> Response:
        """Registers a cluster and contacts it once; it is stored also when it does not answer."""
        given = self.given(NewCluster)
        kubeconfig = given.pop("kubeconfig", None)
        parts = {name: given.pop(name) for name in ENDPOINT_PARTS if name in given}
        endpoint = Endpoint(**parts) if parts else None
        cluster = clusters.register(
            actor=request.user, kubeconfig=kubeconfig, endpoint=endpoint, **given
        )
        return self.created(cluster)

    @extend_schema(request=ClusterChanges, responses=ClusterShape, parameters=[IF_MATCH])
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Changes what people enter about a cluster."""
        with events.transaction():
            cluster = self.locked()
            etags.require_match(request, self.etag(cluster))
            given = self.given(ClusterChanges)
            return self.answer(clusters.change(cluster=cluster, actor=request.user, **given))

    @extend_schema(parameters=[CONFIRM])
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Forgets a cluster; nothing in it is touched."""
        confirm = request.query_params.get("confirm", "")
        clusters.remove(cluster=self.get_object(), actor=request.user, confirm=confirm)
        return Response(status=204)

    @extend_schema(request=None, responses=ConnectionTest)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: UUID) -> Response:
        """Tests the connection: name, address, TLS, credential, rights. Takes up to 20 s."""
        cluster = self.get_object()
        results = [asdict(result) for result in clusters.check(cluster=cluster)]
        return Response({"results": results, "cluster": self.representation(cluster)})

    @extend_schema(request=Credentials, responses=ClusterShape)
    @action(detail=True, methods=["post"])
    def credentials(self, request: Request, pk: UUID) -> Response:
        """Replaces address and credential, then contacts the cluster."""
        cluster, given = self.get_object(), self.given(Credentials)
        return self.answer(
            clusters.update_credentials(cluster=cluster, actor=request.user, **given)
        )


class NodePoolSerializer(serializers.ModelSerializer):
    cluster_name = serializers.CharField(source="cluster.name")

    class Meta:
        model = NodePool
        fields = (
            "id", "cluster", "cluster_name", "name", "selector", "machine_type",
            "accelerator_type", "accelerators_per_node", "min_nodes", "max_nodes",
            "disk_gigabytes", "taints", "spot",
        )  # fmt: skip


class NodePoolFilter(filters.FilterSet):
    cluster = filters.UUIDFilter(field_name="cluster_id")
    spot = TrueOrFalse()

    class Meta:
        model = NodePool
        fields = ("cluster", "name", "accelerator_type", "spot")


class NodePoolViewSet(ApiViewSet):
    """Nodes that are alike; kept in the admin."""

    queryset = NodePool.objects.select_related("cluster")
    serializer_class = NodePoolSerializer
    filterset_class = NodePoolFilter
    search_fields = ("name", "cluster__name", "accelerator_type", "machine_type")
    ordering_fields = ("name", "cluster__name", "max_nodes")
    list_queries = 2


class ServiceSerializer(serializers.ModelSerializer):
    team_name = serializers.CharField(source="team.name")
    placements = serializers.IntegerField(source="placement_count")

    class Meta:
        model = Service
        fields = (
            "id", "name", "team", "team_name", "description", "runbook_url", "placements",
            "created_at",
        )  # fmt: skip


class NewService(Strict, serializers.Serializer):
    team = Seen(queryset=Team.objects.all(), team_path="pk")
    name = serializers.CharField(max_length=63)
    description = serializers.CharField(max_length=300, default="", allow_blank=True)
    runbook_url = serializers.CharField(max_length=200, default="", allow_blank=True)
    id, created_at, placements = (serializers.CharField(read_only=True) for _ in range(3))


class ServiceChanges(Strict, serializers.Serializer):
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    runbook_url = serializers.CharField(max_length=200, required=False, allow_blank=True)
    id, name, team, created_at, placements = (
        serializers.CharField(read_only=True) for _ in range(5)
    )


class ServiceFilter(filters.FilterSet):
    team = filters.UUIDFilter(field_name="team_id")
    cluster = filters.UUIDFilter(field_name="placements__cluster_id", distinct=True)

    class Meta:
        model = Service
        fields = ("name", "team")


class ServiceViewSet(ApiViewSet):
    """What the asking user's teams run."""

    queryset = Service.objects.select_related("team").annotate(
        placement_count=Count("placements", distinct=True)
    )
    serializer_class = ServiceSerializer
    filterset_class = ServiceFilter
    team_path = "team"
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at")
    list_queries = 2
    parameters = {"destroy": {"confirm"}}

    def version(self, row: Service) -> Any:
        return [row.pk, row.name, row.team_id, row.description, row.runbook_url]

    @extend_schema(request=NewService, responses={201: ServiceSerializer})
    def create(self, request: Request) -> Response:
        """Declares a service of a team."""
        service = catalogue.create_service(actor=request.user, **self.given(NewService))
        return self.created(self.get_queryset().get(pk=service.pk))

    @extend_schema(request=ServiceChanges, responses=ServiceSerializer, parameters=[IF_MATCH])
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Changes how a service is described."""
        with events.transaction():
            service = self.locked()
            etags.require_match(request, self.etag(service))
            kept = {"description": service.description, "runbook_url": service.runbook_url}
            given = kept | self.given(ServiceChanges)
            catalogue.change_service(service=service, actor=request.user, **given)
            return self.answer(self.get_object())

    @extend_schema(parameters=[CONFIRM])
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Removes a service that is placed nowhere and has no releases."""
        confirm = request.query_params.get("confirm", "")
        catalogue.remove_service(service=self.get_object(), actor=request.user, confirm=confirm)
        return Response(status=204)


class PlacementSerializer(serializers.ModelSerializer):
    service_name = serializers.CharField(source="service.name")
    cluster_name = serializers.CharField(source="cluster.name")

    class Meta:
        model = Placement
        fields = (
            "id", "service", "service_name", "cluster", "cluster_name", "namespace", "overrides",
            "created_at",
        )  # fmt: skip


class NewPlacement(Strict, serializers.Serializer):
    service = Seen(queryset=Service.objects.all(), team_path="team")
    cluster = Seen(queryset=Cluster.objects.all())
    namespace = serializers.CharField(max_length=63, default="default")
    overrides = serializers.DictField(default=dict)
    id, created_at = (serializers.CharField(read_only=True) for _ in range(2))


class PlacementChanges(Strict, serializers.Serializer):
    overrides = serializers.DictField()
    id, service, cluster, namespace, created_at = (
        serializers.CharField(read_only=True) for _ in range(5)
    )


class PlacementFilter(filters.FilterSet):
    service = filters.UUIDFilter(field_name="service_id")
    cluster = filters.UUIDFilter(field_name="cluster_id")

    class Meta:
        model = Placement
        fields = ("service", "cluster", "namespace")


class PlacementViewSet(ApiViewSet):
    """A service on a cluster and namespace, with its overrides."""

    queryset = Placement.objects.select_related("service", "cluster")
    serializer_class = PlacementSerializer
    filterset_class = PlacementFilter
    team_path = "service__team"
    search_fields = ("service__name", "cluster__name", "namespace")
    ordering_fields = ("service__name", "cluster__name", "namespace", "created_at")
    list_queries = 2
    parameters = {"destroy": {"confirm"}}

    @extend_schema(request=NewPlacement, responses={201: PlacementSerializer})
    def create(self, request: Request) -> Response:
        """Places a service on a cluster; the first rollout brings it there."""
        return self.created(catalogue.place(actor=request.user, **self.given(NewPlacement)))

    @extend_schema(request=PlacementChanges, responses=PlacementSerializer, parameters=[IF_MATCH])
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Changes the overrides; the next rollout applies them."""
        with events.transaction():
            placement = self.locked()
            etags.require_match(request, self.etag(placement))
            given = self.given(PlacementChanges)
            catalogue.change_overrides(placement=placement, actor=request.user, **given)
            return self.answer(self.get_object())

    @extend_schema(parameters=[CONFIRM])
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Forgets a placement; its objects stay in the cluster."""
        confirm = request.query_params.get("confirm", "")
        catalogue.remove_placement(placement=self.get_object(), actor=request.user, confirm=confirm)
        return Response(status=204)
