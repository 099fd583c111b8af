"""A stage for flows: a service placed on a fresh namespace of the target, driven by hand."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db.models.functions import Now

from deploy import engine, releases, rollouts
from deploy.models import Release, Rollout
from deploy.models.rollout import TERMINAL
from fleet.models import Placement
from portal.base.models import User
from tests.conformance.client import Client
from tests.controlplane.fixtures import Target
from tests.factories import (
    digest,
    make_admin,
    make_cluster,
    make_deployment,
    make_placement,
    make_service,
)

DEADLINE_SECONDS = 60.0


@dataclass
class Stage:
    """One placement on the target, with everything a flow needs."""

    target: Target
    placement: Placement
    actor: User
    versions: dict[str, Release] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.placement.namespace

    @property
    def client(self) -> Client:
        return self.target.client

    def release(
        self, version: str, *, crash: bool = False, manual: bool = False, **changes
    ) -> Release:
        """A release of Deployment `web` with a ConfigMap that carries the version.

        Its pods crash, or (`manual`) become ready when the test says so.
        """
        manifest = make_deployment(
            image="web", envFrom=[{"configMapRef": {"name": "web-config"}}], **changes
        )
        template = manifest["spec"]["template"]
        if crash:
            template["metadata"]["annotations"] = {"sandbox.pilothouse.io/crash-after-seconds": "0"}
            manifest["spec"]["progressDeadlineSeconds"] = 3
        if manual:
            template["metadata"]["annotations"] = {"sandbox.pilothouse.io/readiness": "manual"}
        self.versions[version] = releases.create(
            service=self.placement.service,
            version=version,
            manifests=[manifest, _kube_service()],
            images={"web": f"registry.example/web@{digest(version)}"},
            config={"web-config": {"VERSION": version}},
            actor=self.actor,
        )
        return self.versions[version]

    def start(self, version: str, **options) -> Rollout:
        release = self.versions.get(version) or self.release(version)
        return rollouts.start(
            release=release, placement=self.placement, actor=self.actor, **options
        )

    def finish(self, rollout: Rollout) -> Rollout:
        return self.drive(rollout, lambda row: row.state in TERMINAL)

    def drive(self, rollout: Rollout, until: Callable[[Rollout], bool]) -> Rollout:
        """Ticks as the dispatcher would on every wake, until the row is as wanted."""
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            Rollout.objects.filter(pk=rollout.pk, next_due__isnull=False).update(next_due=Now())
            engine.advance(rollout.pk)
            rollout = Rollout.objects.get(pk=rollout.pk)
            if until(rollout):
                return rollout
            time.sleep(0.1)
        waits = f"{rollout.state}: {rollout.explanation} {rollout.reason}"
        raise AssertionError(f"{waits}\n{self.pods()}")

    def pods(self) -> str:
        """Name, phase and conditions of every pod, for a failure's message."""
        items = self.client.get(f"/api/v1/namespaces/{self.namespace}/pods").body["items"]
        return "\n".join(
            f"{pod['metadata']['name']} {pod['spec'].get('nodeName')} {pod['status']}"
            for pod in items
        )

    def get_ready(self) -> None:
        """Makes the pods ready that wait for the test."""
        self.target.set_pods_ready(self.namespace, selector="app=web")

    def deployment(self, name: str = "web") -> dict:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
        return self.client.get(path).body

    def image(self) -> str:
        return self.deployment()["spec"]["template"]["spec"]["containers"][0]["image"]

    def config(self) -> str:
        """The VERSION that the pods of the Deployment are configured with."""
        spec = self.deployment()["spec"]["template"]["spec"]
        name = spec["containers"][0]["envFrom"][0]["configMapRef"]["name"]
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{name}"
        return self.client.get(path).body["data"]["VERSION"]


def _kube_service() -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }


@contextmanager
def stage_on(target: Target) -> Iterator[Stage]:
    """The target registered as a cluster, and a service placed on a namespace of its own."""
    namespace = f"flow-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert target.client.post("/api/v1/namespaces", body).status == 201
    credentials = {"server": target.server, "ca_pem": target.ca_pem, "token": target.token}
    cluster = make_cluster(server=target.server, credentials=credentials)
    placement = make_placement(make_service(), cluster, namespace=namespace)
    yield Stage(target, placement, make_admin())
    target.client.delete(f"/api/v1/namespaces/{namespace}")
