"""The replicaset controller: as many pods as asked for, and a status that counts them.

Source: pkg/controller/replicaset/replica_set.go, pkg/controller/controller_utils.go
(`ActivePodsWithRanks`: which pods go first).
"""

import math
from collections import Counter
from typing import TYPE_CHECKING

from ..clock import parse_rfc3339
from ..codec import Options
from ..deletion import delete
from ..errors import StatusError
from ..selectors import LabelTest, label_selector
from ..store import Change, Object, name_of
from . import conditions
from .base import Controller, Key, controller_of, owner_reference

if TYPE_CHECKING:
    from ..cluster import Cluster

BURST_PODS = 10  # per turn of the queue, so that requests are answered in between
SETTLE_SECONDS_PER_POD = 0.0002  # counting many pods takes long: let changes come together
WRITES = Options(manager="kube-controller-manager")
STATUS_WRITES = Options(manager="kube-controller-manager", subresource="status")
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


class ReplicaSetController(Controller):
    component = "replicaset-controller"
    kind = "ReplicaSet"
    storage = "apps/replicasets"
    watches = (storage, "pods")

    def __init__(self, cluster: "Cluster") -> None:
        self._orphans: dict[Key, None] = {}  # pods without a controller
        self._is_reporting = False  # its own status writes are no news to it
        super().__init__(cluster)

    def observe(self, change: Change) -> None:
        obj = change.record.obj
        if change.storage == self.storage:
            if not self._is_reporting:
                self.enqueue(name_of(obj))
            return
        owners = [controller_of(obj)]
        if change.previous:
            owners.append(controller_of(change.previous.obj))
        for owner in owners:
            if owner and owner["kind"] == self.kind:
                pods = self.store.dependents_of(owner["uid"])
                key = obj["metadata"]["namespace"], owner["name"]
                self.enqueue_settled(key, pods * SETTLE_SECONDS_PER_POD)
        self._orphans.pop(name_of(obj), None)
        if owners[0] is None and change.type != "DELETED":
            self._orphans[name_of(obj)] = None
            self._offer(obj)

    def _offer(self, pod: Object) -> None:
        """Tell ReplicaSets about a pod without a controller that they may adopt."""
        namespace, labels = pod["metadata"]["namespace"], pod["metadata"].get("labels", {})
        for replica_set in self.store.objects(self.storage, namespace):
            if self._selector(replica_set)(labels):
                self.enqueue(name_of(replica_set))

    def _selector(self, replica_set: Object) -> LabelTest:
        return label_selector(replica_set["spec"]["selector"])

    def sync(self, key: Key) -> None:
        replica_set = self.store.get(self.storage, *key)
        if replica_set is None:
            return
        matches = self._selector(replica_set)
        pods = self._claimed(replica_set, matches)
        active = [p for p in pods if is_active(p)]
        terminating = [p for p in pods if p["metadata"].get("deletionTimestamp")]
        problem: StatusError | None = None
        if not replica_set["metadata"].get("deletionTimestamp"):
            try:
                if self._manage(replica_set, active):
                    self.enqueue(key)
                    return
            except StatusError as error:
                problem = error
        self._report(replica_set, active, len(terminating), problem)
        if problem:
            raise problem

    def _claimed(self, replica_set: Object, matches: LabelTest) -> list[Object]:
        """Its pods, after adopting matching orphans and releasing those that left."""
        meta = replica_set["metadata"]
        claimed: list[Object] = []
        for _, pod in self.store.owned_by(meta["uid"], "pods"):
            owner = controller_of(pod)
            if owner is None or owner["uid"] != meta["uid"]:
                continue
            if matches(pod["metadata"].get("labels", {})):
                claimed.append(pod)
            elif not pod["metadata"].get("deletionTimestamp"):
                self._release(pod)
        if not meta.get("deletionTimestamp"):
            claimed += self._adopted(replica_set, matches)
        return claimed

    def _adopted(self, replica_set: Object, matches: LabelTest) -> list[Object]:
        namespace = replica_set["metadata"]["namespace"]
        orphans = [
            pod
            for key in self._orphans
            if key[0] == namespace
            and (pod := self.store.get("pods", *key))
            and is_active(pod)
            and matches(pod["metadata"].get("labels", {}))
        ]
        return [
            self._write_owners(
                pod, [*pod["metadata"].get("ownerReferences", ()), owner_reference(replica_set)]
            )
            for pod in orphans
        ]

    def _release(self, pod: Object) -> None:
        owners = [o for o in pod["metadata"]["ownerReferences"] if not o.get("controller")]
        self._write_owners(pod, owners)

    def _write_owners(self, pod: Object, owners: list[Object]) -> Object:
        meta = {**pod["metadata"], "ownerReferences": owners}
        if not owners:
            del meta["ownerReferences"]
        resource = self.api.resource("pods")
        return self.api.write(resource, pod, {**pod, "metadata": meta}, WRITES)

    def _manage(self, replica_set: Object, active: list[Object]) -> bool:
        """Create or delete up to a burst of pods; True when more remains to be done."""
        missing = replica_set["spec"]["replicas"] - len(active)
        if missing > 0:
            for _ in range(min(missing, BURST_PODS)):
                self._create_pod(replica_set)
        elif missing < 0:
            for pod in self._first_to_go(replica_set, active)[: min(-missing, BURST_PODS)]:
                self._delete_pod(replica_set, pod)
        return missing != 0

    def _create_pod(self, replica_set: Object) -> None:
        meta, template = replica_set["metadata"], replica_set["spec"]["template"]
        pod_meta = {**template.get("metadata", {}), "generateName": f"{meta['name'][:248]}-"}
        pod_meta["ownerReferences"] = [owner_reference(replica_set)]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta, "spec": template["spec"]}
        try:
            created = self.api.create(self.api.resource("pods"), meta["namespace"], pod, WRITES)
        except StatusError as error:
            self.record(replica_set, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        name = created["metadata"]["name"]
        self.record(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    def _delete_pod(self, replica_set: Object, pod: Object) -> None:
        delete(self.api, self.api.resource("pods"), *name_of(pod))
        name = pod["metadata"]["name"]
        self.record(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    def _first_to_go(self, replica_set: Object, active: list[Object]) -> list[Object]:
        on_node = Counter(pod["spec"].get("nodeName", "") for pod in self._related(replica_set))
        now = self.clock.now().timestamp()
        return sorted(
            active,
            key=lambda pod: deletion_rank(pod, on_node[pod["spec"].get("nodeName", "")], now),
        )

    def _related(self, replica_set: Object) -> list[Object]:
        """Active pods of every ReplicaSet with the same controller."""
        owner = controller_of(replica_set)
        sets = [replica_set]
        if owner:
            sets = [rs for _, rs in self.store.owned_by(owner["uid"], self.storage)]
        return [
            pod
            for rs in sets
            for _, pod in self.store.owned_by(rs["metadata"]["uid"], "pods")
            if is_active(pod)
        ]

    def _report(
        self,
        replica_set: Object,
        active: list[Object],
        terminating: int,
        problem: StatusError | None,
    ) -> None:
        status = self._status(replica_set, active, terminating)
        failed = conditions.find(status, "ReplicaFailure")
        if problem and not failed:
            short = len(active) < replica_set["spec"]["replicas"]
            conditions.put(
                status,
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "lastTransitionTime": self.clock.stamp(),
                    "reason": "FailedCreate" if short else "FailedDelete",
                    "message": str(problem),
                },
            )
        elif not problem:
            conditions.remove(status, "ReplicaFailure")
        if status != replica_set.get("status"):
            changed = {**replica_set, "metadata": dict(replica_set["metadata"]), "status": status}
            self._is_reporting = True
            try:
                resource = self.api.resource(self.storage)
                self.api.write(resource, replica_set, changed, STATUS_WRITES)
            finally:
                self._is_reporting = False

    def _status(self, replica_set: Object, active: list[Object], terminating: int) -> Object:
        seconds = replica_set["spec"].get("minReadySeconds", 0)
        labels = replica_set["spec"]["template"].get("metadata", {}).get("labels", {})
        ready = [pod for pod in active if ready_since(pod)]
        waits = [self._seconds_to_available(pod, seconds) for pod in ready]
        counts = {
            "fullyLabeledReplicas": sum(
                labels.items() <= pod["metadata"].get("labels", {}).items() for pod in active
            ),
            "readyReplicas": len(ready),
            "availableReplicas": sum(wait <= 0 for wait in waits),
        }
        if later := [wait for wait in waits if wait > 0]:
            self.enqueue_after(name_of(replica_set), min(later))
        status: Object = {"replicas": len(active), "terminatingReplicas": terminating}
        status |= {name: count for name, count in counts.items() if count}
        status["observedGeneration"] = replica_set["metadata"]["generation"]
        old = replica_set.get("status", {}).get("conditions")
        return status | ({"conditions": old} if old else {})

    def _seconds_to_available(self, pod: Object, min_ready_seconds: int) -> float:
        if not min_ready_seconds:
            return 0.0
        return self.clock.seconds_until(ready_since(pod)) + min_ready_seconds


def is_active(pod: Object) -> bool:
    phase = pod.get("status", {}).get("phase")
    return phase not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def ready_since(pod: Object) -> str:
    """When the pod became Ready (RFC 3339), "" when it is not."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return condition["lastTransitionTime"]
    return ""


def deletion_rank(pod: Object, neighbours: int, now: float) -> tuple[object, ...]:
    """Sort key: pods that come first are deleted first."""
    status, since = pod.get("status", {}), ready_since(pod)
    cost = pod["metadata"].get("annotations", {}).get("controller.kubernetes.io/pod-deletion-cost")
    restarts = max(
        (c.get("restartCount", 0) for c in status.get("containerStatuses", ())), default=0
    )
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASE_ORDER.get(status.get("phase", ""), 0),
        bool(since),
        int(cost) if cost and cost.lstrip("-").isdigit() else 0,
        -neighbours,
        _age_rank(since, now),
        -restarts,
        _age_rank(pod["metadata"]["creationTimestamp"], now),
        pod["metadata"]["uid"],
    )


def _age_rank(stamp: str, now: float) -> float:
    """Ages on a logarithmic scale, so that among equals of an age the uid decides."""
    if not stamp:
        return -1.0
    age_seconds = now - parse_rfc3339(stamp).timestamp()
    return math.floor(math.log2(age_seconds)) if age_seconds >= 1 else 0.0
