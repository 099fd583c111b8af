"""Signing in and out, and the colours a person chose."""

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from portal.dashboard.context import THEME_COOKIE, THEMES
from portal.dashboard.forms.people import SignInForm

_YEAR_SECONDS = 365 * 86_400

sign_in = LoginView.as_view(
    template_name="people/sign_in.html",
    authentication_form=SignInForm,
    redirect_authenticated_user=True,
)
sign_out = LogoutView.as_view()


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keeps the chosen colours in a cookie and returns to the page."""
    back = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    response = redirect(back if ours else resolve_url("fleet"))
    chosen = request.POST.get("theme")
    if chosen in dict(THEMES):
        response.set_cookie(
            THEME_COOKIE,
            chosen,
            max_age=_YEAR_SECONDS,
            samesite="Lax",
            httponly=True,
            secure=request.is_secure(),
        )
    return response
