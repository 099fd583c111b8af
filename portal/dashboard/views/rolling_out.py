"""Bringing a release to placements, and bringing an earlier one back: look first, then confirm."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect

from deploy import rollouts
from deploy.models import Release, Rollout
from fleet.models import Placement, Service
from portal.base import access
from portal.base.models import Role, User
from portal.base.problems import Problem
from portal.dashboard import pages
from portal.dashboard.forms.rollouts import RollBackForm, RollOutForm
from portal.dashboard.queries import catalogue as queries
from portal.dashboard.queries.blast import blast_radius
from portal.dashboard.views.catalogue import visible_placements
from portal.dashboard.views.releases import find_service


@pages.page
def roll_out(request: HttpRequest, name: str) -> HttpResponse:
    """GET shows what would change where; POST starts it."""
    service = find_service(request, name)
    access.require(request.user, service.team_id, Role.OPERATOR)
    asked = request.POST if request.method == "POST" else request.GET
    release = _release(service, asked.get("release", ""))
    rows = queries.plan_rows(service, release, _chosen(service, asked))
    form = RollOutForm(
        pages.sent(request)[0],
        name=service.name if _in_production(rows) else "",
        releases=service.releases.all(),
        placements=service.placements.all(),
    )
    if pages.accepted(form, lambda: _start_all(request.user, form.cleaned_data)):
        return _begun(request, service, form.result)
    context = {"service": service, "release": release, "rows": rows}
    context["chosen_count"] = sum(row["chosen"] for row in rows)
    context |= {"releases": service.releases.only("id", "version", "number")[:50]}
    return pages.show_form(request, "deploy/roll_out.html", form, **context)


@pages.page
def roll_back(request: HttpRequest, pk: UUID) -> HttpResponse:
    placement = pages.find(visible_placements(request.user), "placement", pk=pk)
    service = placement.service
    access.require(request.user, service.team_id, Role.OPERATOR)
    earlier = queries.earlier_releases(placement)
    production = placement.cluster.environment == "production"
    form = RollBackForm(
        pages.sent(request)[0], name=service.name if production else "", releases=earlier
    )
    if pages.accepted(form, lambda: _roll_back(request.user, placement, form.cleaned_data)):
        messages.success(request, f"Going back to {form.result.release.version}.")
        return redirect("rollout", pk=form.result.pk)
    current = rollouts.current_release(placement)
    target = rollouts.previous_release(placement)
    context = {"placement": placement, "service": service, "current": current, "target": target}
    context |= {"radius": blast_radius(placement)}
    # Backwards: from what runs to what would run.
    context["difference"] = queries.difference(current, target) if target else []
    return pages.show_form(request, "deploy/roll_back.html", form, **context)


def _release(service: Service, asked: str) -> Release | None:
    """The release asked for by number or id, else the newest."""
    rows = service.releases.order_by("-number")
    if asked.isdigit():
        return rows.filter(number=int(asked[:9])).first() or rows.first()
    return next((r for r in rows if str(r.pk) == asked), None) or rows.first()


def _chosen(service: Service, asked: QueryDict) -> set[str]:
    """Ids of the placements asked for; the only one when there is but one."""
    chosen = set(asked.getlist("placements"))
    known = {str(pk) for pk in service.placements.values_list("pk", flat=True)}
    return known if len(known) == 1 else chosen & known


def _in_production(rows: list[dict[str, Any]]) -> bool:
    return any(
        row["chosen"] and row["placement"].cluster.environment == "production" for row in rows
    )


def _start_all(user: User, given: dict[str, Any]) -> list[tuple[Placement, Rollout | Problem]]:
    """Starts one rollout per placement; one that is refused does not stop the others.

    Raises the Problem when every one is refused.
    """
    results = [(p, _start(user, p, given)) for p in given["placements"]]
    problems = [result for _, result in results if isinstance(result, Problem)]
    if len(problems) == len(results):
        raise problems[0]
    return results


def _start(user: User, placement: Placement, given: dict[str, Any]) -> Rollout | Problem:
    try:
        return rollouts.start(
            release=given["release"], placement=placement, actor=user, reason=given["reason"]
        )
    except Problem as problem:
        return problem


def _begun(
    request: HttpRequest, service: Service, results: list[tuple[Placement, Rollout | Problem]]
) -> HttpResponse:
    """To the rollout when there is one, to the service when there are several."""
    started = [result for _, result in results if isinstance(result, Rollout)]
    for placement, result in results:
        if isinstance(result, Problem):
            messages.error(request, f"{placement.cluster.name}: {result.detail}")
    if len(results) == 1:
        return redirect("rollout", pk=started[0].pk)
    messages.success(request, f"{len(started)} rollouts have begun.")
    return redirect("service", name=service.name)


def _roll_back(user: User, placement: Placement, given: dict[str, Any]) -> Rollout:
    return rollouts.roll_back(
        placement=placement, to_release=given["release"], actor=user, reason=given["reason"]
    )
