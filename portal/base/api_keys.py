"""API keys: made once, shown once, stored as a peppered HMAC-SHA256 digest.

A key is `ph_<key id>.<secret>` and travels as `Authorization: Bearer …`, never in a URL.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from portal.base import audit, events
from portal.base.models import ApiKey, User
from portal.base.problems import Invalid

MAX_AGE = timedelta(days=365)
_USED_RESOLUTION = timedelta(minutes=1)


def _digest(secret: str) -> str:
    return hmac.new(settings.API_KEY_PEPPER.encode(), secret.encode(), hashlib.sha256).hexdigest()


def create(
    *, owner: User, name: str, scope: str, lifetime: timedelta, actor: User | None
) -> tuple[ApiKey, str]:
    """Makes a key and returns it with its only clear-text copy.

    Raises Invalid when the lifetime is not between one minute and a year.
    """
    if not timedelta(minutes=1) <= lifetime <= MAX_AGE:
        raise Invalid.at("/lifetime", "out_of_range", "A key lives at most 365 days")
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    with events.transaction():
        key = ApiKey.objects.create(
            owner=owner,
            name=name,
            key_id=key_id,
            digest=_digest(secret),
            pepper_id=settings.API_KEY_PEPPER_ID,
            scope=scope,
            expires_at=timezone.now() + lifetime,
        )
        audit.record(actor=actor, verb="api_key.create", target=key, change={"scope": scope})
    return key, f"ph_{key_id}.{secret}"


def revoke(*, key: ApiKey, actor: User | None, reason: str = "") -> None:
    """Ends a key at once. Revoking twice is harmless."""
    with events.transaction():
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
        audit.record(actor=actor, verb="api_key.revoke", target=key, reason=reason)


def find(token: str) -> ApiKey | None:
    """The living key behind a bearer token, or None. Compares in constant time."""
    key_id, separator, secret = token.removeprefix("ph_").partition(".")
    if not token.startswith("ph_") or not separator:
        return None
    key = ApiKey.objects.select_related("owner").filter(key_id=key_id).first()
    if key is None or not hmac.compare_digest(key.digest, _digest(secret)):
        return None
    now = timezone.now()
    alive = key.revoked_at is None and key.expires_at > now and key.owner.is_active
    return _touched(key, now) if alive else None


def _touched(key: ApiKey, now: datetime) -> ApiKey:
    if key.last_used_at is None or now - key.last_used_at > _USED_RESOLUTION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer ph_…` for the REST API."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != self.keyword.lower():
            return None
        key = find(token.strip())
        if key is None:
            raise AuthenticationFailed("This API key is unknown, expired or revoked")
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:
        return self.keyword
