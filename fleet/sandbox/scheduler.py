"""The scheduler: finds a node for every pod, or says why there is none.

Source: pkg/scheduler/framework/plugins (NodeResourcesFit, TaintToleration, NodeAffinity,
NodeUnschedulable) and pkg/scheduler/framework/types.go (`FitError`).
"""

from collections import Counter
from typing import NamedTuple

from . import quantities
from .codec import Options
from .controllers.base import Controller, Key
from .selectors import match_expression
from .store import Change, Object, name_of
from .subresources import bind

Amounts = dict[str, float]
WRITES = Options(manager="kube-scheduler")
STATUS_WRITES = Options(manager="kube-scheduler", subresource="status")
NO_MATCH = "node(s) didn't match Pod's node affinity/selector"
UNTOLERATED = "node(s) had untolerated taint(s)"
UNSCHEDULABLE = "node(s) were unschedulable"


class Scheduler(Controller):
    component = "default-scheduler"
    watches = ("pods", "nodes")

    def __init__(self, cluster: "object") -> None:
        self._used: dict[str, Counter[str]] = {}
        self._counted: dict[str, tuple[str, Amounts]] = {}  # pod uid -> (node, what it takes)
        self._waiting: set[Key] = set()
        super().__init__(cluster)  # type: ignore[arg-type]

    def observe(self, change: Change) -> None:
        obj = change.record.obj
        if change.storage == "nodes":
            self._retry_waiting()
            return
        self._count(obj, gone=change.type == "DELETED" or is_finished(obj))
        if change.type == "DELETED":
            self._waiting.discard(name_of(obj))
        elif change.type == "ADDED" and not obj["spec"].get("nodeName"):
            self.enqueue(name_of(obj))

    def _count(self, pod: Object, *, gone: bool) -> None:
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName", "")
        counted = self._counted.get(uid)
        if counted and gone:
            del self._counted[uid]
            self._used[counted[0]].subtract(counted[1])
            self._retry_waiting()
        elif node and not counted and not gone:
            amounts = requests_of(pod)
            self._counted[uid] = (node, amounts)
            self._used.setdefault(node, Counter()).update(amounts)

    def _retry_waiting(self) -> None:
        for key in self._waiting:
            self.enqueue(key)

    def sync(self, key: Key) -> None:
        pod = self.store.get("pods", *key)
        if pod is None or pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
            self._waiting.discard(key)
            return
        if pod["spec"].get("schedulerName") != self.component or pod["spec"].get("schedulingGates"):
            return
        nodes = list(self.store.objects("nodes"))
        wanted = requests_of(pod)
        refusals = [self._misfits(pod, wanted, node) for node in nodes]
        fitting = [node for node, refused in zip(nodes, refusals, strict=True) if not refused]
        if fitting:
            self._waiting.discard(key)
            self._bind(pod, max(fitting, key=lambda node: self._score(node, wanted)))
        else:
            self._waiting.add(key)
            self._refuse(pod, [refused for refused in refusals if refused])

    def _misfits(self, pod: Object, wanted: Amounts, node: Object) -> "Misfit | None":
        """Why a pod cannot run on a node: the first failing plug-in's reasons."""
        spec, tolerations = node["spec"], pod["spec"].get("tolerations", [])
        if spec.get("unschedulable"):
            return Misfit([UNSCHEDULABLE], for_good=True)
        if any(not tolerates(tolerations, taint) for taint in spec.get("taints", ())):
            return Misfit([UNTOLERATED], for_good=True)
        if not matches_node(pod, node):
            return Misfit([NO_MATCH], for_good=True)
        return self._lacking(wanted, node)

    def _lacking(self, wanted: Amounts, node: Object) -> "Misfit | None":
        allocatable = node.get("status", {}).get("allocatable", {})
        used = self._used.get(node["metadata"]["name"], Counter())
        lacking: list[str] = []
        for_good = False
        for name, amount in wanted.items():
            total = quantities.number(allocatable.get(name, 0))
            if amount > total - used[name]:
                lacking.append("Too many pods" if name == "pods" else f"Insufficient {name}")
                for_good |= amount > total
        return Misfit(lacking, for_good) if lacking else None

    def _score(self, node: Object, wanted: Amounts) -> tuple[float, float]:
        """Least allocated first; GPU nodes are kept for pods that ask for GPUs."""
        allocatable = node.get("status", {}).get("allocatable", {})
        used = self._used.get(node["metadata"]["name"], Counter())
        free = [
            1 - used[name] / total
            for name in ("cpu", "memory", "pods")
            if (total := quantities.number(allocatable.get(name, 0)))
        ]
        special = sum("/" in name for name in allocatable.keys() - wanted.keys())
        return -special * 10.0 + sum(free), -used["pods"]

    def _bind(self, pod: Object, node: Object) -> None:
        namespace, name = name_of(pod)
        target = node["metadata"]["name"]
        bind(self.api, namespace, name, {"target": {"name": target}}, WRITES)
        message = f"Successfully assigned {namespace}/{name} to {target}"
        self.record(pod, "Normal", "Scheduled", message, action="Binding")

    def _refuse(self, pod: Object, misfits: "list[Misfit]") -> None:
        message = refusal(misfits)
        conditions = pod["status"].get("conditions", [])
        current = next((c for c in conditions if c["type"] == "PodScheduled"), {})
        if current.get("message") != message:
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
                "lastProbeTime": None,
                "observedGeneration": pod["metadata"]["generation"],
                "lastTransitionTime": current.get("lastTransitionTime", self.clock.stamp()),
            }
            others = [c for c in conditions if c["type"] != "PodScheduled"]
            status = {**pod["status"], "conditions": [*others, condition]}
            changed = {**pod, "metadata": dict(pod["metadata"]), "status": status}
            self.api.write(self.api.resource("pods"), pod, changed, STATUS_WRITES)
            self.record(pod, "Warning", "FailedScheduling", message, action="Scheduling")


class Misfit(NamedTuple):
    """Why one node does not take a pod; `for_good` when removing other pods would not help."""

    reasons: list[str]
    for_good: bool


def refusal(misfits: list[Misfit]) -> str:
    """`0/3 nodes are available: 1 …, 2 …. preemption: …`, as upstream counts and sorts it."""
    total = len(misfits)
    if not total:
        return "no nodes available to schedule pods"
    hopeless = sum(misfit.for_good for misfit in misfits)
    outcomes = Counter(
        {
            "Preemption is not helpful for scheduling": hopeless,
            "No preemption victims found for incoming pod": total - hopeless,
        }
    )
    found = Counter(reason for misfit in misfits for reason in misfit.reasons)
    return (
        f"0/{total} nodes are available: {_counted(found)}. no new claims to deallocate, "
        f"preemption: 0/{total} nodes are available: {_counted(outcomes)}."
    )


def _counted(found: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {what}" for what, count in found.items() if count))


def requests_of(pod: Object) -> Amounts:
    """What a pod takes from its node: its containers' requests, and one pod slot."""
    amounts: Amounts = {"pods": 1.0}
    for container in pod["spec"]["containers"]:
        for name, amount in container.get("resources", {}).get("requests", {}).items():
            amounts[name] = amounts.get(name, 0.0) + quantities.number(amount)
    for container in pod["spec"].get("initContainers", ()):
        for name, amount in container.get("resources", {}).get("requests", {}).items():
            amounts[name] = max(amounts.get(name, 0.0), quantities.number(amount))
    return amounts


def is_finished(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def tolerates(tolerations: list[Object], taint: Object) -> bool:
    """Whether a taint keeps nobody away, or one of the tolerations covers it."""
    if taint["effect"] == "PreferNoSchedule":
        return True
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    same_key = toleration.get("key") == taint["key"]
    return same_key and toleration.get("value", "") == taint.get("value", "")


def matches_node(pod: Object, node: Object) -> bool:
    """nodeSelector and required node affinity."""
    labels = node["metadata"].get("labels", {})
    if not pod["spec"].get("nodeSelector", {}).items() <= labels.items():
        return False
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(
        all(match_expression(e)(labels) for e in term.get("matchExpressions", ()))
        and all(match_expression(e)(fields) for e in term.get("matchFields", ()))
        for term in required["nodeSelectorTerms"]
    )
