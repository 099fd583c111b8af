"""The admin of releases and rollouts: history to read, verbs to call."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from deploy import releases, rollouts
from deploy.models import Attempt, Intent, Release, Rollout, RolloutStep
from portal.base.admin import ReadOnlyAdmin, VerbAdmin, VerbForm, each
from portal.base.models import User


class RowsInline(admin.TabularInline):
    """Rows of a rollout, to read."""

    extra = 0
    can_delete = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class StepInline(RowsInline):
    model = RolloutStep
    fields = ("index", "title", "state", "detail", "started_at", "finished_at")


class IntentInline(RowsInline):
    model = Intent
    fields = ("at", "verb", "actor", "reason", "consumed_at", "outcome")


@admin.register(Release)
class ReleaseAdmin(VerbAdmin):
    """A release is made and never changed: adding calls the verb, the rest is to read."""

    list_display = ("__str__", "service", "number", "version", "created_by", "created_at")
    list_filter = ("service", "created_at")
    search_fields = ("service__name", "version", "model_id", "git_commit", "digest")
    list_select_related = ("service", "created_by")
    autocomplete_fields = ("service",)
    fields = (
        ("service", "version"), "manifests", "images", "config", ("model_id", "model_revision"),
        "git_commit", "changelog", "provenance",
    )  # fmt: skip
    actions = ("start",)

    def get_fields(self, request: HttpRequest, obj: Release | None = None) -> Any:
        made = ("number", "digest", ("created_by", "created_at"))
        return (*self.fields, *made) if obj else self.fields

    def create(self, actor: User, given: dict[str, Any]) -> Release:
        given = {**given, "config": given["config"] or {}, "provenance": given["provenance"] or {}}
        return releases.create(actor=actor, **given)

    def has_start_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("deploy.add_rollout")

    @admin.action(description="Start on a placement…", permissions=["start"])
    def start(self, request: HttpRequest, queryset: QuerySet) -> HttpResponseRedirect | None:
        if len(queryset) != 1:
            messages.error(request, "Select one release to start")
            return None
        address = reverse("admin:deploy_rollout_add")
        return HttpResponseRedirect(f"{address}?{urlencode({'release': queryset[0].pk})}")


class StartForm(VerbForm):
    """What starting a rollout needs; everything else is worked out from the release."""

    reason = forms.CharField(required=False, max_length=1000, help_text="Shown in the history")

    class Meta:
        model = Rollout
        fields = ("release", "placement")


@admin.register(Rollout)
class RolloutAdmin(VerbAdmin):
    """Adding starts a rollout; its state is the engine's alone, so all fields are to read."""

    form = StartForm
    list_display = ("__str__", "state", "kind", "strategy", "created_by", "created_at", "reason")
    list_filter = ("state", "kind", "placement__cluster", "placement__service", "created_at")
    search_fields = ("release__service__name", "release__version", "placement__cluster__name")
    list_select_related = ("release__service", "placement__cluster", "created_by")
    autocomplete_fields = ("release", "placement")
    actions = ("pause", "resume", "abort")

    shown = (
        ("release", "placement"), ("kind", "strategy", "origin"), ("state", "step_index"),
        "reason", "explanation", "drift", "stalled_since", ("created_by", "created_at"),
        ("started_at", "finished_at"), ("fence", "lease_owner", "lease_until"),
        ("next_due", "woken_at"), "stable", "plan_sha256", "plan", "memory",
    )  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: Rollout | None = None) -> Any:
        return self.shown if obj else ("release", "placement", "reason")

    def get_inlines(self, request: HttpRequest, obj: Rollout | None) -> list[type]:
        return [StepInline, IntentInline] if obj else []

    def create(self, actor: User, given: dict[str, Any]) -> Rollout:
        return rollouts.start(actor=actor, **given)

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("deploy.change_rollout")

    @admin.action(description="Pause", permissions=["steer"])
    def pause(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._steer(request, queryset, rollouts.pause, "will pause")

    @admin.action(description="Resume", permissions=["steer"])
    def resume(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._steer(request, queryset, rollouts.resume, "will go on")

    @admin.action(description="Abort and return to the release before", permissions=["steer"])
    def abort(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._steer(request, queryset, rollouts.abort, "will be aborted")

    def _steer(self, request: HttpRequest, rows: QuerySet, verb: Any, done: str) -> None:
        each(request, rows, lambda row: verb(rollout=row, actor=request.user), done)


@admin.register(RolloutStep)
class RolloutStepAdmin(ReadOnlyAdmin):
    list_display = ("rollout", "index", "title", "state", "started_at", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("title", "rollout__release__service__name")
    list_select_related = ("rollout__release__service", "rollout__placement__cluster")


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ("at", "rollout", "step_index", "action", "outcome", "fence", "detail")
    list_filter = ("outcome", "action", "at")
    search_fields = ("detail", "rollout__release__service__name")
    list_select_related = ("rollout__release__service", "rollout__placement__cluster")
    ordering = ("-at",)


@admin.register(Intent)
class IntentAdmin(ReadOnlyAdmin):
    list_display = ("at", "rollout", "verb", "actor", "reason", "consumed_at", "outcome")
    list_filter = ("verb", "at")
    search_fields = ("reason", "actor__username", "rollout__release__service__name")
    list_select_related = (
        "actor", "rollout__release__service", "rollout__placement__cluster"
    )  # fmt: skip
    ordering = ("-at",)
