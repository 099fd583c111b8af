"""The admin of people, teams, keys and records; and the two base classes of every room's admin.

The admin is one more door to the verbs: what has a verb is changed by calling it, and a Problem
it raises is shown as a message.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from portal.base import api_keys, audit, events
from portal.base.models import (
    ApiKey,
    AuditEntry,
    Event,
    IdempotencyKey,
    Membership,
    Team,
    User,
)
from portal.base.problems import Problem


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only the portal writes."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class AuditedAdmin(admin.ModelAdmin):
    """Rows without rules of their own: saved as they are, with an entry in the audit trail."""

    list_per_page = 50

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        verb = f"{obj._meta.model_name}.{'change' if change else 'create'}"
        with events.transaction():
            super().save_model(request, obj, form, change)
            given = {"fields": form.changed_data}
            audit.record(actor=request.user, verb=verb, target=obj, change=given)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with events.transaction():
            verb = f"{obj._meta.model_name}.remove"
            audit.record(actor=request.user, verb=verb, target=obj)
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        for row in queryset:
            self.delete_model(request, row)


class VerbForm(ModelForm):
    """Shows the Problem that a verb raised at the fields it points to, with the input kept."""

    problem: Problem | None = None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.problem is not None:
            at = {one.pointer.split("/")[1]: one for one in self.problem.errors if one.pointer}
            known = {name: one for name, one in at.items() if name in self.fields}
            for name, one in known.items():
                self.add_error(name, f"{one.pointer}: {one.message}")
            if not known:
                self.add_error(None, told(self.problem))
        return cleaned


class VerbAdmin(admin.ModelAdmin):
    """Adds, changes and deletes through verbs.

    Subclasses fill `create`, `update` and `remove`, which get the actor and raise Problem. What
    has no verb is not offered. There is no deletion in bulk: each asks for its own confirmation.
    """

    form = VerbForm
    list_per_page = 50
    create: Callable[..., Model] | None = None
    update: Callable[..., object] | None = None
    remove: Callable[..., None] | None = None

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> type[ModelForm]:
        form = super().get_form(request, *args, **kwargs)
        form.problem = getattr(request, "problem", None)
        return form

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found = super().get_actions(request)
        return {name: action for name, action in found.items() if name != "delete_selected"}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.create is not None and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.update is not None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.remove is not None and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        if change:
            self.update(request.user, obj, form.cleaned_data)
            return
        made = self.create(request.user, form.cleaned_data)
        # The admin goes on with its own instance: let it be the row that the verb made.
        obj.__dict__.update(made.__dict__)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.remove(request.user, obj)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except Problem as problem:
            # Everything is rolled back; the same form once more, now with the problem in it.
            request.problem = problem
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().delete_view(request, *args, **kwargs)
        except Problem as problem:
            messages.error(request, told(problem))
            return HttpResponseRedirect(request.get_full_path())


def told(problem: Problem) -> str:
    """A Problem in one paragraph: its detail, then each mistake not mentioned there."""
    mistakes = [f"{one.pointer} {one.message}" for one in problem.errors]
    return ". ".join([problem.detail, *(m for m in mistakes if m not in problem.detail)])


def each(request: HttpRequest, rows: Iterable[Any], act: Callable[[Any], Any], done: str) -> None:
    """Runs a verb on every selected row and says of each how it went."""
    for row in rows:
        try:
            act(row)
        except Problem as problem:
            messages.error(request, f"{row}: {told(problem)}")
        else:
            messages.success(request, f"{row}: {done}")


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user", "team")


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    inlines = (MembershipInline,)


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(AuditedAdmin):
    list_display = ("user", "team", "role")
    list_filter = ("role", "team")
    search_fields = ("user__username", "team__name")
    autocomplete_fields = ("user", "team")
    list_select_related = ("user", "team")


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys are made with `manage.py create_api_key`, which shows the secret once."""

    list_display = ("name", "key_id", "owner", "scope", "expires_at", "revoked_at", "last_used_at")
    list_filter = ("scope", "expires_at", "revoked_at")
    search_fields = ("name", "key_id", "owner__username")
    list_select_related = ("owner",)
    exclude = ("digest",)
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("base.change_apikey")

    @admin.action(description="Revoke the selected keys at once", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet) -> None:
        each(request, queryset, lambda key: api_keys.revoke(key=key, actor=request.user), "revoked")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("seq", "kind", "object_id", "actor", "at")
    list_filter = ("kind", "at")
    search_fields = ("object_id", "actor")
    ordering = ("-seq",)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "verb", "object_label", "reason", "remote_address")
    list_filter = ("verb", "object_type", "at")
    search_fields = ("actor", "object_label", "object_id", "request_id", "reason")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    list_display = ("key", "principal", "response_status", "created_at")
    search_fields = ("key", "principal__username")
    list_select_related = ("principal",)
    exclude = ("response_body",)
