"""One namespace of the cluster under test, with paths, verbs and the waiting a test needs."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.conformance.client import Answer, Client
from tests.controlplane.nodes import set_pods_ready, wait_until

PLURALS = {
    "ConfigMap": "/api/v1/{}configmaps",
    "Event": "/api/v1/{}events",
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/{}pods",
    "Service": "/api/v1/{}services",
    "Deployment": "/apis/apps/v1/{}deployments",
    "ReplicaSet": "/apis/apps/v1/{}replicasets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/{}horizontalpodautoscalers",
}
REVISION = "deployment.kubernetes.io/revision"
QUIET_SECONDS = 0.15


@dataclass(frozen=True)
class Counts:
    """A settled Deployment: desired replicas of each ReplicaSet by revision, and its status."""

    replica_sets: dict[int, int]
    replicas: int
    updated: int
    ready: int
    unavailable: int

    def pinned(self) -> dict[str, Any]:
        sets = {f"revision {revision}": size for revision, size in self.replica_sets.items()}
        return sets | {
            "status": [self.replicas, self.updated, self.ready, self.unavailable],
        }


@dataclass(frozen=True)
class Cluster:
    """Verbs on objects of one namespace."""

    client: Client
    namespace: str

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        base = PLURALS[kind].format(f"namespaces/{self.namespace}/")
        return "/".join(part for part in (base, name, subresource) if part)

    def create(self, obj: dict, **query: Any) -> Answer:
        return self.client.post(self.path(obj["kind"]), obj, **query)

    def created(self, obj: dict) -> Answer:
        """Creates what the test needs before its own subject."""
        answer = self.create(obj)
        assert answer.status == 201, answer.body
        return answer

    def get(self, kind: str, name: str, subresource: str = "", **query: Any) -> Answer:
        return self.client.get(self.path(kind, name, subresource), **query)

    def items(self, kind: str, **query: Any) -> list[dict]:
        return self.client.get(self.path(kind), **query)["items"]

    def replace(self, obj: dict, subresource: str = "", **query: Any) -> Answer:
        path = self.path(obj["kind"], obj["metadata"]["name"], subresource)
        return self.client.put(path, obj, **query)

    def delete(self, kind: str, name: str, body: Any = None, **query: Any) -> Answer:
        return self.client.delete(self.path(kind, name), body, **query)

    def apply(self, obj: dict, *, manager: str, subresource: str = "", **query: Any) -> Answer:
        path = self.path(obj["kind"], obj["metadata"]["name"], subresource)
        return self.client.apply(path, obj, manager=manager, **query)

    def merge(
        self, kind: str, name: str, patch: Any, subresource: str = "", **query: Any
    ) -> Answer:
        return self.client.merge_patch(self.path(kind, name, subresource), patch, **query)

    def strategic(self, kind: str, name: str, patch: Any, **query: Any) -> Answer:
        return self.client.strategic_patch(self.path(kind, name), patch, **query)

    def json(self, kind: str, name: str, operations: Iterable[dict], **query: Any) -> Answer:
        return self.client.json_patch(self.path(kind, name), list(operations), **query)

    def eventually(self, what: str, happened: Callable[[], Any]) -> None:
        wait_until(f"{self.namespace}: {what}", happened)

    def gone(self, kind: str, name: str) -> bool:
        return self.get(kind, name).status == 404

    def make_ready(self, count: int | None = None, *, selector: str = "") -> None:
        set_pods_ready(self.client, self.namespace, selector=selector, count=count)

    def make_unready(self, count: int, *, selector: str = "") -> None:
        set_pods_ready(self.client, self.namespace, selector=selector, count=count, ready=False)

    def replica_sets(self, deployment: str) -> list[dict]:
        """By revision, oldest first."""
        owned = [
            item
            for item in self.items("ReplicaSet")
            if any(ref["name"] == deployment for ref in owners(item))
        ]
        return sorted(owned, key=_revision)

    def settled(self, name: str) -> Counts:
        """Waits until controllers have nothing left to do for this Deployment, then counts."""
        deadline = time.monotonic() + 15
        seen, since = None, time.monotonic()
        while time.monotonic() < deadline:
            state = self._state(name)
            if state != seen:
                seen, since = state, time.monotonic()
            elif state[0] and time.monotonic() - since >= QUIET_SECONDS:
                return self._counts(name)
            time.sleep(0.02)
        raise TimeoutError(f"deployment {name} does not settle: {seen}")

    def _state(self, name: str) -> tuple[bool, Any]:
        """Whether each controller has seen the newest spec, and what must stay as it is."""
        deployment = self.get("Deployment", name).body
        sets = self.replica_sets(name)
        pods = [pod for pod in self.items("Pod") if owners(pod)]
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        wanted = sum(item["spec"]["replicas"] for item in sets)
        observed = all(_observed(item) for item in (deployment, *sets))
        scheduled = all(pod["status"].get("conditions") for pod in living)
        caught_up = observed and scheduled and len(living) == len(pods) == wanted
        items = (deployment, *sets, *pods)
        return caught_up, [item["metadata"]["resourceVersion"] for item in items]

    def _counts(self, name: str) -> Counts:
        status = self.get("Deployment", name)["status"]
        sets = {_revision(item): item["spec"]["replicas"] for item in self.replica_sets(name)}
        fields = ("replicas", "updatedReplicas", "readyReplicas", "unavailableReplicas")
        return Counts(sets, *(status.get(field, 0) for field in fields))


def owners(item: dict) -> list[dict]:
    return item["metadata"].get("ownerReferences", [])


def condition(item: dict, kind: str) -> dict:
    """The condition of that type, empty when it is absent."""
    conditions = item.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind), {})


def _revision(item: dict) -> int:
    return int(item["metadata"].get("annotations", {}).get(REVISION, "0"))


def _observed(item: dict) -> bool:
    return item["status"].get("observedGeneration") == item["metadata"]["generation"]
