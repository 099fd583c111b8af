"""The REST API as a script uses it: a bearer key and JSON, nothing of ours in between."""

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

TIMEOUT_SECONDS = 40.0
ENDED = ("succeeded", "aborted", "failed")


class RestClient:
    """`get` and `post` below /api/v1; errors are returned like any other answer."""

    def __init__(self, address: str, key: str) -> None:
        self.root, self.key = f"{address}/api/v1", key

    def get(self, path: str, **query: Any) -> Any:
        return self._send("GET", f"{path}?{urlencode(query)}" if query else path)[1]

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        return self._send("POST", path, body)

    def made(self, path: str, **body: Any) -> Any:
        """Posts what must succeed."""
        status, answer = self.post(path, **body)
        assert status in (200, 201, 202), answer
        return answer

    def follow(self, rollout_id: str) -> Any:
        """Waits on the event stream until a rollout has ended; the rollout then."""
        after = self.get("/events", after=0, wait=0, topic=f"rollout:{rollout_id}")["seq"]
        while True:
            rollout = self.get(f"/rollouts/{rollout_id}")
            if rollout["state"] in ENDED:
                return rollout
            heard = self.get("/events", after=after, wait=25, topic=f"rollout:{rollout_id}")
            after = heard["seq"]

    def _send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.root + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except HTTPError as refused:
            return refused.code, json.loads(refused.read() or b"null")
