"""Observing: uncached reads of just what the decision needs at this step."""

from typing import Any

from deploy.engine.act import apply_one, drift_of
from deploy.engine.claim import Claimed
from deploy.engine.preflight import preflight
from deploy.models.rollout import State
from deploy.render import PLACEMENT_LABEL, deployments
from deploy.strategies.base import Drift, Observed, Workload
from fleet.kube import errors, projections
from fleet.kube.gateway import Gateway

# Pods are read only once a rollout has not moved for this long: the healthy case stays cheap.
TROUBLE_AFTER_SECONDS = 2.0
_HARMLESS = {"", "ContainerCreating", "PodInitializing", "Terminating", "Completed"}


def look(claimed: Claimed, gateway: Gateway) -> tuple[Observed, dict[str, Any]]:
    """What the cluster shows, and what to remember of it. Raises errors of `fleet.kube`."""
    position = claimed.position
    if position.state == State.PREPARING:
        return preflight(claimed, gateway), {}
    aborting = position.state == State.ABORTING
    if aborting and position.memory.get("restored"):
        return _look_at(claimed, gateway, claimed.rollout.stable.plan, "restored")
    if position.state == State.PROGRESSING and position.step == "roll":
        return _look_at(claimed, gateway, claimed.rollout.plan, "applied")
    return Observed(), {}


def _look_at(
    claimed: Claimed, gateway: Gateway, plan: dict, key: str
) -> tuple[Observed, dict[str, Any]]:
    known = dict(claimed.position.memory.get(key) or {})
    workloads: list[Workload] = []
    drift: list[Drift] = []
    for obj in deployments(plan["objects"]):
        name = obj["metadata"]["name"]
        try:
            live = gateway.get(obj["apiVersion"], "Deployment", obj["metadata"]["namespace"], name)
        except errors.NotFound:
            drift.append(Drift(f"Deployment/{name}", "somebody", ("deleted",)))
            continue
        generation = live["metadata"]["generation"]
        if generation != known.get(name):
            drift += _drift(claimed, gateway, obj)
            known[name] = generation
        workloads.append(_workload(name, live))
    noted = {key: known, **_hashes(claimed, gateway, workloads, known)}
    trouble = _trouble(claimed, gateway, workloads, noted["template_hashes"])
    seen = Observed(tuple(workloads), tuple(drift), trouble=trouble)
    return seen, noted


def _drift(claimed: Claimed, gateway: Gateway, obj: dict) -> list[Drift]:
    """Somebody wrote the spec after us: a dry run says whether it was to fields of ours."""
    try:
        apply_one(claimed, gateway, obj, dry_run=True)
    except errors.FieldConflict as error:
        return drift_of(error)
    return []


def _workload(name: str, live: dict) -> Workload:
    seen = projections.deployment(live)
    return Workload(
        name=name,
        desired=seen["desired"],
        replicas=seen["replicas"],
        updated=seen["updated"],
        ready=seen["ready"],
        available=seen["available"],
        up_to_date=seen["observed_generation"] >= seen["generation"],
    )


def _hashes(
    claimed: Claimed, gateway: Gateway, workloads: list[Workload], generations: dict[str, int]
) -> dict[str, Any]:
    """Template hashes of the newest ReplicaSets, read again only when a generation moved."""
    memory = claimed.position.memory
    settled = all(workload.up_to_date for workload in workloads)
    if memory.get("hashed") == generations or not settled:
        return {"template_hashes": memory.get("template_hashes", [])}
    placement = claimed.rollout.placement
    selector = f"{PLACEMENT_LABEL}={placement.pk}"
    newest: dict[str, tuple[int, str]] = {}
    for found in gateway.list(
        "apps/v1", "ReplicaSet", placement.namespace, label_selector=selector
    ):
        seen = projections.replica_set(found)
        entry = (int(seen["revision"] or 0), seen["template_hash"])
        owner = seen["owner"]["name"]
        newest[owner] = max(newest.get(owner, (0, "")), entry)
    hashes = sorted(newest[w.name][1] for w in workloads if w.name in newest)
    return {"template_hashes": hashes, "hashed": generations}


def _trouble(
    claimed: Claimed, gateway: Gateway, workloads: list[Workload], hashes: list[str]
) -> str:
    """Why new pods are not ready, in one sentence; "" while there is nothing to tell."""
    idle = (claimed.position.memory.get("progress") or {}).get("idle_seconds", 0.0)
    aborting = claimed.position.state == State.ABORTING
    waiting = not all(workload.complete for workload in workloads)
    if not (waiting and hashes and (aborting or idle >= TROUBLE_AFTER_SECONDS)):
        return ""
    placement = claimed.rollout.placement
    selector = f"{PLACEMENT_LABEL}={placement.pk},pod-template-hash in ({','.join(hashes)})"
    pods = gateway.list("v1", "Pod", placement.namespace, label_selector=selector)
    return explain(projections.pod(pod) for pod in pods)


def explain(pods: Any) -> str:
    """`2 of 3 new pods: CrashLoopBackOff (last exit: Error (code 1))`, the commonest reason."""
    seen = list(pods)
    reasons: dict[str, list[str]] = {}
    for pod in seen:
        if not pod["ready"] and pod["reason"] not in _HARMLESS:
            reasons.setdefault(pod["reason"], []).append(pod["message"])
    if not reasons:
        return ""
    reason, messages = max(reasons.items(), key=lambda item: len(item[1]))
    message = next((text for text in messages if text), "")
    count = f"{len(messages)} of {len(seen)} new pods: {reason}"
    return f"{count} ({message})" if message else count
