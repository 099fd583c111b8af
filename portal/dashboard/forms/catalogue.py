"""Services, placements and releases."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from deploy.models import Release
from fleet.models import Cluster
from portal.base.models import Team
from portal.dashboard.forms.problems import Fields, text_area
from portal.dashboard.forms.yaml_fields import YamlField, YamlMapping, as_yaml


class ServiceForm(Fields):
    """What `fleet.catalogue.create_service` takes."""

    pointers = {"team_id": "team"}

    team = forms.ModelChoiceField(Team.objects.none(), empty_label=None)
    name = forms.CharField(max_length=63, help_text="Lower case letters, digits and '-', as in asr")
    description = forms.CharField(max_length=300, required=False)
    runbook_url = forms.URLField(
        required=False, label="Runbook", assume_scheme="https",
        help_text="Where people read what to do when it is broken",
    )  # fmt: skip

    def __init__(self, *args: Any, teams: QuerySet[Team], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["team"].queryset = teams


class ServiceEditForm(Fields):
    """Name and team stay: releases, placements and rights hang on them."""

    description = forms.CharField(max_length=300, required=False)
    runbook_url = forms.URLField(required=False, label="Runbook", assume_scheme="https")


class PlacementForm(Fields):
    """What `fleet.catalogue.place` takes."""

    pointers = {"cluster_id": "cluster"}

    cluster = forms.ModelChoiceField(Cluster.objects.order_by("name"), empty_label=None)
    namespace = forms.CharField(max_length=63, initial="default")
    overrides = YamlMapping(
        rows=6, required=False,
        help_text="What differs here, as YAML: replicas: {asr: 2}, resources, patches. "
        "Empty: nothing.",
    )  # fmt: skip


class OverridesForm(Fields):
    """What `fleet.catalogue.change_overrides` takes."""

    overrides = YamlMapping(
        rows=12, required=False,
        help_text="replicas, resources and patches as YAML; they count from the next rollout on",
    )  # fmt: skip


class ReleaseForm(Fields):
    """What `deploy.releases.create` takes, as text."""

    version = forms.CharField(max_length=80)
    changelog = forms.CharField(
        required=False, widget=text_area(3), help_text="What changes for users and operators"
    )
    images = YamlMapping(
        rows=4,
        required=False,
        help_text="name: reference with digest, as in asr: registry/asr@sha256:9c41…",
    )
    manifests = YamlField(rows=22, help_text="Kubernetes objects, separated by ---")
    config = YamlMapping(
        rows=8, required=False, help_text="ConfigMaps: a name, and below it keys with their text"
    )
    model_id = forms.CharField(max_length=200, required=False, label="Model")
    model_revision = forms.CharField(max_length=200, required=False)
    git_commit = forms.CharField(max_length=64, required=False, label="Git commit")

    @staticmethod
    def from_latest(release: Release | None) -> dict[str, Any]:
        """Initial values: the newest release as text, so that people change what changes."""
        if release is None:
            return {}
        return {
            "images": as_yaml(release.images),
            "manifests": as_yaml(*release.manifests),
            "config": as_yaml(release.config) if release.config else "",
            "model_id": release.model_id,
            "model_revision": release.model_revision,
        }
