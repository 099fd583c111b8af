"""What a simulated cluster is made of, and how its pods behave.

A scenario is YAML, or the name of one of `BUILT_IN`:

    pools:
      - {name: general, nodes: 3, cpu: 8, memory: 32Gi}
      - {name: gpu, nodes: 2, cpu: 16, memory: 64Gi, gpus: 4, labels: {accelerator: nvidia-t4},
         taints: ["nvidia.com/gpu=present:NoSchedule"]}
    pods: {start_seconds: 1.5, stop_seconds: 0.3, back_off_seconds: 10, readiness: automatic}
    clusters:                 # what one cluster has instead of the above
      eu-west: {region: eu-west-1, pools: [...], pods: {...}}

Single pods are steered by annotations on their template, `KNOBS` below.
"""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from .clock import Clock

PREFIX = "sandbox.pilothouse.io/"
KNOBS = {
    "start-seconds": "time from scheduled to running",
    "ready-after-seconds": "time from running to Ready (a slow start)",
    "crash-after-seconds": "time from running to exit code 1, again after every restart",
    "image-pull-error": "the image cannot be pulled, with this message",
    "readiness": "manual: Ready only when somebody patches pods/status",
    "stop-seconds": "time from deletion to gone",
}
UNPULLABLE_TAG = "404"  # `image: webserver:404` cannot be pulled either, annotated or not
GPU = "nvidia.com/gpu"
KUBELET_VERSION = "v1.36.3"


class ScenarioError(ValueError):
    """A scenario that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class NodePool:
    """Nodes alike."""

    name: str
    nodes: int = 1
    cpu: int = 8
    memory: str = "32Gi"
    gpus: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PodBehaviour:
    """Times in seconds; `readiness` is automatic or manual."""

    start_seconds: float = 1.2
    stop_seconds: float = 0.3
    ready_after_seconds: float = 0.0
    back_off_seconds: float = 10.0
    readiness: str = "automatic"
    crash_after_seconds: float | None = None
    image_pull_error: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    pools: tuple[NodePool, ...]
    pods: PodBehaviour = PodBehaviour()
    region: str = "local-1"


BUILT_IN: dict[str, Any] = {
    "small": {"pools": [{"name": "general", "nodes": 3, "cpu": 32, "memory": "128Gi"}]},
    "gpu": {
        "pools": [
            {"name": "general", "nodes": 3, "cpu": 16, "memory": "64Gi"},
            {
                "name": "gpu",
                "nodes": 2,
                "cpu": 32,
                "memory": "128Gi",
                "gpus": 2,
                "taints": [f"{GPU}=present:NoSchedule"],
            },
        ]
    },
    "large": {"pools": [{"name": "general", "nodes": 50, "cpu": 64, "memory": "256Gi"}]},
}


def load(source: str, cluster: str) -> Scenario:
    """The scenario of one cluster, from a built-in name or a YAML file; raises ScenarioError."""
    described = BUILT_IN.get(source) or _read(Path(source))
    described = {**described, **(described.get("clusters") or {}).get(cluster, {})}
    try:
        pools = tuple(
            NodePool(**{**pool, "taints": tuple(pool.get("taints", ()))})
            for pool in described.get("pools", BUILT_IN["small"]["pools"])
        )
        pods = PodBehaviour(**described.get("pods", {}))
    except TypeError as error:
        raise ScenarioError(f"scenario {source}: {error}") from None
    return Scenario(pools, pods, described.get("region", "local-1"))


def _read(path: Path) -> dict[str, Any]:
    try:
        described = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ScenarioError(f"cannot read scenario {path}: {error}") from None
    if not isinstance(described, dict):
        raise ScenarioError(f"scenario {path} must be a mapping")
    return described


def behaviour_of(pod: dict[str, Any], usual: PodBehaviour) -> PodBehaviour:
    """A pod's behaviour: its cluster's, changed by its own annotations."""
    annotations = pod["metadata"].get("annotations") or {}
    changes: dict[str, Any] = {}
    for knob in fields(PodBehaviour):
        text = annotations.get(PREFIX + knob.name.replace("_", "-"))
        if text is not None:
            changes[knob.name] = float(text) if knob.name.endswith("_seconds") else text
    tags = {c["image"].rpartition("/")[2].partition(":")[2] for c in pod["spec"]["containers"]}
    if UNPULLABLE_TAG in tags:
        changes.setdefault("image_pull_error", "manifest unknown: manifest unknown")
    return replace(usual, **changes) if changes else usual


def nodes(scenario: Scenario, clock: Clock) -> list[dict[str, Any]]:
    """The Node objects of a new cluster."""
    found: list[dict[str, Any]] = []
    for pool in scenario.pools:
        for index in range(1, pool.nodes + 1):
            address = f"172.18.{len(found) // 250}.{len(found) % 250 + 2}"
            found.append(_node(f"{pool.name}-{index}", pool, address, scenario.region, clock))
    return found


def _node(name: str, pool: NodePool, address: str, region: str, clock: Clock) -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": f"{region}a",
        "pilothouse.io/pool": pool.name,
        **pool.labels,
    }
    capacity = {
        "cpu": str(pool.cpu),
        "memory": pool.memory,
        "pods": "250",
        "ephemeral-storage": "200Gi",
    }
    if pool.gpus:
        capacity[GPU] = str(pool.gpus)
        labels["nvidia.com/gpu.present"] = "true"
    spec: dict[str, Any] = {"podCIDR": "10.244.0.0/16"}
    if pool.taints:
        spec["taints"] = [_taint(text) for text in pool.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": _node_conditions(clock.stamp()),
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": _node_info(name),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    }


def _taint(text: str) -> dict[str, str]:
    """`key=value:Effect` or `key:Effect`."""
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


def _node_conditions(now: str) -> list[dict[str, str]]:
    verdicts = (
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    return [
        {
            "type": kind,
            "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        for kind, status, reason, message in verdicts
    ]


def _node_info(name: str) -> dict[str, str]:
    return {
        "machineID": name,
        "systemUUID": name,
        "bootID": name,
        "kernelVersion": "6.12.0-sandbox",
        "osImage": "Simulated Linux",
        "containerRuntimeVersion": "containerd://2.1.0-sandbox",
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }
