"""Who is behind a connection: a session cookie or an API key, and which topics it may hear.

The same functions answer at connect and at every later check, so a right that is taken away ends
an open connection exactly as it would refuse a new one. They read the database: call in a thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie
from django.http.request import is_same_domain, split_domain_port, validate_host

from deploy.models import Rollout
from fleet.models import Cluster, Placement, Service
from portal.base import access, api_keys
from portal.base.models import User
from portal.live.entries import Entry

# Topics about things a team owns: model and the way to its team.
_OWNED = {
    "service": (Service, "team"),
    "placement": (Placement, "service__team"),
    "rollout": (Rollout, "placement__service__team"),
}


@dataclass(frozen=True)
class Viewer:
    """A signed-in user with the teams of the moment of the check."""

    user: User
    team_topics: frozenset[str]

    @classmethod
    def of(cls, user: User) -> "Viewer":
        return cls(user, frozenset(f"team:{team_id}" for team_id in access.team_ids(user)))

    def sees(self, entry: Entry) -> bool:
        """Clusters are for everyone; what a team owns is for its members, on any topic."""
        return self.user.is_superuser or entry.team_topics <= self.team_topics

    def allowed(self, topics: Iterable[str]) -> set[str]:
        """Those of the topics that exist for this viewer."""
        wanted: dict[str, set[str]] = {}
        for topic in topics:
            prefix, object_id = split(topic)
            wanted.setdefault(prefix, set()).add(object_id)
        return {
            f"{prefix}:{object_id}" if object_id else prefix
            for prefix, ids in wanted.items()
            for object_id in self._existing(prefix, ids)
        }

    def _existing(self, prefix: str, ids: set[str]) -> set[str]:
        if prefix == "fleet":
            return ids & {""}
        if prefix == "team":
            return {i for i in ids if f"team:{i}" in self.team_topics}
        ids = {i for i in ids if _is_canonical_uuid(i)}
        if prefix == "cluster":
            found = Cluster.objects.filter(pk__in=ids)
        elif prefix in _OWNED:
            model, team_path = _OWNED[prefix]
            owned = model.objects.filter(pk__in=ids)
            found = access.visible(owned, self.user, team_path=team_path)
        else:
            return set()
        return {str(pk) for pk in found.values_list("pk", flat=True)} if ids else set()


@dataclass(frozen=True)
class Credentials:
    """What a connection presented. `bearer` is None when there is no Authorization header."""

    session_key: str
    bearer: str | None

    @classmethod
    def of(cls, scope: dict[str, Any]) -> "Credentials":
        authorization = header(scope, b"authorization")
        if authorization:
            scheme, _, token = authorization.partition(" ")
            return cls("", token.strip() if scheme.lower() == "bearer" else "")
        cookies = parse_cookie(header(scope, b"cookie"))
        return cls(cookies.get(settings.SESSION_COOKIE_NAME, ""), None)

    def viewer(self) -> Viewer | None:
        """The living user behind them, None when signed out, expired, revoked or deactivated."""
        user = self._session_user() if self.bearer is None else self._key_owner()
        return Viewer.of(user) if user is not None else None

    def _key_owner(self) -> User | None:
        key = api_keys.find(self.bearer or "")
        return key.owner if key else None

    def _session_user(self) -> User | None:
        if not self.session_key:
            return None
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(self.session_key)
        user = get_user(request)
        return user if user.is_authenticated and user.is_active else None


def split(topic: str) -> tuple[str, str]:
    """`("rollout", "<id>")`; the id is empty for `fleet`."""
    prefix, _, object_id = topic.partition(":")
    return prefix, object_id


def header(scope: dict[str, Any], name: bytes) -> str:
    """The last value of an HTTP header, "" when absent."""
    found = [value for key, value in scope.get("headers", []) if key == name]
    return found[-1].decode("latin1") if found else ""


def is_own_origin(scope: dict[str, Any]) -> bool:
    """Whether the Origin header names this portal, as Django's CSRF check would have it."""
    origin, host = header(scope, b"origin"), header(scope, b"host")
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    parts = _split_origin(origin)
    if parts is None:
        return False
    return parts[1] == host.lower() or any(
        _matches(parts, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS
    )


def _split_origin(origin: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    schemes = ("https",) if settings.TLS else ("http", "https")
    return (parts.scheme, parts.netloc) if parts.scheme in schemes and parts.netloc else None


def _matches(parts: tuple[str, str], trusted: str) -> bool:
    scheme, _, domain = trusted.lower().partition("://")
    return parts[0] == scheme and is_same_domain(parts[1], domain.removeprefix("*"))


def _is_canonical_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
