"""How many requests one principal may send: an API key has its own allowance."""

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from portal.base.models import ApiKey


class PrincipalThrottle(SimpleRateThrottle):
    """Counts per API key, else per user (`API_RATE`)."""

    scope = "user"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        principal = request.auth if isinstance(request.auth, ApiKey) else request.user
        return f"throttle:{type(principal).__name__}:{principal.pk}"
