"""What the watcher saw: projections of cluster objects, and where each watch stands."""

from django.db import models

from fleet.models.cluster import Cluster
from fleet.models.service import Placement
from portal.base.ids import new_id


class ObservedObject(models.Model):
    """The projection of one cluster object, as of `seen_at` (shapes: `fleet/kube/projections`)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="observed")
    placement = models.ForeignKey(
        Placement, null=True, on_delete=models.SET_NULL, related_name="observed"
    )
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=63, blank=True)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=64)
    projection = models.JSONField(default=dict)
    resource_version = models.CharField(max_length=40, blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["cluster", "kind", "namespace", "name"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "kind", "uid"], name="observed_once"),
        ]
        indexes = [models.Index(fields=["placement", "kind"], name="observed_by_placement")]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class WatchCursor(models.Model):
    """Where the watch of one kind on one cluster stands; a restart resumes from here."""

    class State(models.TextChoices):
        LISTING = "listing", "Listing"
        LIVE = "live", "Live"
        RECONNECTING = "reconnecting", "Reconnecting"
        FORBIDDEN = "forbidden", "Not allowed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="cursors")
    kind = models.CharField(max_length=40)
    resource_version = models.CharField(max_length=40, blank=True)
    # Shape of the stored projections; a watch resumes only from rows of today's shape.
    projection_version = models.PositiveIntegerField(default=0, editable=False)
    state = models.CharField(max_length=12, choices=State, default=State.LISTING)
    detail = models.TextField(blank=True)
    listed_at = models.DateTimeField(null=True)
    # When the API server last said anything on this watch, a bookmark included: freshness.
    heard_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["cluster", "kind"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "kind"], name="one_cursor_per_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.cluster.name} {self.kind}: {self.state}"
