"""Acting: server-side apply of a plan's objects under our fence, and pruning what is left over.

Every write carries the fence and the resourceVersion it was decided on, so a late worker's write
fails. Without `force` nothing is taken from others: a conflict is a finding, not an accident.
"""

import copy
from typing import Any

from deploy.engine.claim import Claimed
from deploy.models import Rollout
from deploy.render import PLACEMENT_LABEL, config_names, deployments, pod_spec
from deploy.strategies.base import Action, Drift
from fleet.kube import errors
from fleet.kube.gateway import Gateway
from portal.base import audit, events

MANAGER = "pilothouse"
ROLLOUT_MARK = "pilothouse.io/rollout"
FENCE_MARK = "pilothouse.io/fence"
APPLY_TRIES = 3


class Superseded(Exception):
    """The cluster carries a newer fence than ours."""

    def __init__(self, fence: int) -> None:
        super().__init__(f"fence {fence} was written by a newer worker")
        self.fence = fence


def perform(claimed: Claimed, action: Action, gateway: Gateway) -> dict[str, Any]:
    """Carries out one action; returns what to remember. Raises errors of `fleet.kube`."""
    plan = claimed.rollout.plan["objects"]
    if action == Action.PRUNE:
        prune(claimed, gateway)
        return {}
    if action == Action.RESTORE:
        stable = claimed.rollout.stable.plan["objects"]
        return {"restored": _apply_all(claimed, gateway, stable, force=True)}
    if action in (Action.HOLD, Action.CONTINUE):
        held = action == Action.HOLD
        return {"applied": _apply_all(claimed, gateway, deployments(plan), paused=held)}
    return {"applied": _apply_all(claimed, gateway, plan, force=action == Action.TAKE_OVER)}


def apply_one(
    claimed: Claimed,
    gateway: Gateway,
    obj: dict,
    *,
    force: bool = False,
    dry_run: bool = False,
    paused: bool = False,
) -> dict:
    """Applies one object on top of what is there now; a race is read again and retried.

    Raises Superseded, FieldConflict, Invalid for somebody else's object, or other KubeErrors.
    """
    for attempt in range(APPLY_TRIES):
        live = _find(gateway, obj)
        body = _body(claimed, gateway, obj, live, paused)
        try:
            return gateway.apply(body, field_manager=MANAGER, force=force, dry_run=dry_run)
        except errors.FieldConflict as error:
            # Tell people which object it was, in the words of the plan.
            error.status["details"] = {"kind": obj["kind"], "name": obj["metadata"]["name"]}
            raise
        except errors.Conflict:
            if attempt == APPLY_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def drift_of(error: errors.FieldConflict) -> list[Drift]:
    """What a conflict met by `apply_one` says: whose fields they are now, owner by owner."""
    about = error.status["details"]
    name = f"{about['kind']}/{about['name']}"
    return [Drift(name, owner, tuple(paths)) for owner, paths in error.owners.items()]


def rebase(claimed: Claimed, observed_fence: int) -> None:
    """Jumps over a fence seen in the cluster, if the row is still ours.

    Then no newer worker wrote it: the database lost commits (a failover), and the row must get
    ahead of what it had already done. A worker that is merely late changes nothing here.
    """
    rollout = claimed.rollout
    with events.transaction():
        ours = Rollout.objects.filter(pk=rollout.pk, fence=claimed.fence)
        if ours.update(fence=observed_fence, lease_until=None):
            change = {"fence": [claimed.fence, observed_fence]}
            audit.record(actor=None, verb="rollout.fence_rebased", target=rollout, change=change)


def _apply_all(
    claimed: Claimed, gateway: Gateway, objects: list[dict], **how: bool
) -> dict[str, int]:
    """Applies in order; returns the generation of each Deployment after our write."""
    generations = {}
    for obj in objects:
        live = apply_one(claimed, gateway, obj, **how)
        if obj["kind"] == "Deployment":
            generations[obj["metadata"]["name"]] = live["metadata"]["generation"]
    return generations


def _find(gateway: Gateway, obj: dict) -> dict | None:
    meta = obj["metadata"]
    try:
        return gateway.get(obj["apiVersion"], obj["kind"], meta["namespace"], meta["name"])
    except errors.NotFound:
        return None


def _body(claimed: Claimed, gateway: Gateway, obj: dict, live: dict | None, paused: bool) -> dict:
    body = copy.deepcopy(obj)
    marks = {ROLLOUT_MARK: str(claimed.rollout.pk), FENCE_MARK: str(claimed.fence)}
    body["metadata"]["annotations"] = {**(body["metadata"].get("annotations") or {}), **marks}
    if body["kind"] == "Deployment":
        body["spec"]["paused"] = paused
    if live is None:
        return body
    _check_ours(claimed, live)
    body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    if body["kind"] == "Deployment" and "replicas" in body["spec"]:
        _settle_replicas(gateway, body, live)
    return body


def _check_ours(claimed: Claimed, live: dict) -> None:
    meta = live["metadata"]
    owner = (meta.get("labels") or {}).get(PLACEMENT_LABEL)
    if owner and owner != str(claimed.rollout.placement_id):
        what = f"{live['kind']} {meta['name']}"
        raise errors.Invalid(f"{what} belongs to another placement ({owner})", [])
    fence = int((meta.get("annotations") or {}).get(FENCE_MARK, 0))
    if fence > claimed.fence:
        raise Superseded(fence)


def _settle_replicas(gateway: Gateway, body: dict, live: dict) -> None:
    """Under an autoscaler the count is not ours to set, yet dropping it must not reset it to 1.

    While we alone own the field the current count is sent; once the autoscaler owns it, nothing.
    (kubernetes.io: "Migrating Deployments and StatefulSets to horizontal autoscaling")
    """
    if not _autoscaled(gateway, body):
        return
    if _owned_by_others(live):
        del body["spec"]["replicas"]
    else:
        body["spec"]["replicas"] = live["spec"]["replicas"]


def _autoscaled(gateway: Gateway, deployment: dict) -> bool:
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    try:
        scalers = list(gateway.list("autoscaling/v2", "HorizontalPodAutoscaler", namespace))
    except (errors.Forbidden, errors.NotFound):
        return False
    targets = (scaler["spec"]["scaleTargetRef"] for scaler in scalers)
    return any(t["kind"] == "Deployment" and t["name"] == name for t in targets)


def _owned_by_others(live: dict) -> bool:
    entries = live["metadata"].get("managedFields") or []
    return any(
        "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in entries
        if entry.get("manager") != MANAGER
    )


# --- Pruning ----------------------------------------------------------------------------------


def prune(claimed: Claimed, gateway: Gateway) -> None:
    """Deletes objects of this placement that neither the plan nor a kept ReplicaSet needs.

    On the way back (aborting) the stable plan is what stays.
    """
    rollout = claimed.rollout
    back = rollout.state == "aborting"
    kept_plan = rollout.stable.plan if back and rollout.stable else rollout.plan
    keep = {_key(obj) for obj in kept_plan["objects"]}
    others = [rollout.plan, *([rollout.stable.plan] if rollout.stable else [])]
    kinds = {(o["apiVersion"], o["kind"]) for plan in others for o in plan["objects"]}
    needed: set[str] | None = None
    for api_version, kind in sorted(kinds):
        for live in _of_placement(claimed, gateway, api_version, kind):
            if (kind, live["metadata"]["name"]) in keep:
                continue
            if kind == "ConfigMap":
                needed = _configs_in_use(claimed, gateway) if needed is None else needed
                if live["metadata"]["name"] in needed:
                    continue
            _delete(claimed, gateway, live)


def _key(obj: dict) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


def _of_placement(claimed: Claimed, gateway: Gateway, api_version: str, kind: str) -> list[dict]:
    placement = claimed.rollout.placement
    selector = f"{PLACEMENT_LABEL}={placement.pk},app.kubernetes.io/managed-by=pilothouse"
    return list(gateway.list(api_version, kind, placement.namespace, label_selector=selector))


def _configs_in_use(claimed: Claimed, gateway: Gateway) -> set[str]:
    """ConfigMaps that a ReplicaSet refers to, so that pods and `kubectl rollout undo` find them."""
    placement = claimed.rollout.placement
    selector = f"{PLACEMENT_LABEL}={placement.pk}"
    sets = gateway.list("apps/v1", "ReplicaSet", placement.namespace, label_selector=selector)
    return {name for found in sets for name in config_names(pod_spec(found) or {})}


def _delete(claimed: Claimed, gateway: Gateway, live: dict) -> None:
    _check_ours(claimed, live)
    meta = live["metadata"]
    try:
        gateway.delete(
            live["apiVersion"], live["kind"], meta["namespace"], meta["name"], uid=meta["uid"]
        )
    except errors.NotFound:
        return
