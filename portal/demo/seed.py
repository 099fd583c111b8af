"""Puts the demo into the database. Every step looks first, so a second run changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from deploy import releases, rollouts
from deploy.models import Release
from fleet import catalogue, clusters
from fleet.models import Cluster, NodePool, Placement, Service
from fleet.models.cluster import Environment, Provider
from portal.base import audit, events
from portal.base.models import Team

FOLDER = Path(__file__).parent
NAMESPACE = "default"

# Names are those of the kubeconfigs that the sandbox writes, and regions as well.
CLUSTERS = {"us-east-1": Environment.PRODUCTION, "eu-west-1": Environment.STAGING}
POOLS: list[dict[str, Any]] = [
    {
        "name": "general",
        "selector": {"eks.amazonaws.com/nodegroup": "general"},
        "machine_type": "t3.large",
        "min_nodes": 2,
        "max_nodes": 5,
        "disk_gigabytes": 50,
    },
    {
        "name": "gpu",
        "selector": {"eks.amazonaws.com/nodegroup": "gpu"},
        "machine_type": "g4dn.xlarge",
        "accelerator_type": "nvidia-tesla-t4",
        "accelerators_per_node": 1,
        "min_nodes": 2,
        "max_nodes": 5,
        "disk_gigabytes": 100,
        "taints": [{"key": "spot", "value": "true", "effect": "NoSchedule"}],
        "spot": True,
    },
]


def seed(kubeconfigs: Path, say: Callable[[str], None]) -> None:
    """Clusters, team, service, releases, placements, and the first rollout on each placement."""
    team = _team()
    registered = [_cluster(name, kubeconfigs, say) for name in CLUSTERS]
    service = _service(team)
    first, *_ = [_release(service, entry, say) for entry in _read("asr/releases.yaml")]
    for cluster in registered:
        placement = _placement(service, cluster)
        if not placement.rollouts.exists():
            reason = "First deployment of the demo"
            rollouts.start(release=first, placement=placement, actor=None, reason=reason)
            say(f"rolling out {first.version} on {cluster.name}")


def _team() -> Team:
    with events.transaction():
        team, created = Team.objects.get_or_create(slug="speech", defaults={"name": "Speech"})
        if created:
            audit.record(actor=None, verb="team.create", target=team)
    return team


def _cluster(name: str, kubeconfigs: Path, say: Callable[[str], None]) -> Cluster:
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        cluster = clusters.register(
            name=name,
            region=name,
            provider=Provider.SANDBOX,
            environment=CLUSTERS[name],
            kubeconfig=(kubeconfigs / f"{name}.yaml").read_text(),
            actor=None,
        )
        say(f"registered {name}: {cluster.get_connection_display()}")
    for pool in POOLS:
        NodePool.objects.get_or_create(cluster=cluster, name=pool["name"], defaults=pool)
    return cluster


def _service(team: Team) -> Service:
    return Service.objects.filter(name="asr").first() or catalogue.create_service(
        team=team, name="asr", description="Speech to text on GPUs", actor=None
    )


def _placement(service: Service, cluster: Cluster) -> Placement:
    placed = service.placements.filter(cluster=cluster, namespace=NAMESPACE)
    return placed.first() or catalogue.place(
        service=service, cluster=cluster, namespace=NAMESPACE, actor=None
    )


def _release(service: Service, entry: dict[str, Any], say: Callable[[str], None]) -> Release:
    release = service.releases.filter(version=entry["version"]).first()
    if release is None:
        release = releases.create(service=service, actor=None, **release_values(entry))
        say(f"created asr {release.version}")
    return release


def release_values(entry: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `releases.create` for one entry of releases.yaml."""
    about = ("version", "changelog", "model_id", "model_revision", "git_commit")
    return {
        **{name: entry[name] for name in about},
        "images": {"asr": entry["image"]},
        "config": {"asr-config": entry["config"]},
        "manifests": _manifests(**entry.get("deployment", {})),
    }


def _manifests(
    gpus: int = 0,
    progress_deadline_seconds: int = 0,
    annotations: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    manifests = list(yaml.safe_load_all((FOLDER / "asr/manifests.yaml").read_text()))
    spec = next(obj for obj in manifests if obj["kind"] == "Deployment")["spec"]
    if gpus:
        [container] = spec["template"]["spec"]["containers"]
        container["resources"]["limits"]["nvidia.com/gpu"] = str(gpus)
    if progress_deadline_seconds:
        spec["progressDeadlineSeconds"] = progress_deadline_seconds
    if annotations:
        spec["template"]["metadata"]["annotations"] = annotations
    return manifests


def _read(path: str) -> Any:
    return yaml.safe_load((FOLDER / path).read_text())
