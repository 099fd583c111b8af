"""What every page shows around its content: navigation with counts, the user's roles, colours."""

from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from deploy.models.rollout import ACTIVE, Rollout
from fleet.models import Cluster, Service
from portal.base import access
from portal.base.models import Membership, User

THEMES = (("system", "System"), ("light", "Light"), ("dark", "Dark"))
THEME_COOKIE = "theme"


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Colours for every page; navigation and roles are only read when a template shows them."""
    theme = request.COOKIES.get(THEME_COOKIE, "system")
    known = theme in dict(THEMES)
    return {
        "theme": theme if known else "system",
        "themes": THEMES,
        "chrome": SimpleLazyObject(lambda: _frame(request)),
    }


def _frame(request: HttpRequest) -> dict[str, Any]:
    if not (getattr(request, "user", None) and request.user.is_authenticated):
        return {"navigation": [], "roles": [], "environments": []}
    clusters = _clusters_by_environment()
    return {
        "navigation": _navigation(request, sum(clusters.values())),
        "roles": _roles(request.user),
        "environments": list(clusters),
    }


def _clusters_by_environment() -> dict[str, int]:
    """How many clusters there are of each environment; one query tells both."""
    rows = Cluster.objects.order_by("environment").values_list("environment")
    return dict(rows.annotate(number=Count("id")))


def _roles(user: User) -> QuerySet[Membership]:
    return Membership.objects.filter(user=user).select_related("team")


def _navigation(request: HttpRequest, clusters: int) -> list[dict[str, Any]]:
    live = _live_rollouts(request.user)
    items = [
        _item(request, "fleet", "Fleet"),
        _item(request, "clusters", "Clusters", clusters),
        _item(request, "services", "Services", _services(request.user)),
        _item(request, "rollouts", "Releases", f"{live} live" if live else ""),
        _item(request, "audit", "Audit log"),
    ]
    return [*items, _item(request, "admin:index", "Admin")] if request.user.is_staff else items


def _item(request: HttpRequest, name: str, label: str, count: Any = "") -> dict[str, Any]:
    url = reverse(name)
    inside = request.path == url or (name != "fleet" and request.path.startswith(url))
    return {"url": url, "label": label, "count": count, "current": inside}


def _services(user: User) -> int:
    return access.visible(Service.objects.all(), user, team_path="team").count()


def _live_rollouts(user: User) -> int:
    rows = access.visible(Rollout.objects.all(), user, team_path="placement__service__team")
    return rows.filter(state__in=ACTIVE).count()
