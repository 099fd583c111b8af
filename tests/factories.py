"""Rows for tests, made by plain functions: every argument has a default, names count upwards.

Rows are written straight to the tables: a test of a verb calls the verb, every other test only
needs the row to be there.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from deploy.models import Release, Rollout
from deploy.models.rollout import ACTIVE
from fleet.models import Cluster, NodePool, Placement, Service
from portal.base import api_keys
from portal.base.models import ApiKey, Membership, Role, Team, User

PASSWORD = "a long enough passphrase"
DIGEST = "sha256:" + "0123456789abcdef" * 4
_numbers = count(1)


def digest(of: str) -> str:
    """An image digest that differs for each text."""
    return "sha256:" + hashlib.sha256(of.encode()).hexdigest()


def make_team(name: str = "", **values: Any) -> Team:
    name = name or f"team-{next(_numbers)}"
    return Team.objects.create(name=name, slug=values.pop("slug", name), **values)


def make_user(
    username: str = "", *, team: Team | None = None, role: str | None = None, **values: Any
) -> User:
    """A person with PASSWORD; with a role, a member of `team` (or of a new one)."""
    username = username or f"user-{next(_numbers)}"
    user = User.objects.create_user(username, password=PASSWORD, **values)
    if role or team:
        Membership.objects.create(team=team or make_team(), user=user, role=role or Role.VIEWER)
    return user


def make_admin(username: str = "", **values: Any) -> User:
    """A superuser: administers the platform, admin of every team."""
    return make_user(username, is_staff=True, is_superuser=True, **values)


def make_api_key(owner: User | None = None, scope: str = ApiKey.Scope.WRITE) -> tuple[ApiKey, str]:
    """A key and the bearer token that opens it."""
    owner = owner or make_user()
    return api_keys.create(
        owner=owner, name="test", scope=scope, lifetime=timedelta(days=1), actor=owner
    )


def make_cluster(name: str = "", **values: Any) -> Cluster:
    """A cluster nobody can reach; give `credentials` (an Endpoint as dict) for a real one."""
    name = name or f"cluster-{next(_numbers)}"
    defaults = {"region": "us-east-1", "server": "https://127.0.0.1:1", "provider": "sandbox"}
    defaults["credentials"] = {"server": "https://127.0.0.1:1", "token": "none"}
    return Cluster.objects.create(name=name, **{**defaults, **values})


def make_node_pool(cluster: Cluster | None = None, name: str = "gpu", **values: Any) -> NodePool:
    return NodePool.objects.create(cluster=cluster or make_cluster(), name=name, **values)


def make_service(name: str = "", team: Team | None = None, **values: Any) -> Service:
    name = name or f"service-{next(_numbers)}"
    return Service.objects.create(name=name, team=team or make_team(), **values)


def make_placement(
    service: Service | None = None, cluster: Cluster | None = None, **values: Any
) -> Placement:
    return Placement.objects.create(
        service=service or make_service(), cluster=cluster or make_cluster(), **values
    )


def make_deployment(name: str = "web", *, replicas: int = 2, **container: Any) -> dict[str, Any]:
    """A Deployment manifest with one container named like it; `container` overrides its fields."""
    labels = {"app": name}
    image = f"registry.example/{name}@{DIGEST}"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"containers": [{"name": name, "image": image, **container}]},
            },
        },
    }


def make_release(
    service: Service | None = None,
    *,
    version: str = "",
    manifests: Iterable[dict[str, Any]] | None = None,
    **values: Any,
) -> Release:
    """The next release of a service; by default one Deployment `web` with a digest of its own."""
    service = service or make_service()
    newest = service.releases.order_by("-number").first()
    number = newest.number + 1 if newest else 1
    version = version or f"1.{number}.0"
    defaults: dict[str, Any] = {
        "number": number,
        "images": {"web": f"registry.example/web@{digest(version)}"},
        "manifests": list(manifests) if manifests is not None else [make_deployment()],
    }
    given = {**defaults, **values}
    given.setdefault("digest", digest(json.dumps([given["manifests"], given["images"], version])))
    return Release.objects.create(service=service, version=version, **given)


def make_rollout(
    placement: Placement | None = None,
    release: Release | None = None,
    *,
    state: str = "queued",
    plan: dict[str, Any] | None = None,
    **values: Any,
) -> Rollout:
    """A rollout row in any state. The default plan is empty: the engine needs a real one."""
    placement = placement or make_placement(release.service if release else None)
    release = release or make_release(placement.service)
    plan = plan or {
        "strategy": "rolling", "parameters": {}, "objects": [], "steps": [], "stable": None
    }  # fmt: skip
    sha256 = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    if state in ACTIVE or state == "queued":
        values.setdefault("next_due", timezone.now())
    return Rollout.objects.create(
        placement=placement, release=release, plan=plan, plan_sha256=sha256, state=state, **values
    )
