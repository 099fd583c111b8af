"""Who may do what: team roles for services, Django permissions for the platform.

A superuser may do everything. Clusters are seen by everyone who is signed in; services, releases
and rollouts by members of the owning team alone, to others they do not exist.
"""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from portal.base.models import ApiKey, Membership, Role, Team, User
from portal.base.problems import NotAllowed

_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}


def team_ids(user: User) -> QuerySet[Membership, UUID]:
    """Ids of the teams whose services the user sees."""
    if user.is_superuser:
        return Team.objects.values_list("id", flat=True)
    return Membership.objects.filter(user=user).values_list("team_id", flat=True)


def visible(queryset: QuerySet, user: User, *, team_path: str) -> QuerySet:
    """Keeps the rows whose team (`team_path`, such as "service__team") the user belongs to."""
    if user.is_superuser:
        return queryset
    return queryset.filter(**{f"{team_path}__in": team_ids(user)})


def role_in(user: User, team: Team | UUID) -> Role | None:
    """The user's role in a team, None for strangers."""
    if user.is_superuser:
        return Role.ADMIN
    team_id = team.pk if isinstance(team, Team) else team
    found = Membership.objects.filter(user=user, team_id=team_id).values_list("role", flat=True)
    return Role(found[0]) if found else None


def may(user: User, team: Team | UUID, role: Role) -> bool:
    """Whether the user has at least this role in the team."""
    held = role_in(user, team)
    return held is not None and _RANK[held] >= _RANK[role]


def require(user: User, team: Team | UUID, role: Role) -> None:
    """Raises NotAllowed unless the user has at least this role in the team."""
    if not may(user, team, role):
        raise NotAllowed(f"This needs the role {role.value} in the owning team")


def require_permission(user: User, permission: str) -> None:
    """Raises NotAllowed unless the user holds a Django permission such as `fleet.add_cluster`."""
    if not user.has_perm(permission):
        raise NotAllowed(f"This needs the platform permission {permission}")


class SignedInWithScope(BasePermission):
    """REST: a signed-in user; API keys with scope `read` may not write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not (request.user and request.user.is_authenticated):
            return False
        key = request.auth
        if isinstance(key, ApiKey) and request.method not in SAFE_METHODS:
            return key.scope == ApiKey.Scope.WRITE
        return True
