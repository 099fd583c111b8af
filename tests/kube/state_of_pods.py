"""A very small API server that keeps state, for faults that need to be steered exactly."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.kube.faulty_apiserver import Exchange, status


class StateOfPods:
    """Pods: list in pages, watch with resume, bookmarks and 410."""

    def __init__(self, start: int = 100) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.version = start
        self.oldest = start  # watches from before this are answered with 410
        self._log: list[tuple[int, str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def put(self, name: str, **status_fields: Any) -> dict[str, Any]:
        """Create the pod or replace its status."""
        with self._changed:
            old = self.pods.get(name)
            self.version += 1
            uid = old["metadata"]["uid"] if old else f"uid-{name}-{self.version}"
            meta = {"name": name, "namespace": "default", "uid": uid}
            meta["resourceVersion"] = str(self.version)
            self.pods[name] = {"metadata": meta, "spec": {}, "status": status_fields}
            self._note("MODIFIED" if old else "ADDED", self.pods[name])
            return self.pods[name]

    def remove(self, name: str) -> None:
        with self._changed:
            self.version += 1
            obj = self.pods.pop(name)
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
            self._note("DELETED", obj)

    def bookmark(self) -> None:
        with self._changed:
            self._note("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def compact(self) -> None:
        """Forget the history: new watches from older versions are answered with 410."""
        with self._changed:
            self.version += 1
            self.oldest = self.version

    def _note(self, kind: str, obj: dict[str, Any]) -> None:
        self._log.append((self.version, kind, obj))
        self._changed.notify_all()

    def answer(self, exchange: Exchange) -> None:
        if exchange.query.get("watch") == "true":
            self._watch(exchange)
        else:
            self._list(exchange)

    def _list(self, exchange: Exchange) -> None:
        with self._changed:
            names = sorted(self.pods)
            at = exchange.query.get("continue", "")
            limit = int(exchange.query.get("limit", 500))
            page = [n for n in names if n > at][:limit]
            more = bool(page) and page[-1] != names[-1]
            meta = {"resourceVersion": str(self.version), "continue": page[-1] if more else ""}
            body = {"kind": "PodList", "metadata": meta, "items": [self.pods[n] for n in page]}
        exchange.send(200, body)

    def _watch(self, exchange: Exchange) -> None:
        seen = int(exchange.query["resourceVersion"])
        exchange.start_stream()
        if seen < self.oldest:
            exchange.event("ERROR", status(410, "Expired", "too old resource version"))
            exchange.end_stream()
            return
        ends = time.monotonic() + float(exchange.query.get("timeoutSeconds", 60))
        position = 0
        while time.monotonic() < ends and not exchange.server.stopping.is_set():
            with self._changed:
                fresh, position = self._log[position:], len(self._log)
                if not fresh:
                    self._changed.wait(0.05)
            for version, kind, obj in fresh:
                if version > seen or (version == seen and kind == "BOOKMARK"):
                    exchange.event(kind, obj)
        exchange.end_stream()
