"""A small world for the pages: one team, two clusters, a service with releases and rollouts."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from deploy.models import Release, Rollout, RolloutStep
from fleet.models import Cluster, ObservedObject, Placement, Service, WatchCursor
from portal.base.models import Role, Team, User
from tests.factories import (
    make_admin,
    make_cluster,
    make_node_pool,
    make_placement,
    make_release,
    make_rollout,
    make_service,
    make_team,
    make_user,
)


@dataclass
class World:
    """What the tests look at. `done` succeeded with 1.1.0; `live` brings 1.2.0 to `placement`."""

    team: Team
    admin: User
    operator: User
    viewer: User
    stranger: User
    cluster: Cluster
    service: Service
    placement: Placement
    first: Release
    second: Release
    done: Rollout
    live: Rollout

    def browser(self, user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Production's hashing takes a third of a second per person, on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def world(db: None, quick_passwords: None) -> World:
    team = make_team("speech")
    cluster = make_cluster("eu-west-1", region="eu-west-1", connection="connected")
    service = make_service("asr", team)
    placement = make_placement(service, cluster)
    first, second = make_release(service, version="1.1.0"), make_release(service, version="1.2.0")
    done = make_rollout(placement, first, state="succeeded", finished_at=timezone.now())
    live = make_rollout(placement, second, state="progressing", stable=done, plan=plan())
    live.memory = {"template_hashes": ["new1"], "workloads": []}
    live.save()
    add_steps(live)
    watch(cluster)
    make_node_pool(cluster, selector={"pilothouse.io/pool": "gpu"}, accelerator_type="t4")
    observe(cluster, "Node", "node-1", projection=NODE)
    observe(cluster, "Pod", "asr-old1-aaaaa", placement, pod("old1", ready=True))
    observe(cluster, "Pod", "asr-new1-bbbbb", placement, pod("new1", reason="ContainerCreating"))
    return World(
        team=team,
        admin=make_admin("root"),
        operator=make_user("olga", team=team, role=Role.OPERATOR),
        viewer=make_user("vera", team=team, role=Role.VIEWER),
        stranger=make_user("sven", team=make_team("elsewhere"), role=Role.ADMIN),
        cluster=cluster,
        service=service,
        placement=placement,
        first=first,
        second=second,
        done=done,
        live=live,
    )


NODE = {
    "ready": True,
    "labels": {"pilothouse.io/pool": "gpu"},
    "allocatable": {"gpus": 2, "cpu_cores": 8, "memory_bytes": 2**34},
    "capacity": {"gpus": 2, "cpu_cores": 8, "memory_bytes": 2**34},
    "instance_type": "g4dn.xlarge",
}


def plan() -> dict[str, Any]:
    parameters = {"progress_deadline_seconds": 600}
    return {"strategy": "rolling", "parameters": parameters, "objects": [], "steps": []}


def pod(template_hash: str, *, ready: bool = False, reason: str = "", **given: Any) -> dict:
    phase = "Running" if ready else "Pending"
    return {
        "phase": phase, "ready": ready, "reason": reason, "message": "", "restarts": 0,
        "node": "node-1", "template_hash": template_hash, "requests": {"gpus": 1},
        "created": "2026-01-01T00:00:00Z", "deleting": "",
    } | given  # fmt: skip


def observe(
    cluster: Cluster,
    kind: str,
    name: str,
    placement: Placement | None = None,
    projection: dict[str, Any] | None = None,
) -> ObservedObject:
    return ObservedObject.objects.create(
        cluster=cluster, kind=kind, name=name, uid=f"uid-{name}", placement=placement,
        namespace="default", projection=projection or {}, seen_at=timezone.now(),
    )  # fmt: skip


def watch(cluster: Cluster) -> None:
    now = timezone.now()
    WatchCursor.objects.create(cluster=cluster, kind="Pod", state="live", heard_at=now)


def add_steps(rollout: Rollout) -> None:
    finding = {"check": "capacity", "verdict": "passed", "message": "All pods find room."}
    done = {"state": "done", "started_at": timezone.now(), "finished_at": timezone.now()}
    RolloutStep.objects.create(
        rollout=rollout, index=0, kind="preflight", title="Preflight", evidence=[finding], **done
    )
    RolloutStep.objects.create(
        rollout=rollout, index=1, kind="roll", title="Rolling update", state="running"
    )
