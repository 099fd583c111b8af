"""Services: the list, one with its placement matrix, new ones, and their placements."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from fleet import catalogue
from fleet.models import Cluster, Placement, Service
from portal.base import access
from portal.base.models import Role, User
from portal.base.problems import NotAllowed
from portal.dashboard import pages
from portal.dashboard.forms.catalogue import (
    OverridesForm,
    PlacementForm,
    ServiceEditForm,
    ServiceForm,
)
from portal.dashboard.forms.rollouts import ConfirmForm
from portal.dashboard.forms.yaml_fields import as_yaml
from portal.dashboard.queries import catalogue as queries
from portal.dashboard.queries import rollouts
from portal.dashboard.views.releases import find_service


@require_safe
@pages.page
def index(request: HttpRequest) -> HttpResponse:
    sort, order = pages.sort(request, queries.SORTS, "name")
    rows = queries.listed(request.user, pages.asked(request).get("q", ""))
    context = {
        "page": pages.cut(request, rows.order_by(order, "name")),
        "sort": sort,
        "wanted": request.GET,
        "may_create": queries.administered_teams(request.user).exists(),
        "teams": list(access.team_ids(request.user)[:50]),
    }
    live = pages.wants_live(request)
    name = "fleet/_services_live.html" if live else "fleet/services.html"
    return render(request, name, context)


@require_safe
@pages.page
def show(request: HttpRequest, name: str) -> HttpResponse:
    context = _page_context(request.user, find_service(request, name))
    live = pages.wants_live(request)
    return render(request, "fleet/_service_live.html" if live else "fleet/service.html", context)


@pages.page
def create(request: HttpRequest) -> HttpResponse:
    teams = queries.administered_teams(request.user)
    if not teams.exists():
        raise NotAllowed("This needs the role admin in a team")
    form = ServiceForm(pages.sent(request)[0], teams=teams)
    if pages.accepted(
        form, lambda: catalogue.create_service(**form.cleaned_data, actor=request.user)
    ):
        messages.success(request, f"{form.result.name} is there. Place it on a cluster next.")
        return redirect("service", name=form.result.name)
    return pages.show_form(request, "fleet/service_new.html", form)


@pages.page
def edit(request: HttpRequest, name: str) -> HttpResponse:
    service = _administered(request, name)
    about = {"description": service.description, "runbook_url": service.runbook_url}
    form = ServiceEditForm(pages.sent(request)[0], initial=about)
    if pages.accepted(
        form,
        lambda: catalogue.change_service(service=service, actor=request.user, **form.cleaned_data),
    ):
        messages.success(request, "Saved.")
        return redirect("service", name=name)
    return pages.show_form(request, "fleet/service_edit.html", form, service=service)


@pages.page
def place(request: HttpRequest, name: str) -> HttpResponse:
    service = _administered(request, name)
    form = PlacementForm(pages.sent(request)[0])
    if pages.accepted(
        form,
        lambda: catalogue.place(service=service, actor=request.user, **form.cleaned_data),
    ):
        messages.success(request, f"{form.result}: ready for its first release.")
        return redirect("service", name=name)
    clusters = Cluster.objects.exists()
    return pages.show_form(
        request, "fleet/placement_new.html", form, service=service, clusters=clusters
    )


@pages.page
def change_placement(request: HttpRequest, pk: UUID) -> HttpResponse:
    placement = _administered_placement(request, pk)
    overrides = as_yaml(placement.overrides) if placement.overrides else ""
    form = OverridesForm(pages.sent(request)[0], initial={"overrides": overrides})
    if pages.accepted(
        form,
        lambda: catalogue.change_overrides(
            placement=placement, actor=request.user, **form.cleaned_data
        ),
    ):
        messages.success(request, "Saved. It counts from the next rollout on.")
        return redirect("service", name=placement.service.name)
    return pages.show_form(request, "fleet/placement_edit.html", form, placement=placement)


@pages.page
def remove_placement(request: HttpRequest, pk: UUID) -> HttpResponse:
    placement = _administered_placement(request, pk)
    service = placement.service
    form = ConfirmForm(pages.sent(request)[0], name=service.name)
    if pages.accepted(
        form,
        lambda: catalogue.remove_placement(
            placement=placement, actor=request.user, **form.cleaned_data
        ),
    ):
        messages.success(request, f"{service.name} is not placed there any more.")
        return redirect("service", name=service.name)
    return pages.show_form(
        request, "fleet/placement_remove.html", form, placement=placement, service=service
    )


def visible_placements(user: User) -> QuerySet[Placement]:
    rows = Placement.objects.select_related("service__team", "cluster")
    return access.visible(rows, user, team_path="service__team")


def _administered(request: HttpRequest, name: str) -> Service:
    service = find_service(request, name)
    access.require(request.user, service.team_id, Role.ADMIN)
    return service


def _administered_placement(request: HttpRequest, pk: UUID) -> Placement:
    placement = pages.find(visible_placements(request.user), "placement", pk=pk)
    access.require(request.user, placement.service.team_id, Role.ADMIN)
    return placement


def _page_context(user: User, service: Service) -> dict[str, Any]:
    role = access.role_in(user, service.team_id)
    seen = rollouts.visible(user).filter(placement__service=service)
    return {
        "service": service,
        "matrix": queries.placement_rows(service),
        "releases": service.releases.select_related("created_by")[:8],
        "rows": rollouts.projected(seen[:8]),
        "may_operate": role in (Role.OPERATOR, Role.ADMIN),
        "may_administer": role == Role.ADMIN,
    }
