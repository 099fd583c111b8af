"""The frame of every page: who may come in, how errors look, how lists are cut into pages."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from fleet.kube.errors import KubeError
from portal.base.problems import Missing, Problem, Unreachable
from portal.dashboard.forms.problems import Fields

PAGE_SIZE = 25
View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """A view for people: they are signed in, and every Problem it raises becomes a page."""

    @wraps(view)
    def guarded(request: HttpRequest, **captured: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        try:
            return view(request, **captured)
        except KubeError as error:
            return refuse(request, Unreachable(str(error)))
        except Problem as problem:
            return refuse(request, problem)

    return guarded


def refuse(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A page that says what is wrong, with the problem's own status."""
    name = "dashboard/_problem.html" if request.htmx else "dashboard/problem.html"
    return render(request, name, {"problem": problem}, status=problem.status)


def find(queryset: QuerySet, what: str, **lookup: Any) -> Any:
    """One row of a queryset that is already limited to what the user may see. Raises Missing."""
    found = queryset.filter(**lookup).first()
    if found is None:
        raise Missing(f"There is no such {what}, or it belongs to another team")
    return found


def cut(request: HttpRequest, rows: QuerySet) -> Page:
    """The page of `rows` that `?page=` asks for; nonsense gives the nearest real page."""
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))


def asked(request: HttpRequest) -> dict[str, str]:
    """The query string; a NUL character, which PostgreSQL refuses, matches nothing anyway."""
    return {name: value.replace("\0", "").strip() for name, value in request.GET.items()}


def sort(request: HttpRequest, columns: Mapping[str, str], default: str) -> tuple[str, str]:
    """`(key as asked, order_by expression)`; only keys of `columns` are taken."""
    asked = request.GET.get("sort", "")
    key = asked if asked.lstrip("-") in columns else default
    sign = "-" if key.startswith("-") else ""
    return key, sign + columns[key.lstrip("-")]


def wants_live(request: HttpRequest) -> bool:
    """htmx asks for the parts of a page that change, to swap them in place."""
    return bool(request.htmx) and request.GET.get("part") == "live"


def sent(request: HttpRequest) -> tuple[Any, Any]:
    """`(data, files)` of a POST, an empty one too; `(None, None)` when a form is only shown."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def accepted(form: Fields, verb: Callable[[], Any]) -> bool:
    """Whether the form was sent, holds, and the verb took it; its result is `form.result`.

    A Problem of the verb lands at the fields it points at, its status in `form.status`.
    """
    if not (form.is_bound and form.is_valid()):
        return False
    try:
        form.result = verb()
    except Problem as problem:
        form.add_problem(problem)
    return not form.errors


def show_form(request: HttpRequest, template: str, form: Fields, **context: Any) -> HttpResponse:
    """The form with what was typed; 422, or the problem's own status, when it was refused."""
    status = form.status if form.errors else 200
    return render(request, template, {**context, "form": form}, status=status)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if not request.htmx:
        return redirect_to_login(request.get_full_path())
    # A swap would put the sign-in form into the middle of a page.
    return HttpResponse(status=204, headers={"HX-Redirect": reverse("sign_in")})
