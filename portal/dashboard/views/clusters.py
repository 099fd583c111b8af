"""Clusters: the list, one, registering, testing, new credentials, removing."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from fleet import clusters
from fleet.models import Cluster
from fleet.models.cluster import Connection, Environment
from fleet.projections import cluster_projection, cluster_projections
from portal.base import access
from portal.base.models import User
from portal.dashboard import pages
from portal.dashboard.forms.clusters import ClusterForm, ReplaceCredentialsForm
from portal.dashboard.forms.rollouts import ConfirmForm
from portal.dashboard.queries import clusters as queries

_WHY_NOT = "This needs the platform permission to manage clusters; ask an administrator"


@require_safe
@pages.page
def index(request: HttpRequest) -> HttpResponse:
    sort, order = pages.sort(request, queries.SORTS, "name")
    page = pages.cut(request, queries.filtered(pages.asked(request)).order_by(order, "name"))
    context = {
        "page": page,
        "rows": cluster_projections(page.object_list),
        "sort": sort,
        "wanted": request.GET,
        "regions": [region for (region,) in queries.regions()],
        "environments": Environment.choices,
        "connections": Connection.choices,
        "may": _may(request.user),
    }
    live = pages.wants_live(request)
    return render(request, "fleet/_clusters_live.html" if live else "fleet/clusters.html", context)


@require_safe
@pages.page
def show(request: HttpRequest, pk: UUID) -> HttpResponse:
    context = _page_context(request.user, _found(pk))
    live = pages.wants_live(request)
    return render(request, "fleet/_cluster_live.html" if live else "fleet/cluster.html", context)


@pages.page
def create(request: HttpRequest) -> HttpResponse:
    access.require_permission(request.user, "fleet.add_cluster")
    form = ClusterForm(*pages.sent(request))
    if pages.accepted(form, lambda: clusters.register(**form.values(), actor=request.user)):
        cluster = form.result
        _tell_contact(request, cluster, f"{cluster.name} is registered")
        return redirect("cluster", pk=cluster.pk)
    return pages.show_form(request, "fleet/cluster_new.html", form)


@pages.page
def replace_credentials(request: HttpRequest, pk: UUID) -> HttpResponse:
    access.require_permission(request.user, "fleet.change_cluster")
    cluster = _found(pk)
    form = ReplaceCredentialsForm(*pages.sent(request))
    if pages.accepted(
        form,
        lambda: clusters.update_credentials(
            cluster=cluster, kubeconfig=form.text() or "", actor=request.user
        ),
    ):
        _tell_contact(request, form.result, "The credentials are replaced")
        return redirect("cluster", pk=pk)
    return pages.show_form(request, "fleet/cluster_credentials.html", form, cluster=cluster)


@pages.page
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    access.require_permission(request.user, "fleet.delete_cluster")
    cluster = _found(pk)
    form = ConfirmForm(pages.sent(request)[0], name=cluster.name)
    if pages.accepted(
        form,
        lambda: clusters.remove(cluster=cluster, actor=request.user, **form.cleaned_data),
    ):
        messages.success(request, f"{cluster.name} is forgotten; nothing in it was touched.")
        return redirect("clusters")
    placed = list(cluster.placements.values_list("service__name", flat=True))
    return pages.show_form(
        request, "fleet/cluster_remove.html", form, cluster=cluster, placed=placed
    )


@require_POST
@pages.page
def check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Runs the connection test now; it takes some seconds at most."""
    cluster = _found(pk)
    results = clusters.check(cluster=cluster)
    context = {**_page_context(request.user, cluster), "results": results}
    name = "fleet/_check.html" if request.htmx else "fleet/cluster.html"
    return render(request, name, context)


def _found(pk: UUID) -> Cluster:
    return pages.find(Cluster.objects.all(), "cluster", pk=pk)


def _may(user: User) -> dict[str, Any]:
    return {
        name: user.has_perm(f"fleet.{name}_cluster") for name in ("add", "change", "delete")
    } | {"why_not": _WHY_NOT}


def _page_context(user: User, cluster: Cluster) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "c": cluster_projection(cluster),
        "pools": queries.pools(cluster),
        "workloads": queries.workloads(cluster, user),
        "warnings": queries.warnings(cluster),
        "environment": cluster.environment,
        "may": _may(user),
    }


def _tell_contact(request: HttpRequest, cluster: Cluster, done: str) -> None:
    """What the first contact showed, so that a dead address is noticed at once."""
    if cluster.connection == Connection.CONNECTED:
        messages.success(request, f"{done} and answers.")
    else:
        detail = cluster.connection_detail or cluster.get_connection_display()
        messages.warning(request, f"{done}, but does not work yet: {detail}")
