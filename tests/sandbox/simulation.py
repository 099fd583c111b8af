"""A cluster in the test's own process, under a clock the test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.sandbox import deletion, scenarios
from fleet.sandbox.clock import ManualClock
from fleet.sandbox.cluster import Cluster, Identity
from fleet.sandbox.codec import Options
from fleet.sandbox.database import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP_SECONDS = 0.5
APP = {"app": "web"}


class Simulation:
    """Verbs for tests; after each of them every controller has done what there was to do."""

    def __init__(self, folder: Path, scenario: str = "small", **behaviour: Any) -> None:
        self.clock = ManualClock(START)
        self.database = Database(folder)
        identity = Identity("test", 1, "ca", "key", "token", "readonly")
        self.database.save_cluster("test", (1, "ca", "key", "token", "readonly"))
        described = scenarios.load(scenario, "test")
        described = replace(described, pods=replace(described.pods, **behaviour))
        self.cluster = Cluster(identity, self.database, described, self.clock)
        self.cluster.furnish()
        self.settle()

    def settle(self) -> None:
        """Let the controllers work until none has anything left to do."""
        while busy := [c for c in self.cluster.controllers if c.is_busy]:
            for controller in busy:
                controller.work_once()

    def run(self, seconds: float) -> None:
        """Let time pass, in small steps."""
        self.settle()
        passed = 0.0
        while passed < seconds:
            self.clock.advance(STEP_SECONDS)
            self.settle()
            passed += STEP_SECONDS

    def create(self, storage: str, obj: dict[str, Any]) -> dict[str, Any]:
        resource = self.cluster.api.resource(storage)
        namespace = "default" if resource.namespaced else ""
        created = self.cluster.api.create(resource, namespace, obj)
        self.settle()
        return created

    def get(self, storage: str, name: str) -> dict[str, Any]:
        return self.cluster.api.get(self.cluster.api.resource(storage), "default", name)

    def merge(self, storage: str, name: str, patch: Any, subresource: str = "") -> dict[str, Any]:
        resource, options = self.cluster.api.resource(storage), Options(subresource=subresource)
        patched = self.cluster.api.patch(resource, "default", name, "merge", patch, options)
        self.settle()
        return patched

    def delete(self, storage: str, name: str, propagation: str = "Background") -> None:
        options = deletion.DeleteOptions(propagation=propagation)
        resource = self.cluster.api.resource(storage)
        deletion.delete(self.cluster.api, resource, "default", name, options)
        self.settle()

    def pods(self) -> list[dict[str, Any]]:
        found = self.cluster.store.objects("pods", "default")
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pod(self) -> dict[str, Any]:
        (only,) = self.pods()
        return only

    def make_ready(self, pod: dict[str, Any]) -> None:
        """What a test does to pods whose readiness is manual."""
        others = [c for c in pod["status"]["conditions"] if c["type"] != "Ready"]
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": self.clock.stamp()}
        patch = {"status": {"conditions": [*others, ready]}}
        self.merge("pods", pod["metadata"]["name"], patch, "status")

    def events(self, reason: str) -> list[dict[str, Any]]:
        found = self.cluster.store.objects("events", "default")
        return [event for event in found if event["reason"] == reason]


@contextmanager
def simulated(folder: Path, **options: Any) -> Iterator[Simulation]:
    simulation = Simulation(folder, **options)
    try:
        yield simulation
    finally:
        simulation.cluster.journal.flush()
        simulation.database.close()


def knobs(**values: Any) -> dict[str, str]:
    """Annotations that steer a pod: `knobs(crash_after_seconds=0)`."""
    return {scenarios.PREFIX + name.replace("_", "-"): str(v) for name, v in values.items()}


def template(
    annotations: dict[str, str] | None = None, image: str = "web:1", gpus: int = 0
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "web", "image": image}
    spec: dict[str, Any] = {"containers": [container]}
    if gpus:
        container["resources"] = {"limits": {scenarios.GPU: str(gpus)}}
        spec["tolerations"] = [{"key": scenarios.GPU, "operator": "Exists"}]
    return {"metadata": {"labels": APP, "annotations": annotations or {}}, "spec": spec}


def deployment(
    replicas: int = 1, pods: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    selector = {"matchLabels": APP}
    wanted = {"replicas": replicas, "selector": selector, "template": pods or template(), **spec}
    return {"metadata": {"name": "web"}, "spec": wanted}


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((c for c in obj["status"].get("conditions", ()) if c["type"] == kind), {})


def waiting(pod: dict[str, Any]) -> str:
    """Why the pod's first container waits, "" when it does not."""
    return pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason", "")
