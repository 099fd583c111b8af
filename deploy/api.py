"""REST: releases, rollouts with their evidence, and rolling a placement back."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

import fleet.api
from deploy import releases, rollouts
from deploy.models import Attempt, Intent, Release, Rollout
from deploy.models.rollout import ACTIVE, State
from deploy.projections import rollout_projection
from deploy.shapes import AvailableAction, Difference, Evidence, RolloutShape
from fleet.models import Placement, Service
from portal.base import access
from portal.base.models import Role
from portal.base.rest import etags
from portal.base.rest.filtering import TrueOrFalse
from portal.base.rest.strict import Seen, Strict
from portal.base.rest.views import ApiViewSet

TEAM = "service__team"
ATTEMPTS_SHOWN = 200
_REFERENCES = serializers.DictField(child=serializers.CharField(max_length=500))


class ReleaseSerializer(serializers.ModelSerializer):
    """A release as listed: what it is, without its manifests."""

    created_by = serializers.StringRelatedField()
    service_name = serializers.CharField(source="service.name")

    class Meta:
        model = Release
        fields = (
            "id", "service", "service_name", "number", "version", "digest", "images", "model_id",
            "model_revision", "git_commit", "changelog", "created_by", "created_at",
        )  # fmt: skip


class ReleaseDetailSerializer(ReleaseSerializer):
    class Meta(ReleaseSerializer.Meta):
        fields = (*ReleaseSerializer.Meta.fields, "manifests", "config", "provenance")


class NewRelease(Strict, serializers.Serializer):
    service = Seen(queryset=Service.objects.all(), team_path="team")
    version = serializers.CharField(max_length=80)
    manifests = serializers.ListField(child=serializers.DictField(), max_length=100)
    images = serializers.DictField(child=serializers.CharField(max_length=500))
    config = serializers.DictField(
        child=serializers.DictField(child=serializers.CharField(trim_whitespace=False)),
        default=dict,
    )
    model_id = serializers.CharField(max_length=200, required=False, allow_blank=True)
    model_revision = serializers.CharField(max_length=200, required=False, allow_blank=True)
    git_commit = serializers.CharField(max_length=64, required=False, allow_blank=True)
    changelog = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    provenance = serializers.DictField(required=False)
    # What Pilothouse makes of it; named here so that giving them is refused as such.
    id, number, digest, created_by, created_at = (
        serializers.CharField(read_only=True) for _ in range(5)
    )


class ReleaseFilter(filters.FilterSet):
    service = filters.UUIDFilter(field_name="service_id")
    service_name = filters.CharFilter(field_name="service__name")

    class Meta:
        model = Release
        fields = ("service", "service_name", "version", "model_id", "git_commit")


@extend_schema_view(retrieve=extend_schema(responses=ReleaseDetailSerializer))
class ReleaseViewSet(ApiViewSet):
    """Releases are made and read; they never change."""

    queryset = Release.objects.select_related("service", "created_by")
    serializer_class = ReleaseSerializer
    filterset_class = ReleaseFilter
    team_path = TEAM
    search_fields = ("version", "service__name", "model_id", "changelog")
    ordering_fields = ("number", "version", "created_at")
    list_queries = 2
    parameters = {"difference": {"against"}}

    def representation(self, row: Release) -> dict[str, Any]:
        return ReleaseDetailSerializer(row).data

    @extend_schema(request=NewRelease, responses={201: ReleaseDetailSerializer})
    def create(self, request: Request) -> Response:
        """Freezes a version of a service under its next number."""
        return self.created(releases.create(actor=request.user, **self.given(NewRelease)))

    @extend_schema(
        responses=Difference,
        parameters=[OpenApiParameter("against", OpenApiTypes.UUID, description="A release id")],
    )
    @action(detail=True)
    def difference(self, request: Request, pk: UUID) -> Response:
        """What changes from another release (by default the one before) to this one."""
        after = self.get_object()
        before = self._other(after)
        changes = releases.difference(before=before, after=after)
        about = releases.summary(before) if before else None
        return Response({"before": about, "after": releases.summary(after), "changes": changes})

    def _other(self, release: Release) -> Release | None:
        siblings = self.get_queryset().filter(service=release.service)
        if against := self.parameter_id("against"):
            return get_object_or_404(siblings, pk=against)
        return siblings.filter(number__lt=release.number).order_by("-number").first()


class RolloutFilter(filters.FilterSet):
    state = filters.MultipleChoiceFilter(choices=State.choices)
    active = TrueOrFalse(method="only_active", label="Under way now")
    service = filters.UUIDFilter(field_name="placement__service_id")
    cluster = filters.UUIDFilter(field_name="placement__cluster_id")
    placement = filters.UUIDFilter(field_name="placement_id")
    release = filters.UUIDFilter(field_name="release_id")

    class Meta:
        model = Rollout
        fields = ("kind", "strategy")

    def only_active(self, rows: QuerySet, name: str, value: bool) -> QuerySet:
        return rows.filter(state__in=ACTIVE) if value else rows.exclude(state__in=ACTIVE)


class Parameters(Strict, serializers.Serializer):
    progress_deadline_seconds = serializers.IntegerField(required=False)


class NewRollout(Strict, serializers.Serializer):
    release = Seen(queryset=Release.objects.select_related("service"), team_path=TEAM)
    placement = Seen(
        queryset=Placement.objects.select_related("service", "cluster"), team_path=TEAM
    )
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)
    parameters = Parameters(default=dict)
    # The engine's alone.
    id, state, fence, plan, created_by, lease_owner, next_due = (
        serializers.CharField(read_only=True) for _ in range(7)
    )


class AttemptSerializer(serializers.ModelSerializer):
    class Meta:
        model = Attempt
        fields = ("step_index", "action", "outcome", "detail", "fence", "at")


class IntentSerializer(serializers.ModelSerializer):
    actor = serializers.StringRelatedField()

    class Meta:
        model = Intent
        fields = ("verb", "actor", "reason", "at", "consumed_at", "outcome")


class RolloutDetail(RolloutShape):
    """A rollout with everything that is known of it."""

    available_actions = AvailableAction(many=True)
    evidence = Evidence(many=True)
    attempts = AttemptSerializer(many=True)
    intents = IntentSerializer(many=True)


class Reason(Strict, serializers.Serializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class RollBack(Reason):
    to_release = Seen(queryset=Release.objects.all(), team_path=TEAM, required=False)


def _asking(handler: Callable) -> Callable:
    """A POST below a rollout that states a wish."""
    described = extend_schema(request=Reason, responses={202: RolloutDetail})
    return described(action(detail=True, methods=["post"])(handler))


@extend_schema_view(retrieve=extend_schema(responses=RolloutDetail))
class RolloutViewSet(ApiViewSet):
    """Rollouts: start, watch, steer. The engine works on them; verbs only state a wish."""

    queryset = Rollout.objects.select_related(
        "placement__service", "placement__cluster", "release", "created_by", "stable__release"
    ).prefetch_related(
        "steps", Prefetch("intents", queryset=Intent.objects.select_related("actor"))
    )
    serializer_class = RolloutShape
    filterset_class = RolloutFilter
    team_path = "placement__service__team"
    search_fields = ("placement__service__name", "placement__cluster__name", "release__version")
    ordering_fields = ("created_at", "started_at", "finished_at", "state")
    list_queries = 4

    def representations(self, rows: list[Rollout]) -> list[dict[str, Any]]:
        """The same dict as on pages and in live frames."""
        return [rollout_projection(row) for row in rows]

    def representation(self, row: Rollout) -> dict[str, Any]:
        attempts = row.attempts.order_by("-at")[:ATTEMPTS_SHOWN]
        return {
            **rollout_projection(row),
            "available_actions": self._actions(row),
            "evidence": [{"index": step.index, "found": step.evidence} for step in row.steps.all()],
            "attempts": AttemptSerializer(attempts, many=True).data,
            "intents": IntentSerializer(row.intents.all(), many=True).data,
        }

    def _actions(self, row: Rollout) -> list[dict[str, Any]]:
        actions = rollouts.available_actions(row)
        if access.may(self.request.user, row.placement.service.team_id, Role.OPERATOR):
            return actions
        forbidden = {"enabled": False, "why_not": "This needs the role operator in the owning team"}
        return [{**one, **forbidden} for one in actions]

    def asked_for(self) -> Rollout:
        """The rollout of the address; If-Match is honoured when given."""
        rollout = self.get_object()
        etags.refuse_stale(self.request, self.etag(rollout))
        return rollout

    @extend_schema(request=NewRollout, responses={201: RolloutDetail})
    def create(self, request: Request) -> Response:
        """Starts bringing a release to a placement."""
        return self.created(rollouts.start(actor=request.user, **self.given(NewRollout)))

    @_asking
    def pause(self, request: Request, pk: UUID) -> Response:
        """Stops moving pods at the next tick."""
        return self._ask(rollouts.pause)

    @_asking
    def resume(self, request: Request, pk: UUID) -> Response:
        """Goes on; after a foreign change the plan's fields are taken back first."""
        return self._ask(rollouts.resume)

    @_asking
    def abort(self, request: Request, pk: UUID) -> Response:
        """Returns to the release before; one that waits in the queue is dropped."""
        return self._ask(rollouts.abort)

    def _ask(self, verb: Callable[..., Intent]) -> Response:
        """202: the wish is stored, and the engine takes it up at its next tick."""
        verb(rollout=self.asked_for(), actor=self.request.user, **self.given(Reason))
        return self.answer(self.get_object(), status=202)

    @extend_schema(request=Reason, responses={201: RolloutDetail})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: UUID) -> Response:
        """Starts an ended rollout's plan again, as a new rollout."""
        rollout, given = self.asked_for(), self.given(Reason)
        return self.created(rollouts.retry(rollout=rollout, actor=request.user, **given))


class PlacementViewSet(fleet.api.PlacementViewSet):
    """Placements, as this room extends them."""

    @extend_schema(request=RollBack, responses={201: RolloutShape})
    @action(detail=True, methods=["post"])
    def roll_back(self, request: Request, pk: UUID) -> Response:
        """Brings back an earlier release, by default the last other one, as a new rollout."""
        placement, given = self.get_object(), self.given(RollBack)
        rollout = rollouts.roll_back(placement=placement, actor=request.user, **given)
        address = reverse("api:rollout-detail", kwargs={"pk": rollout.pk}, request=request)
        return Response(rollout_projection(rollout), status=201, headers={"Location": address})
