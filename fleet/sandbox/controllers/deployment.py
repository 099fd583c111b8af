"""The deployment controller: makes ReplicaSets follow a Deployment.

Source: pkg/controller/deployment/{deployment_controller,sync,rolling,recreate}.go. Arithmetic lives
in `rollout_math.py`, conditions and progress in `rollout_status.py`, revisions in `revisions.py`.
"""

from dataclasses import dataclass

from ..codec import Options
from ..deletion import delete
from ..errors import StatusError
from ..selectors import label_selector
from ..store import Change, Object, name_of
from . import revisions, rollout_math, rollout_status
from .base import Controller, Key, controller_of, owner_reference
from .rollout_math import replicas_of

WRITES = Options(manager="kube-controller-manager")
STATUS_WRITES = Options(manager="kube-controller-manager", subresource="status")


@dataclass(slots=True)
class Rollout:
    """A Deployment with the ReplicaSets it owns, new one apart."""

    deployment: Object
    new: Object | None
    old: list[Object]

    @property
    def all(self) -> list[Object]:
        return [*self.old, *([self.new] if self.new else [])]


class DeploymentController(Controller):
    component = "deployment-controller"
    watches = ("apps/deployments", "apps/replicasets", "pods")

    def observe(self, change: Change) -> None:
        obj = change.record.obj
        if change.storage == "apps/deployments":
            self.enqueue(name_of(obj))
        elif change.storage == "apps/replicasets":
            self._enqueue_owner_of(obj)
        elif change.type == "DELETED":
            self._pod_deleted(obj)

    def _enqueue_owner_of(self, replica_set: Object) -> None:
        owner = controller_of(replica_set)
        if owner and owner["kind"] == "Deployment":
            self.enqueue((replica_set["metadata"]["namespace"], owner["name"]))
        elif owner is None:  # an orphan some Deployment may want to adopt
            for deployment in self.store.objects(
                "apps/deployments", replica_set["metadata"]["namespace"]
            ):
                self.enqueue(name_of(deployment))

    def _pod_deleted(self, pod: Object) -> None:
        """A Recreate rollout waits for the last old pod to go."""
        owner = controller_of(pod)
        place = self.store.by_uid(owner["uid"]) if owner else None
        if place and place[0] == "apps/replicasets":
            self._enqueue_owner_of(place[1])

    def sync(self, key: Key) -> None:
        deployment = self.store.get("apps/deployments", *key)
        if deployment is None:
            return
        sets = self._owned_sets(deployment)
        if deployment["metadata"].get("deletionTimestamp"):
            self._sync_status(self._rollout(deployment, sets, create=False))
            return
        deployment = self._note_pause(deployment)
        if deployment["spec"].get("paused") or self._is_scaling(deployment, sets):
            self._scale_and_report(self._rollout(deployment, sets, create=False))
        elif rollout_math.is_rolling(deployment):
            self._roll(self._rollout(deployment, sets, create=True))
        else:
            self._recreate(deployment, sets)

    # ReplicaSets of a Deployment

    def _owned_sets(self, deployment: Object) -> list[Object]:
        """The ReplicaSets it controls, after adopting matching orphans and releasing others."""
        meta = deployment["metadata"]
        matches = label_selector(deployment["spec"]["selector"])
        owned: list[Object] = []
        for replica_set in self.store.objects("apps/replicasets", meta["namespace"]):
            owner = controller_of(replica_set)
            labels = replica_set["metadata"].get("labels", {})
            if owner is None and matches(labels) and not meta.get("deletionTimestamp"):
                if not replica_set["metadata"].get("deletionTimestamp"):
                    owned.append(self._adopt(deployment, replica_set))
            elif owner and owner["uid"] == meta["uid"]:
                owned.append(replica_set) if matches(labels) else self._release(replica_set)
        return rollout_math.by_creation(owned)

    def _adopt(self, deployment: Object, replica_set: Object) -> Object:
        owners = [*replica_set["metadata"].get("ownerReferences", ()), owner_reference(deployment)]
        return self._write_set(replica_set, {"ownerReferences": owners})

    def _release(self, replica_set: Object) -> None:
        owners = [o for o in replica_set["metadata"]["ownerReferences"] if not o.get("controller")]
        self._write_set(replica_set, {"ownerReferences": owners})

    def _write_set(self, replica_set: Object, meta: Object, spec: Object | None = None) -> Object:
        changed = {
            **replica_set,
            "metadata": {**replica_set["metadata"], **meta},
            "spec": {**replica_set["spec"], **(spec or {})},
        }
        return self.api.write(self.api.resource("apps/replicasets"), replica_set, changed, WRITES)

    def _rollout(self, deployment: Object, sets: list[Object], *, create: bool) -> Rollout:
        """Find (or create) the new ReplicaSet and bring revisions up to date."""
        new = revisions.find_new(deployment, sets)
        old = [rs for rs in sets if new is None or rs["metadata"]["uid"] != new["metadata"]["uid"]]
        revision = revisions.newest(old) + 1
        if new is not None:
            return self._existing(Rollout(deployment, new, old), revision)
        if not create:
            return Rollout(deployment, None, old)
        return self._create_set(Rollout(deployment, None, old), revision)

    def _existing(self, rollout: Rollout, revision: int) -> Rollout:
        deployment, new = rollout.deployment, rollout.new
        assert new is not None
        annotations = revisions.annotations_for(deployment, new, revision)
        seconds = deployment["spec"].get("minReadySeconds", 0)
        if annotations != new["metadata"].get("annotations", {}) or (
            seconds != new["spec"].get("minReadySeconds", 0)
        ):
            spec = {"minReadySeconds": seconds} if seconds else {}
            if not seconds and "minReadySeconds" in new["spec"]:
                kept = {k: v for k, v in new["spec"].items() if k != "minReadySeconds"}
                new = {**new, "spec": kept}
            rollout.new = self._write_set(new, {"annotations": annotations}, spec)
            return rollout
        number = new["metadata"]["annotations"][revisions.REVISION]
        condition = None
        if rollout_status.has_deadline(deployment) and not rollout_status.progressing(deployment):
            name = new["metadata"]["name"]
            condition = ("FoundNewReplicaSet", f'Found new replica set "{name}"')
        rollout.deployment = self._note_revision(deployment, number, condition)
        return rollout

    def _note_revision(
        self, deployment: Object, revision: str, condition: tuple[str, str] | None
    ) -> Object:
        changed = revisions.with_revision(deployment, revision)
        if condition and rollout_status.has_deadline(deployment):
            changed = rollout_status.with_progress(changed, "True", *condition, self.clock.stamp())
        return self._write_status(deployment, changed)

    def _write_status(self, deployment: Object, changed: Object) -> Object:
        if changed.get("status") == deployment.get("status") and (
            changed["metadata"].get("annotations") == deployment["metadata"].get("annotations")
        ):
            return deployment
        changed = {**changed, "metadata": dict(changed["metadata"])}
        resource = self.api.resource("apps/deployments")
        return self.api.write(resource, deployment, changed, STATUS_WRITES)

    def _create_set(self, rollout: Rollout, revision: int) -> Rollout:
        deployment = rollout.deployment
        wanted = revisions.new_replica_set(deployment, revision)
        wanted["metadata"]["ownerReferences"] = [owner_reference(deployment)]
        wanted["spec"]["replicas"] = rollout_math.new_replica_count(
            deployment, [*rollout.old, wanted], wanted
        )
        wanted["metadata"]["annotations"] |= revisions.replica_annotations(deployment)
        try:
            resource = self.api.resource("apps/replicasets")
            created = self.api.create(resource, deployment["metadata"]["namespace"], wanted, WRITES)
        except StatusError as error:
            self._creation_failed(deployment, wanted, error)
            raise
        name, size = created["metadata"]["name"], replicas_of(created)
        if size:
            self._say_scaled(deployment, "up", created, 0, size)
        condition = ("NewReplicaSetCreated", f'Created new replica set "{name}"')
        rollout.deployment = self._note_revision(deployment, str(revision), condition)
        rollout.new = created
        return rollout

    def _creation_failed(self, deployment: Object, wanted: Object, error: StatusError) -> None:
        if error.reason == "AlreadyExists":  # a hash collision: the next try uses another hash
            count = deployment.get("status", {}).get("collisionCount", 0) + 1
            status = {**deployment.get("status", {}), "collisionCount": count}
            self._write_status(deployment, {**deployment, "status": status})
            return
        text = f'Failed to create new replica set "{wanted["metadata"]["name"]}": {error}'
        if rollout_status.has_deadline(deployment):
            changed = rollout_status.with_progress(
                deployment, "False", "ReplicaSetCreateError", text, self.clock.stamp()
            )
            self._write_status(deployment, changed)
        self.record(deployment, "Warning", "ReplicaSetCreateError", text)

    # Scaling

    def _is_scaling(self, deployment: Object, sets: list[Object]) -> bool:
        """Whether replicas changed since the active ReplicaSets were last sized."""
        desired = str(replicas_of(deployment))
        marks = [
            rs["metadata"].get("annotations", {}).get(rollout_math.DESIRED_REPLICAS)
            for rs in rollout_math.active(sets)
        ]
        return any(mark is not None and mark != desired for mark in marks)

    def _scale_and_report(self, rollout: Rollout) -> None:
        self._scale(rollout)
        if rollout.deployment["spec"].get("paused"):
            self._clean_up(rollout)
        self._sync_status(rollout)

    def _scale(self, rollout: Rollout) -> None:
        deployment = rollout.deployment
        running = rollout_math.active(rollout.all)
        if len(running) <= 1:
            only = running[0] if running else rollout.new or next(iter(rollout.old[::-1]), None)
            if only is not None:
                self._resize(rollout, only, replicas_of(deployment))
        elif rollout_math.is_saturated(deployment, rollout.new):
            for old in rollout_math.active(rollout.old):
                self._resize(rollout, old, 0)
        elif rollout_math.is_rolling(deployment):
            sizes = rollout_math.proportional_sizes(deployment, running)
            for replica_set in running:
                size = sizes[replica_set["metadata"]["name"]]
                self._resize(rollout, replica_set, size, force=True)

    def _resize(
        self, rollout: Rollout, replica_set: Object, size: int, force: bool = False
    ) -> bool:
        """Write a ReplicaSet's new size; True when it changed."""
        before, deployment = replicas_of(replica_set), rollout.deployment
        marks = revisions.replica_annotations(deployment)
        annotations = replica_set["metadata"].get("annotations", {})
        up_to_date = annotations | marks == annotations
        if before == size and (not force or up_to_date):
            return False
        written = self._write_set(
            replica_set, {"annotations": annotations | marks}, {"replicas": size}
        )
        self._replace(rollout, written)
        if before != size:
            self._say_scaled(deployment, "up" if before < size else "down", written, before, size)
        return before != size

    def _replace(self, rollout: Rollout, written: Object) -> None:
        uid = written["metadata"]["uid"]
        if rollout.new and rollout.new["metadata"]["uid"] == uid:
            rollout.new = written
        rollout.old = [written if rs["metadata"]["uid"] == uid else rs for rs in rollout.old]

    def _say_scaled(
        self, deployment: Object, way: str, replica_set: Object, before: int, size: int
    ) -> None:
        name = replica_set["metadata"]["name"]
        message = f"Scaled {way} replica set {name} from {before} to {size}"
        self.record(deployment, "Normal", "ScalingReplicaSet", message)

    # Rolling update

    def _roll(self, rollout: Rollout) -> None:
        scaled = self._scale_up_new(rollout) or self._scale_down_old(rollout)
        if not scaled:
            self._clean_up_when_complete(rollout)
        self._sync_progress(rollout)

    def _scale_up_new(self, rollout: Rollout) -> bool:
        deployment, new = rollout.deployment, rollout.new
        assert new is not None
        desired = replicas_of(deployment)
        if replicas_of(new) == desired:
            return False
        size = desired
        if replicas_of(new) < desired:
            size = rollout_math.new_replica_count(deployment, rollout.all, new)
        return self._resize(rollout, new, size)

    def _scale_down_old(self, rollout: Rollout) -> bool:
        deployment, new = rollout.deployment, rollout.new
        assert new is not None
        if rollout_math.total_replicas(rollout.old) == 0:
            return False
        least = replicas_of(deployment) - rollout_math.max_unavailable(deployment)
        not_ready_yet = replicas_of(new) - rollout_math.status_of(new, "availableReplicas")
        allowed = rollout_math.total_replicas(rollout.all) - least - not_ready_yet
        if allowed <= 0:
            return False
        removed = self._remove_unhealthy(rollout, allowed)
        if removed is None:
            return False
        return removed + self._remove_available(rollout, least) > 0

    def _remove_unhealthy(self, rollout: Rollout, allowed: int) -> int | None:
        """Pods of old ReplicaSets that are not available cost nothing to remove.

        None when a status is behind its spec: then nothing may be removed in this round.
        """
        removed = 0
        for old in rollout_math.by_creation(rollout_math.active(rollout.old)):
            unhealthy = replicas_of(old) - rollout_math.status_of(old, "availableReplicas")
            count = min(allowed - removed, unhealthy)
            if removed >= allowed or unhealthy == 0:
                continue
            if count < 0:
                return None
            self._resize(rollout, old, replicas_of(old) - count)
            removed += count
        return removed

    def _remove_available(self, rollout: Rollout, least: int) -> int:
        available = rollout_math.total_status(rollout.all, "availableReplicas")
        removed, allowed = 0, available - least
        for old in rollout_math.by_creation(rollout_math.active(rollout.old)):
            count = min(replicas_of(old), allowed - removed)
            if count <= 0:
                break
            self._resize(rollout, old, replicas_of(old) - count)
            removed += count
        return removed

    # Recreate

    def _recreate(self, deployment: Object, sets: list[Object]) -> None:
        rollout = self._rollout(deployment, sets, create=False)
        scaled = [self._resize(rollout, old, 0) for old in rollout_math.active(rollout.old)]
        if not any(scaled) and not self._old_pods_run(rollout):
            if rollout.new is None:
                rollout = self._rollout(rollout.deployment, sets, create=True)
            assert rollout.new is not None
            self._resize(rollout, rollout.new, replicas_of(deployment))
            self._clean_up_when_complete(rollout)
        self._sync_progress(rollout)

    def _old_pods_run(self, rollout: Rollout) -> bool:
        if rollout_math.total_status(rollout.old, "replicas"):
            return True
        pods = [
            pod
            for old in rollout.old
            for _, pod in self.store.owned_by(old["metadata"]["uid"], "pods")
        ]
        return any(pod["status"].get("phase") not in ("Failed", "Succeeded") for pod in pods)

    # Tidying and status

    def _clean_up_when_complete(self, rollout: Rollout) -> None:
        if rollout_math.is_complete(rollout.deployment, rollout.deployment.get("status", {})):
            self._clean_up(rollout)

    def _clean_up(self, rollout: Rollout) -> None:
        """Delete old, empty ReplicaSets beyond revisionHistoryLimit."""
        limit = rollout.deployment["spec"].get("revisionHistoryLimit")
        alive = [rs for rs in rollout.old if not rs["metadata"].get("deletionTimestamp")]
        if limit is None or len(alive) <= limit:
            return
        for old in sorted(alive, key=revisions.number)[: len(alive) - limit]:
            idle = replicas_of(old) == 0 and rollout_math.status_of(old, "replicas") == 0
            observed = rollout_math.status_of(old, "observedGeneration")
            if idle and old["metadata"]["generation"] <= observed:
                delete(self.api, self.api.resource("apps/replicasets"), *name_of(old))

    def _note_pause(self, deployment: Object) -> Object:
        changed = rollout_status.with_pause(deployment, self.clock.stamp())
        return self._write_status(deployment, changed)

    def _sync_status(self, rollout: Rollout) -> None:
        status = rollout_status.calculate(
            rollout.deployment, rollout.all, rollout.new, self.clock.stamp()
        )
        self._write_status(rollout.deployment, {**rollout.deployment, "status": status})

    def _sync_progress(self, rollout: Rollout) -> None:
        deployment = rollout.deployment
        status = rollout_status.progress(deployment, rollout.all, rollout.new, self.clock)
        if status != deployment.get("status"):
            self._write_status(deployment, {**deployment, "status": status})
            return
        wait = rollout_status.seconds_to_deadline(deployment, status, self.clock)
        if wait is not None:
            self.enqueue_after(name_of(deployment), wait)
