"""The audit log."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.dashboard import pages
from portal.dashboard.queries import audit as queries

SORTS = {"at": "at", "actor": "actor", "verb": "verb", "object": "object_label"}


@require_safe
@pages.page
def index(request: HttpRequest) -> HttpResponse:
    seen = queries.visible(request.user)
    sort, order = pages.sort(request, SORTS, "-at")
    page = pages.cut(request, queries.filtered(seen, pages.asked(request)).order_by(order, "-id"))
    context = {"page": page, "sort": sort, "wanted": request.GET, **queries.choices(seen)}
    return render(request, "audit/index.html", context)
