"""From what a person gives, a kubeconfig or its parts, to an endpoint that passed every rule."""

import base64
import json

from django.conf import settings

from fleet.kube import errors
from fleet.kube.connect import Endpoint, KubeconfigError, endpoint_from_kubeconfig, gateway_for
from portal.base.problems import FieldProblem, Invalid

# Where the parts of an endpoint stand in a kubeconfig.
_CLUSTER_PARTS = {
    "server": "server",
    "certificate-authority-data": "ca_pem",
    "tls-server-name": "tls_server_name",
}
_USER_PARTS = {
    "token": "token",
    "client-certificate-data": "client_certificate_pem",
    "client-key-data": "client_key_pem",
}
# A user without any credential is missing its token.
_PARTS = {**_CLUSTER_PARTS, **_USER_PARTS, "user": "token"}


def accepted(kubeconfig: str | None, endpoint: Endpoint | None) -> Endpoint:
    """The endpoint given either way. Raises Invalid with a pointer to what is refused."""
    if (kubeconfig is None) == (endpoint is None):
        message = "Give either a kubeconfig or an endpoint"
        raise Invalid.at("/kubeconfig", "required", message)
    found = _from_parts(endpoint) if endpoint is not None else _from_kubeconfig(kubeconfig)
    try:
        gateway_for(found)
    except errors.BadCredentials as error:
        raise Invalid.at("/endpoint", "bad_credentials", error.message) from None
    return found


def _from_kubeconfig(text: str) -> Endpoint:
    try:
        return _read(text)
    except KubeconfigError as error:
        # The pointer leads into the document, below the field that carries it.
        problem = FieldProblem(f"/kubeconfig{error.pointer}", error.code, error.message)
        where = error.pointer or "the document"
        detail = f"The kubeconfig is refused at {where}: {error.message}"
        raise Invalid(detail, code="kubeconfig_refused", errors=[problem]) from None


def _from_parts(endpoint: Endpoint) -> Endpoint:
    """Parts pass through the same gate as a kubeconfig, so there is one set of rules."""
    if endpoint.in_cluster:
        return Endpoint(in_cluster=True)
    try:
        return _read(_as_kubeconfig(endpoint))
    except KubeconfigError as error:
        key = error.pointer.rpartition("/")[2]
        raise Invalid.at(f"/{_PARTS.get(key, 'endpoint')}", error.code, error.message) from None


def _read(text: str) -> Endpoint:
    return endpoint_from_kubeconfig(text, allow_loopback=settings.ALLOW_LOOPBACK_CLUSTERS)


def _as_kubeconfig(endpoint: Endpoint) -> str:
    cluster, user = _given(endpoint, _CLUSTER_PARTS), _given(endpoint, _USER_PARTS)
    return json.dumps(
        {
            "clusters": [{"name": "one", "cluster": cluster}],
            "users": [{"name": "one", "user": user}],
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        }
    )


def _given(endpoint: Endpoint, parts: dict[str, str]) -> dict[str, str]:
    values = {key: getattr(endpoint, name) for key, name in parts.items()}
    return {
        key: _base64(value) if key.endswith("-data") else value
        for key, value in values.items()
        if value
    }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="replace")).decode()
