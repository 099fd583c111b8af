"""What a change would touch, for people who are about to confirm it."""

from fleet.models import Placement
from fleet.projections import placement_pods


def blast_radius(placement: Placement) -> list[tuple[str, str]]:
    """Lines of label and text: service, cluster, namespace, pods and accelerators."""
    cluster = placement.cluster
    return [
        ("Service", placement.service.name),
        ("Cluster", f"{cluster.name} ({cluster.get_environment_display()})"),
        ("Namespace", placement.namespace),
        ("Pods", _pods(placement)),
    ]


def _pods(placement: Placement) -> str:
    pods = placement_pods(placement)
    gpus = sum((pod.get("requests") or {}).get("gpus", 0) for pod in pods)
    ready = sum(bool(pod.get("ready")) for pod in pods)
    accelerators = f", {gpus:g} GPU{'' if gpus == 1 else 's'}" if gpus else ""
    return f"{len(pods)}, {ready} of them ready{accelerators}" if pods else "none yet"
