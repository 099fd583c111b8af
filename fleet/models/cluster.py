"""A registered cluster with its encrypted credentials, and the node pools declared for it."""

from django.core.validators import RegexValidator
from django.db import models

from portal.base.crypto import EncryptedJSONField
from portal.base.ids import new_id

dns_label = RegexValidator(
    r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
    "Use lower case letters, digits and '-', 63 characters at most, not starting or ending in '-'.",
    code="dns_label",
)


class Environment(models.TextChoices):
    DEVELOPMENT = "development", "Development"
    STAGING = "staging", "Staging"
    PRODUCTION = "production", "Production"
    DR = "dr", "Disaster recovery"


class Provider(models.TextChoices):
    SANDBOX = "sandbox", "Sandbox"
    KUBERNETES = "kubernetes", "Kubernetes"
    EKS = "eks", "Amazon EKS"
    GKE = "gke", "Google GKE"
    AKS = "aks", "Azure AKS"
    EDGE = "edge", "Edge"
    DOCKER = "docker", "Docker host"


class Connection(models.TextChoices):
    """What the last contact with the API server showed."""

    UNKNOWN = "unknown", "Not contacted yet"
    CONNECTED = "connected", "Connected"
    UNREACHABLE = "unreachable", "Unreachable"
    REFUSED = "refused", "Credentials refused"


class Cluster(models.Model):
    """One Kubernetes API server. `credentials` is the JSON of a `fleet.kube.connect.Endpoint`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=63, unique=True, validators=[dns_label])
    region = models.CharField(max_length=40, blank=True)
    provider = models.CharField(max_length=12, choices=Provider, default=Provider.KUBERNETES)
    environment = models.CharField(
        max_length=12, choices=Environment, default=Environment.DEVELOPMENT
    )
    server = models.CharField(max_length=300, blank=True)
    credentials = EncryptedJSONField(null=True)
    credentials_expire_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    connection = models.CharField(
        max_length=12, choices=Connection, default=Connection.UNKNOWN, editable=False
    )
    connection_detail = models.TextField(blank=True, editable=False)
    version = models.CharField(max_length=40, blank=True, editable=False)
    last_contact_at = models.DateTimeField(null=True, blank=True, editable=False)
    api_latency_seconds = models.FloatField(null=True, blank=True, editable=False)
    # Circuit breaker: consecutive failures, and until when no call is tried.
    failures = models.PositiveIntegerField(default=0, editable=False)
    closed_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(connection__in=Connection.values),
                name="cluster_connection_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def topic(self) -> str:
        return f"cluster:{self.pk}"


class NodePool(models.Model):
    """Nodes that are alike, found by their labels. Capacity is observed, never typed in."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="node_pools")
    name = models.CharField(max_length=63, validators=[dns_label])
    selector = models.JSONField(default=dict, help_text="Node labels that mark this pool")
    machine_type = models.CharField(max_length=60, blank=True)
    accelerator_type = models.CharField(max_length=60, blank=True)
    accelerators_per_node = models.PositiveIntegerField(default=0)
    min_nodes = models.PositiveIntegerField(default=0)
    max_nodes = models.PositiveIntegerField(default=0)
    disk_gigabytes = models.PositiveIntegerField(default=0)
    taints = models.JSONField(default=list, blank=True)
    spot = models.BooleanField(default=False)

    class Meta:
        ordering = ["cluster", "name"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "name"], name="pool_name_per_cluster"),
            models.CheckConstraint(
                condition=models.Q(max_nodes__gte=models.F("min_nodes")),
                name="pool_max_not_below_min",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster.name}/{self.name}"
