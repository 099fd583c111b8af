"""The admin of clusters, pools, services, placements, and what is observed of them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet, URLField
from django.http import HttpRequest

from fleet import catalogue, clusters
from fleet.models import Cluster, NodePool, ObservedObject, Placement, Service, WatchCursor
from portal.base.admin import AuditedAdmin, ReadOnlyAdmin, VerbAdmin, VerbForm
from portal.base.models import User


class RegisterForm(VerbForm):
    """A new cluster: the kubeconfig is read by an allow-list and stored encrypted."""

    kubeconfig = forms.CharField(
        widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 16, "spellcheck": "false"})
    )

    class Meta:
        model = Cluster
        fields = ("name", "region", "provider", "environment")


@admin.register(Cluster)
class ClusterAdmin(VerbAdmin):
    """What contact with the cluster shows is to read; credentials are never shown."""

    list_display = (
        "name", "region", "provider", "environment", "connection", "version", "last_contact_at"
    )  # fmt: skip
    list_filter = ("connection", "environment", "provider", "region")
    search_fields = ("name", "region", "server")
    actions = ("check_connection",)
    fields = (
        "name", ("region", "provider", "environment"), "server", ("connection", "version"),
        "connection_detail", ("last_contact_at", "api_latency_seconds"), "credentials_expire_at",
        ("failures", "closed_until"), "created_at",
    )  # fmt: skip
    readonly_fields = (
        "name", "server", "connection", "version", "connection_detail", "last_contact_at",
        "api_latency_seconds", "credentials_expire_at", "failures", "closed_until", "created_at",
    )  # fmt: skip

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> type:
        if obj is None:
            kwargs["form"] = RegisterForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Cluster | None = None) -> Any:
        adding = ("name", ("region", "provider", "environment"), "kubeconfig")
        return self.fields if obj else adding

    def get_readonly_fields(self, request: HttpRequest, obj: Cluster | None = None) -> Any:
        return self.readonly_fields if obj else ()

    def create(self, actor: User, given: dict[str, Any]) -> Cluster:
        return clusters.register(actor=actor, **given)

    def update(self, actor: User, row: Cluster, given: dict[str, Any]) -> Cluster:
        return clusters.change(cluster=Cluster.objects.get(pk=row.pk), actor=actor, **given)

    def remove(self, actor: User, row: Cluster) -> None:
        clusters.remove(cluster=row, actor=actor, confirm=row.name)

    @admin.action(description="Check the connection", permissions=["view"])
    def check_connection(self, request: HttpRequest, queryset: QuerySet) -> None:
        for cluster in queryset:
            faults = [result for result in clusters.check(cluster=cluster) if not result.ok]
            for fault in faults:
                messages.error(request, f"{cluster}: {fault.name}: {fault.detail} {fault.hint}")
            if not faults:
                messages.success(request, f"{cluster}: every step passed")


@admin.register(NodePool)
class NodePoolAdmin(AuditedAdmin):
    list_display = (
        "name", "cluster", "accelerator_type", "accelerators_per_node", "min_nodes", "max_nodes",
        "spot",
    )  # fmt: skip
    list_filter = ("cluster", "accelerator_type", "spot")
    search_fields = ("name", "cluster__name", "machine_type", "accelerator_type")
    list_select_related = ("cluster",)
    autocomplete_fields = ("cluster",)


@admin.register(Service)
class ServiceAdmin(VerbAdmin):
    """A service keeps its team and name; how it is described may change."""

    list_display = ("name", "team", "description", "created_at")
    list_filter = ("team",)
    search_fields = ("name", "description")
    list_select_related = ("team",)
    autocomplete_fields = ("team",)
    fields = ("team", "name", "description", "runbook_url")
    formfield_overrides = {URLField: {"assume_scheme": "https"}}

    def get_readonly_fields(self, request: HttpRequest, obj: Service | None = None) -> Any:
        return ("team", "name") if obj else ()

    def create(self, actor: User, given: dict[str, Any]) -> Service:
        return catalogue.create_service(actor=actor, **given)

    def update(self, actor: User, row: Service, given: dict[str, Any]) -> Service:
        stored = Service.objects.select_related("team").get(pk=row.pk)
        return catalogue.change_service(service=stored, actor=actor, **given)

    def remove(self, actor: User, row: Service) -> None:
        catalogue.remove_service(service=row, actor=actor, confirm=row.name)


@admin.register(Placement)
class PlacementAdmin(VerbAdmin):
    """A placement stays where it is; its overrides may change."""

    list_display = ("service", "cluster", "namespace", "created_at")
    list_filter = ("cluster", "service__team")
    search_fields = ("service__name", "cluster__name", "namespace")
    list_select_related = ("service", "cluster")
    autocomplete_fields = ("service", "cluster")
    fields = ("service", "cluster", "namespace", "overrides")

    def get_readonly_fields(self, request: HttpRequest, obj: Placement | None = None) -> Any:
        return ("service", "cluster", "namespace") if obj else ()

    def create(self, actor: User, given: dict[str, Any]) -> Placement:
        return catalogue.place(actor=actor, **given)

    def update(self, actor: User, row: Placement, given: dict[str, Any]) -> Placement:
        stored = Placement.objects.select_related("service__team").get(pk=row.pk)
        overrides = given["overrides"] or {}
        return catalogue.change_overrides(placement=stored, actor=actor, overrides=overrides)

    def remove(self, actor: User, row: Placement) -> None:
        catalogue.remove_placement(placement=row, actor=actor, confirm=row.service.name)


@admin.register(ObservedObject)
class ObservedObjectAdmin(ReadOnlyAdmin):
    list_display = ("kind", "namespace", "name", "cluster", "placement", "seen_at")
    list_filter = ("kind", "cluster")
    search_fields = ("name", "namespace", "uid")
    list_select_related = ("cluster", "placement__service", "placement__cluster")


@admin.register(WatchCursor)
class WatchCursorAdmin(ReadOnlyAdmin):
    list_display = ("cluster", "kind", "state", "heard_at", "listed_at", "detail")
    list_filter = ("state", "kind", "cluster")
    search_fields = ("cluster__name", "kind", "detail")
    list_select_related = ("cluster",)
