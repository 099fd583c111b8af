"""A release: everything needed to run one version of a service, frozen and numbered."""

from typing import Any

from django.conf import settings
from django.db import models

from fleet.models import Service
from portal.base.ids import new_id
from portal.base.problems import Conflict


class Release(models.Model):
    """Immutable. Images, model and config are pinned as values, so history cannot change.

    `manifests`: Kubernetes objects as given. `images`: `{name in the manifests: reference with
    digest}`. `config`: `{ConfigMap name: {key: text}}`. `provenance`: CI run, SBOM, signatures.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="releases")
    number = models.PositiveIntegerField(editable=False)
    version = models.CharField(max_length=80)
    manifests = models.JSONField()
    images = models.JSONField()
    config = models.JSONField(default=dict, blank=True)
    model_id = models.CharField(max_length=200, blank=True)
    model_revision = models.CharField(max_length=200, blank=True)
    git_commit = models.CharField(max_length=64, blank=True)
    changelog = models.TextField(blank=True)
    provenance = models.JSONField(default=dict, blank=True)
    digest = models.CharField(max_length=71, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["service", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["service", "number"], name="release_number_once"),
            models.UniqueConstraint(fields=["service", "version"], name="release_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.service.name} #{self.number} ({self.version})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Conflict("A release never changes; make a new one", code="immutable")
        super().save(*args, **kwargs)
