"""Rollouts: the list, the page of one, its logs, and the verbs that steer it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from deploy import rollouts
from deploy.models import Rollout
from deploy.projections import rollout_projection
from fleet import clusters
from fleet.kube.errors import KubeError
from fleet.kube.gateway import Budget
from fleet.models import Cluster
from fleet.projections import placement_pods, watch_freshness
from portal.base import access
from portal.base.models import Role, User
from portal.dashboard import pages
from portal.dashboard.forms.rollouts import ConfirmForm
from portal.dashboard.queries import pods
from portal.dashboard.queries import rollouts as queries
from portal.dashboard.queries.blast import blast_radius
from portal.dashboard.queries.catalogue import visible as visible_services

LOG_LINES = 200
LOG_BUDGET_SECONDS = 8.0
LOG_CHARACTERS = 200_000

_VERBS: dict[str, Callable[..., Any]] = {
    "pause": rollouts.pause,
    "resume": rollouts.resume,
    "abort": rollouts.abort,
    "retry": rollouts.retry,
}
_TONES = {"abort": "danger", "resume": "primary", "retry": "primary"}


@require_safe
@pages.page
def index(request: HttpRequest) -> HttpResponse:
    sort, order = pages.sort(request, queries.SORTS, "-created")
    rows = queries.filtered(queries.visible(request.user), pages.asked(request))
    page = pages.cut(request, rows.order_by(order, "-created_at"))
    context = {
        "page": page,
        "rows": queries.projected(page.object_list),
        "sort": sort,
        "wanted": request.GET,
        "states": queries.STATES,
        "services": visible_services(request.user).values_list("name", flat=True),
        "clusters": Cluster.objects.values_list("name", flat=True),
        "teams": list(access.team_ids(request.user)[:50]),
    }
    name = "deploy/_rollouts_live.html" if pages.wants_live(request) else "deploy/rollouts.html"
    return render(request, name, context)


@require_safe
@pages.page
def show(request: HttpRequest, pk: UUID) -> HttpResponse:
    rollout = _found(request, pk)
    context = {**_page_context(request.user, rollout), **_log_context(rollout, "")}
    name = "deploy/_rollout_live.html" if pages.wants_live(request) else "deploy/rollout.html"
    return render(request, name, context)


@require_safe
@pages.page
def logs(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The last lines of one pod, read now. Without htmx the whole page around them."""
    rollout = _found(request, pk)
    context = {
        **_page_context(request.user, rollout),
        **_log_context(rollout, request.GET.get("pod", "")),
    }
    return render(request, "deploy/_logs.html" if request.htmx else "deploy/rollout.html", context)


@pages.page
def act(request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
    """Asks first (GET), then calls the verb (POST)."""
    if verb not in _VERBS:
        raise Http404
    rollout = _found(request, pk)
    access.require(request.user, rollout.placement.service.team_id, Role.OPERATOR)
    action = next((a for a in _actions(request.user, rollout) if a["verb"] == verb), None)
    form = ConfirmForm(pages.sent(request)[0], name=_name_to_type(rollout, verb))
    if pages.accepted(form, lambda: _call(request.user, rollout, verb, form)):
        return _done(request, rollout, verb, form.result)
    context = {"action": action, "rollout": rollout, "p": rollout_projection(rollout)}
    context |= {
        "radius": blast_radius(rollout.placement),
        "verb": verb,
        "tone": _TONES.get(verb, ""),
    }
    name = "deploy/_act.html" if request.htmx else "deploy/act.html"
    return pages.show_form(request, name, form, **context)


def _call(user: User, rollout: Rollout, verb: str, form: ConfirmForm) -> Any:
    return _VERBS[verb](rollout=rollout, actor=user, reason=form.cleaned_data["reason"])


def _done(request: HttpRequest, rollout: Rollout, verb: str, result: Any) -> HttpResponse:
    started = isinstance(result, Rollout)
    told = "Started." if started else f"Asked to {verb}; the engine takes it up now."
    messages.success(request, told)
    return redirect("rollout", pk=result.pk if started else rollout.pk)


def _found(request: HttpRequest, pk: UUID) -> Rollout:
    return pages.find(queries.visible(request.user), "rollout", pk=pk)


def _name_to_type(rollout: Rollout, verb: str) -> str:
    """In production, going back takes the service's name, typed."""
    placement = rollout.placement
    dangerous = verb == "abort" and placement.cluster.environment == "production"
    return placement.service.name if dangerous else ""


def _page_context(user: User, rollout: Rollout) -> dict[str, Any]:
    projection = rollout_projection(rollout)
    tiles = pods.tiles(placement_pods(rollout.placement), pods.is_new(rollout))
    actions = _actions(user, rollout)
    return {
        "rollout": rollout,
        "p": projection,
        "pods": tiles,
        "log_offer": pods.worth_reading(tiles),
        "pod_counts": pods.counts(tiles),
        "pod_troubles": pods.troubles(tiles),
        "shares": pods.shares(projection, tiles),
        "actions": actions,
        "why_not": next((a["why_not"] for a in actions if a["why_not"]), ""),
        "later": queries.later(rollout),
        "evidence": queries.evidence(rollout.steps.all()),
        "record": queries.record(rollout),
        "watch": watch_freshness(rollout.placement.cluster),
        "environment": rollout.placement.cluster.environment,
    }


def _actions(user: User, rollout: Rollout) -> list[dict[str, Any]]:
    """The rollout's buttons, shut for people who may only read."""
    found = [
        _link(rollout, action)
        for action in rollouts.available_actions(rollout)
        if _fits(rollout, action["verb"])
    ]
    if rollout.state == "succeeded" and (back := rollouts.previous_release(rollout.placement)):
        found.append(_roll_back(rollout, back.version))
    team = rollout.placement.service.team
    if access.may(user, team, Role.OPERATOR):
        return found
    why = f"You read only here: this needs the operator role in {team.name}"
    return [{**action, "enabled": False, "why_not": why} for action in found]


def _fits(rollout: Rollout, verb: str) -> bool:
    """Pause and resume share one place: only the one that makes sense is shown."""
    if verb in ("pause", "resume"):
        return (verb == "resume") == (rollout.state == "paused")
    return True


def _link(rollout: Rollout, action: dict[str, Any]) -> dict[str, Any]:
    verb = action["verb"]
    url = reverse("rollout_act", kwargs={"pk": rollout.pk, "verb": verb})
    return {**action, "url": url, "tone": _TONES.get(verb, "")}


def _roll_back(rollout: Rollout, version: str) -> dict[str, Any]:
    return {
        "verb": "roll_back",
        "label": f"Roll back to {version}",
        "effect": f"Brings back {version} with the configuration it had",
        "enabled": True,
        "why_not": "",
        "tone": "danger",
        "url": reverse("placement_roll_back", kwargs={"pk": rollout.placement_id}),
    }


def _log_context(rollout: Rollout, pod: str) -> dict[str, Any]:
    url = reverse("rollout_logs", kwargs={"pk": rollout.pk})
    context: dict[str, Any] = {"log_pod": pod, "log_lines": LOG_LINES, "logs_url": url}
    return {**context, **_read_log(rollout, pod)} if pod else context


def _read_log(rollout: Rollout, pod: str) -> dict[str, str]:
    placement = rollout.placement
    if pod not in {seen["name"] for seen in placement_pods(placement)}:
        return {"log_error": f"{pod} is gone, or is not a pod of {placement.service.name}"}
    try:
        gateway = clusters.gateway(placement.cluster).within(Budget(LOG_BUDGET_SECONDS))
        text = gateway.logs(placement.namespace, pod, tail_lines=LOG_LINES)
    except KubeError as error:
        return {"log_error": f"The log cannot be read: {error}"}
    return {"log_text": text[-LOG_CHARACTERS:]}
