"""The search box in the header: clusters, services and rollouts by name."""

from typing import Any

from django.db.models import Q

from fleet.models import Cluster
from portal.base.models import User
from portal.dashboard.queries import catalogue, rollouts


def matches(user: User, text: str) -> dict[str, Any]:
    """What the search box finds, a few of each."""
    named = Q(name__icontains=text)
    return {
        "clusters": Cluster.objects.filter(named | Q(region__icontains=text))[:10],
        "services": catalogue.visible(user).filter(named | Q(description__icontains=text))[:10],
        "rollouts": rollouts.projected(rollouts.filtered(rollouts.visible(user), {"q": text})[:10]),
    }
