"""A small raw HTTP client for a Kubernetes API, so no library hides what the server said."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Answer:
    """One response: parsed body (text where it is not JSON) and the `Warning` header, if any."""

    status: int
    body: Any
    warning: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.body[key]

    @property
    def name(self) -> str:
        return self.body["metadata"]["name"]

    @property
    def resource_version(self) -> str:
        return self.body["metadata"]["resourceVersion"]


class Client:
    """Sends requests to one API server as one user; every call ends within `timeout_seconds`."""

    def __init__(
        self,
        server: str,
        ca_pem: str,
        token: str = "",
        *,
        user_agent: str = "conformance",
        timeout_seconds: float = 10.0,
    ) -> None:
        self.server = server
        self.ca_pem = ca_pem
        self.timeout_seconds = timeout_seconds
        self.user_agent = user_agent
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._pool = urllib3.PoolManager(
            ca_cert_data=ca_pem, retries=False, maxsize=8, timeout=timeout_seconds
        )

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        **query: Any,
    ) -> Answer:
        """Raises urllib3.exceptions.HTTPError when no response arrives."""
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = self._headers | {"Content-Type": content_type, "Accept": accept}
        response = self._pool.request(
            method, _url(self.server, path, query), body=payload, headers=headers
        )
        return Answer(response.status, _parsed(response.data), response.headers.get("Warning", ""))

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any, **query: Any) -> Answer:
        return self.request("POST", path, body, **query)

    def put(self, path: str, body: Any, **query: Any) -> Answer:
        return self.request("PUT", path, body, **query)

    def delete(self, path: str, body: Any = None, **query: Any) -> Answer:
        return self.request("DELETE", path, body, **query)

    def json_patch(self, path: str, operations: list[dict], **query: Any) -> Answer:
        return self.request("PATCH", path, operations, content_type=JSON_PATCH, **query)

    def merge_patch(self, path: str, patch: Any, **query: Any) -> Answer:
        return self.request("PATCH", path, patch, content_type=MERGE_PATCH, **query)

    def strategic_patch(self, path: str, patch: Any, **query: Any) -> Answer:
        return self.request("PATCH", path, patch, content_type=STRATEGIC_PATCH, **query)

    def apply(self, path: str, obj: dict, *, manager: str, **query: Any) -> Answer:
        query = {"fieldManager": manager, **query}
        return self.request("PATCH", path, obj, content_type=APPLY_PATCH, **query)

    def watch(self, path: str, *, seconds: float = 5.0, **query: Any) -> Iterator[dict]:
        """Events until the server ends the stream after `seconds` (whole seconds on the wire)."""
        query |= {"watch": "true", "timeoutSeconds": max(1, round(seconds))}
        response = self._pool.request(
            "GET",
            _url(self.server, path, query),
            headers=self._headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=3, read=seconds + 3),
        )
        try:
            if response.status != 200:
                yield {"type": f"HTTP {response.status}", "object": json.loads(response.data)}
                return
            yield from _lines(response)
        finally:
            response.close()


def _url(server: str, path: str, query: dict[str, Any]) -> str:
    pairs = {key: _text(value) for key, value in query.items() if value is not None}
    encoded = urlencode(pairs) if pairs else ""
    return f"{server}{path}?{encoded}" if encoded else f"{server}{path}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[dict]:
    pending = b""
    for chunk in response.stream(65536):
        pending += chunk
        *complete, pending = pending.split(b"\n")
        yield from (json.loads(line) for line in complete if line)
