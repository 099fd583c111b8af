"""Checks before step 0, each an evidence row: dry run, room for the pods, readiness probes."""

from deploy.engine.act import apply_one, drift_of
from deploy.engine.claim import Claimed
from deploy.render import deployments, pod_spec
from deploy.strategies.base import Drift, Finding, Observed
from fleet import capacity
from fleet.kube import errors, projections
from fleet.kube.gateway import Gateway


def preflight(claimed: Claimed, gateway: Gateway) -> Observed:
    """Changes nothing. Blocking findings say why the rollout can not begin."""
    refusals, drift = _dry_run(claimed, gateway)
    findings = (*refusals, _room(claimed, gateway), _readiness(claimed))
    return Observed(drift=tuple(drift), findings=findings)


def _dry_run(claimed: Claimed, gateway: Gateway) -> tuple[list[Finding], list[Drift]]:
    """Asks the API server about every object, so that people see all refusals at once."""
    findings: list[Finding] = []
    drift: list[Drift] = []
    objects = claimed.rollout.plan["objects"]
    for obj in objects:
        name = f"{obj['kind']}/{obj['metadata']['name']}"
        try:
            apply_one(claimed, gateway, obj, dry_run=True)
        except errors.FieldConflict as error:
            drift += drift_of(error)
        except (errors.Invalid, errors.NotFound, errors.Forbidden) as error:
            findings.append(Finding("dry run", "failed", f"{name}: {error}", blocking=True))
    if not findings:
        text = f"the API server accepts all {len(objects)} objects"
        findings.append(Finding("dry run", "passed", text))
    return findings, drift


def _room(claimed: Claimed, gateway: Gateway) -> Finding:
    cluster = claimed.rollout.placement.cluster
    nodes, pods = capacity.observed(cluster)
    try:
        # The watcher has not been here yet: ask, so that a first release is judged as well.
        nodes = nodes or [
            {"name": node["metadata"]["name"], **projections.node(node)}
            for node in gateway.list("v1", "Node")
        ]
    except errors.Forbidden as error:
        return Finding("capacity", "inconclusive", str(error))
    demand = [capacity.demand_of(obj) for obj in deployments(claimed.rollout.plan["objects"])]
    found = capacity.preflight(nodes, pods, demand)
    if found.impossible:
        return Finding("capacity", "failed", found.message, blocking=True)
    return Finding("capacity", "passed" if found.ok else "warning", found.message)


def _readiness(claimed: Claimed) -> Finding:
    """Without a readiness probe a pod counts as available before it has proved anything."""
    blind = [
        f"{obj['metadata']['name']}/{container['name']}"
        for obj in deployments(claimed.rollout.plan["objects"])
        for container in pod_spec(obj)["containers"]
        if "readinessProbe" not in container and not obj["spec"].get("minReadySeconds")
    ]
    if not blind:
        return Finding("readiness", "passed", "every container has a readiness probe")
    text = f"{', '.join(blind)}: no readiness probe, a crash right after the start goes unnoticed"
    return Finding("readiness", "warning", text)
