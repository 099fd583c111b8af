"""Releases of a service: the list, one with its difference to the one before, and a new one."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from deploy import releases
from deploy.models import Release
from fleet.models import Service
from portal.base import access
from portal.base.models import Role
from portal.dashboard import pages
from portal.dashboard.forms.catalogue import ReleaseForm
from portal.dashboard.forms.yaml_fields import as_yaml
from portal.dashboard.queries import catalogue as queries
from portal.dashboard.queries import rollouts

SORTS = {"number": "number", "version": "version", "created": "created_at"}


@require_safe
@pages.page
def index(request: HttpRequest, name: str) -> HttpResponse:
    service = find_service(request, name)
    sort, order = pages.sort(request, SORTS, "-number")
    rows = service.releases.select_related("created_by").defer("manifests", "config")
    if text := pages.asked(request).get("q", ""):
        rows = rows.filter(version__icontains=text) | rows.filter(changelog__icontains=text)
    page = pages.cut(request, rows.order_by(order))
    context = {"service": service, "page": page, "sort": sort, "wanted": request.GET}
    context["may_operate"] = access.may(request.user, service.team_id, Role.OPERATOR)
    return render(request, "deploy/releases.html", context)


@require_safe
@pages.page
def show(request: HttpRequest, name: str, number: int) -> HttpResponse:
    service = find_service(request, name)
    release = pages.find(service.releases.select_related("created_by"), "release", number=number)
    before = service.releases.filter(number__lt=number).order_by("-number").first()
    runs = rollouts.visible(request.user).filter(release=release)[:20]
    context = {
        "service": service,
        "release": release,
        "before": before,
        "difference": queries.difference(before, release) if before else [],
        "manifests": as_yaml(*release.manifests),
        "config": as_yaml(release.config) if release.config else "",
        "rows": rollouts.projected(runs),
        "may_operate": access.may(request.user, service.team_id, Role.OPERATOR),
    }
    return render(request, "deploy/release.html", context)


@pages.page
def create(request: HttpRequest, name: str) -> HttpResponse:
    service = find_service(request, name)
    access.require(request.user, service.team_id, Role.OPERATOR)
    latest = service.releases.order_by("-number").first()
    form = ReleaseForm(pages.sent(request)[0], initial=ReleaseForm.from_latest(latest))
    if pages.accepted(form, lambda: _create(request, service, form.cleaned_data)):
        messages.success(request, f"{service.name} {form.result.version} is made.")
        return redirect("release", name=service.name, number=form.result.number)
    return pages.show_form(request, "deploy/release_new.html", form, service=service, latest=latest)


def find_service(request: HttpRequest, name: str) -> Service:
    return pages.find(queries.visible(request.user), "service", name=name)


def _create(request: HttpRequest, service: Service, given: dict[str, Any]) -> Release:
    return releases.create(service=service, actor=request.user, **given)
