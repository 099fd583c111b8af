"""Requests to one API server: raw JSON through the official client's configuration and pool.

The client brings authentication (in-cluster token renewal included) and urllib3; its models, its
retries and its time-outs are not used. Retries are off because a re-sent write may act twice.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import urllib3
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)
from kubernetes.utils.keepalive import tcp_keepalive_socket_options
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from fleet.kube import errors, tls
from fleet.kube.clock import CallPatience, Interruption, Patience, patience
from fleet.kube.endpoint import Endpoint
from fleet.kube.status import Asked, error_from, silent

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
MAX_BODY_BYTES = 64 * 1024 * 1024
_POOLED_CONNECTIONS = 32

# Whatever urllib3, the client or a socket may throw while a request is under way.
_NETWORK_ERRORS = (HTTPError, ApiException, http.client.HTTPException, OSError)


@dataclass(frozen=True)
class Request:
    """One request; `body` is anything JSON can hold, `query` values are text."""

    asked: Asked
    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: Any = None
    content_type: str = "application/json"


@dataclass(frozen=True)
class Limits:
    """Seconds that one request may take; `total` counts from the first byte to the last."""

    connect: float = CONNECT_SECONDS
    read: float = READ_SECONDS
    total: float = CONNECT_SECONDS + READ_SECONDS
    interruption: Interruption | None = None

    def within(self, left: float) -> Limits:
        """These limits, but none beyond `left`."""
        shorter = {name: min(getattr(self, name), left) for name in ("connect", "read", "total")}
        return replace(self, **shorter)


class Wire:
    """A pool of connections to one endpoint. Safe to share between threads, not between forks."""

    def __init__(self, endpoint: Endpoint) -> None:
        configuration = _configuration(endpoint)
        self._client = ApiClient(configuration)
        self._client.user_agent = "pilothouse"
        pools = self._client.rest_client.pool_manager
        pools.connection_pool_kw["ssl_context"] = tls.context_for(endpoint, configuration.ca_file)
        guarded = tls.pool_class_for(configuration.host, allow_loopback=endpoint.allow_loopback)
        pools.pool_classes_by_scheme = {"https": guarded}

    def json(self, request: Request, limits: Limits) -> dict[str, Any]:
        """The JSON object that answers the request. Raises KubeError."""
        raw = self.bytes(request, limits)
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise silent(request.asked, "the answer is not that of a Kubernetes API server")
        return answer

    def bytes(self, request: Request, limits: Limits) -> bytes:
        """The body that answers the request. Raises KubeError."""
        waiting = CallPatience(limits.total, limits.read, limits.interruption)
        with _own_errors(request.asked, waiting), patience(waiting):
            response = self._send(request, limits)
            body = _whole_body(response)
            if response.status >= 300:
                raise error_from(response.status, body, response.headers, request.asked)
            return body

    @contextmanager
    def stream(
        self, request: Request, limits: Limits, waiting: Patience
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """An open response whose body the caller reads under `waiting`. Raises KubeError."""
        with _own_errors(request.asked, waiting), patience(waiting):
            response = self._send(request, limits)
            try:
                if response.status >= 300:
                    body = response.read(64 * 1024, decode_content=False)
                    raise error_from(response.status, body, response.headers, request.asked)
                yield response
            finally:
                response.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()

    def _send(self, request: Request, limits: Limits) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "Content-Type": request.content_type}
        parts = self._client.param_serialize(
            request.method,
            request.path,
            query_params=list((request.query or {}).items()),
            header_params=headers,
            body=request.body,
            auth_settings=["BearerToken"],
        )
        timeout = (limits.connect, limits.read)
        return self._client.call_api(*parts, _request_timeout=timeout).response


def _whole_body(response: urllib3.BaseHTTPResponse) -> bytes:
    try:
        body = response.read(MAX_BODY_BYTES + 1, decode_content=False)
    except BaseException:
        response.close()  # half-read: this connection must not serve another request
        raise
    if len(body) > MAX_BODY_BYTES:
        response.close()
        raise OSError(f"the answer is larger than {MAX_BODY_BYTES // 1024**2} MiB")
    return body


@contextmanager
def _own_errors(asked: Asked, waiting: Patience) -> Iterator[None]:
    try:
        yield
    except _NETWORK_ERRORS as error:
        sent = getattr(waiting, "sent", False)
        raise silent(asked, explain(error), sent=sent) from None


def explain(error: BaseException) -> str:
    """One sentence for an operator about a failed connection."""
    text = str(getattr(error, "reason", None) or error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"the server's certificate is not trusted ({text.rsplit('failed: ', 1)[-1]})"
    if isinstance(error, NewConnectionError):  # a kind of time-out, to urllib3
        return text.partition("): ")[2] or text
    if isinstance(error, ConnectTimeoutError):
        return "no connection in time"
    if isinstance(error, TimeoutError | HTTPTimeoutError):
        return "no answer in time"
    if isinstance(error, SSLError | ApiException):
        return f"TLS failed ({' '.join(text.split())})"
    return f"the connection broke ({' '.join(text.split())})"


class _Configuration(Configuration):
    ca_file: str | None = None  # only in a cluster, where the CA is a mounted file


def _configuration(endpoint: Endpoint) -> _Configuration:
    configuration = _Configuration(host=endpoint.server or "https://in-cluster.invalid")
    configuration.retries = False  # send once, and follow no redirect
    configuration.proxy = None  # the environment's proxy would dial in our place, unchecked
    configuration.connection_pool_maxsize = _POOLED_CONNECTIONS
    configuration.socket_options = tcp_keepalive_socket_options()
    configuration.tls_server_name = endpoint.tls_server_name or None
    if endpoint.in_cluster:
        _configure_in_cluster(configuration)
    elif not (endpoint.token.isascii() and endpoint.token.isprintable()):
        raise errors.BadCredentials("the token is not printable ASCII text")
    elif endpoint.token:
        configuration.api_key["BearerToken"] = f"Bearer {endpoint.token}"
    return configuration


def _configure_in_cluster(configuration: _Configuration) -> None:
    """Address, CA and a token re-read each minute, from the files Kubernetes mounts into pods."""
    loader = InClusterConfigLoader(SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME)
    try:
        loader.load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise errors.BadCredentials(f"not running inside a cluster: {error}") from None
    configuration.proxy = None
    configuration.ca_file, configuration.ssl_ca_cert = configuration.ssl_ca_cert, None
