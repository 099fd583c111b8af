"""The first page, and the search box."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.base import access
from portal.dashboard import pages
from portal.dashboard.queries import fleet, search


@require_safe
@pages.page
def show(request: HttpRequest) -> HttpResponse:
    context = {**fleet.overview(request.user), "teams": list(access.team_ids(request.user)[:50])}
    live = pages.wants_live(request)
    return render(request, "fleet/_fleet_live.html" if live else "fleet/fleet.html", context)


@require_safe
@pages.page
def find(request: HttpRequest) -> HttpResponse:
    text = pages.asked(request).get("q", "")[:100]
    found = search.matches(request.user, text) if text else {}
    return render(request, "dashboard/search.html", {**found, "search_text": text})
