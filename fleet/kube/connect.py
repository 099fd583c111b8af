"""Who to talk to: endpoints, from kubeconfigs or stored values, and a gateway for each."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from functools import lru_cache

from fleet.kube import pem
from fleet.kube.endpoint import Endpoint
from fleet.kube.errors import KubeconfigError
from fleet.kube.gateway import Gateway
from fleet.kube.kubeconfig import endpoint_from_kubeconfig
from fleet.kube.wire import Wire

__all__ = [
    "Endpoint",
    "KubeconfigError",
    "credential_expires_at",
    "endpoint_from_kubeconfig",
    "gateway_for",
]


@lru_cache(maxsize=512)
def gateway_for(endpoint: Endpoint) -> Gateway:
    """The gateway of an endpoint, one per process, safe to share between threads.

    Connects lazily. Raises BadCredentials when the endpoint's PEM texts cannot be used.
    """
    return Gateway(Wire(endpoint))


# Two processes must not speak on one TLS connection.
os.register_at_fork(after_in_child=gateway_for.cache_clear)


def credential_expires_at(endpoint: Endpoint) -> datetime | None:
    """When the credential stops working (aware, UTC), as far as it says so itself, else None.

    A JWT's `exp` claim or the client certificate's notAfter; the earlier one if there are both.
    """
    ends = [_token_expiry(endpoint.token), _certificate_expiry(endpoint.client_certificate_pem)]
    return min((end for end in ends if end), default=None)


def _certificate_expiry(certificate: str) -> datetime | None:
    return pem.not_after(certificate) if certificate else None


def _token_expiry(token: str) -> datetime | None:
    """Read, not verified: only the cluster can verify its tokens, and this is only a reminder."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None
