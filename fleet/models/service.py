"""A service a team runs, and its placements: the service on one cluster and namespace."""

from django.db import models

from fleet.models.cluster import Cluster, dns_label
from portal.base.ids import new_id
from portal.base.models import Team


class Service(models.Model):
    """Something deployable. What is deployed stands in releases (room `deploy`)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="services")
    name = models.CharField(max_length=63, unique=True, validators=[dns_label])
    description = models.CharField(max_length=300, blank=True)
    runbook_url = models.URLField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def topic(self) -> str:
        return f"service:{self.pk}"


class Placement(models.Model):
    """A service on a cluster. `overrides` are applied when a release is rendered for it.

    Overrides: `{"replicas": {deployment: int}, "resources": {"deployment/container":
    {requests, limits}}, "patches": [{"kind", "name", "patch"}]}` (JSON merge patches).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="placements")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="placements")
    namespace = models.CharField(max_length=63, default="default", validators=[dns_label])
    overrides = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["service", "cluster", "namespace"]
        constraints = [
            models.UniqueConstraint(
                fields=["service", "cluster", "namespace"], name="placement_once_per_namespace"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service.name} on {self.cluster.name}/{self.namespace}"

    @property
    def topic(self) -> str:
        return f"placement:{self.pk}"
