"""The kubelets of all nodes: pods start, become Ready, crash, back off, and stop.

Nothing runs; a pod moves through the stages a real one would, at the times its behaviour says
(`scenarios.py`). What a client writes into a pod's status stays until the next stage.
"""

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..codec import Options
from ..scenarios import PodBehaviour, behaviour_of
from ..store import Change, Object, name_of
from . import pod_status
from .base import Controller, Key

if TYPE_CHECKING:
    from ..cluster import Cluster

STATUS_WRITES = Options(manager="kubelet", subresource="status")
LONGEST_BACK_OFF_SECONDS = 300.0
POD_NETWORK = int(ipaddress.ip_address("10.244.0.0"))
POD_ADDRESSES = 2**16 - 2


@dataclass(slots=True)
class Life:
    """What a kubelet remembers about one pod."""

    behaviour: PodBehaviour
    stage: str = "new"  # new, starting, pull-failed, running, ready, crashed, stopping
    due: float = 0.0
    pull_failures: int = 0


class Kubelet(Controller):
    component = "kubelet"
    watches = ("pods",)

    def __init__(self, cluster: "Cluster") -> None:
        self._lives: dict[str, Life] = {}
        self._last_address = 0
        super().__init__(cluster)

    def observe(self, change: Change) -> None:
        pod = change.record.obj
        if change.type == "DELETED":
            self._lives.pop(pod["metadata"]["uid"], None)
            self.cluster.logs.forget(pod["metadata"]["uid"])
        elif pod["spec"].get("nodeName") and self._needs_attention(pod):
            self.enqueue(name_of(pod))

    def _needs_attention(self, pod: Object) -> bool:
        life = self._lives.get(pod["metadata"]["uid"])
        return life is None or ("deletionTimestamp" in pod["metadata"] and life.stage != "stopping")

    def sync(self, key: Key) -> None:
        pod = self.store.get("pods", *key)
        if pod is None or not pod["spec"].get("nodeName"):
            return
        life = self._lives.get(pod["metadata"]["uid"])
        if life is None:
            life = self._meet(pod)
        if "deletionTimestamp" in pod["metadata"]:
            self._stop(pod, life)
        elif self.clock.now().timestamp() >= life.due - 0.001:
            self._advance(pod, life)

    def _meet(self, pod: Object) -> Life:
        """A pod seen for the first time: new, or one that ran before the sandbox restarted."""
        life = Life(behaviour_of(pod, self.cluster.scenario.pods))
        status = pod.get("status", {})
        if status.get("phase") == "Running":
            states = [c["state"] for c in status.get("containerStatuses", ())]
            crashed = any("running" not in state for state in states)
            life.stage = "crashed" if crashed else "running"
        elif status.get("phase") in ("Succeeded", "Failed"):
            life.stage = "ready"
        self._lives[pod["metadata"]["uid"]] = life
        return life

    def _advance(self, pod: Object, life: Life) -> None:
        step = {
            "new": self._accept,
            "starting": self._start,
            "pull-failed": self._pull_again,
            "running": self._ready_or_crash,
            "crashed": self._restart,
        }.get(life.stage)
        if step:
            step(pod, life)

    def _later(self, pod: Object, life: Life, stage: str, delay_seconds: float) -> None:
        life.stage = stage
        life.due = self.clock.now().timestamp() + delay_seconds
        self.enqueue_after(name_of(pod), delay_seconds)

    # Starting

    def _accept(self, pod: Object, life: Life) -> None:
        reason = pod_status.waiting("ContainerCreating")
        self._report(pod, [pod_status.container(c, reason) for c in pod["spec"]["containers"]])
        self._later(pod, life, "starting", life.behaviour.start_seconds)

    def _start(self, pod: Object, life: Life) -> None:
        if life.behaviour.image_pull_error:
            self._fail_pull(pod, life)
            return
        for spec in pod["spec"]["containers"]:
            image, name = spec["image"], spec["name"]
            self.record(
                pod, "Normal", "Pulled", f'Container image "{image}" already present on machine'
            )
            self.record(pod, "Normal", "Created", f"Container created: {name}")
            self.record(pod, "Normal", "Started", f"Container started: {name}")
            self.cluster.logs.write(pod, name, 0, f"{name}: starting {image}")
        self._run(pod, life)

    def _run(self, pod: Object, life: Life, old: dict[str, Object] | None = None) -> None:
        """All containers run; Ready at once unless something is to happen first."""
        old = old or self._old_statuses(pod)
        behaviour = life.behaviour
        waits = behaviour.ready_after_seconds > 0 or behaviour.readiness == "manual"
        crashes = behaviour.crash_after_seconds
        state = {"running": {"startedAt": self.clock.stamp()}}
        statuses = [
            pod_status.container(c, state, old.get(c["name"])) for c in pod["spec"]["containers"]
        ]
        is_ready = not waits and crashes != 0
        self._report(pod, [{**s, "ready": is_ready} for s in statuses], "Running")
        if is_ready:
            self._say(pod, "ready")
        if crashes is not None:
            self._later(pod, life, "running", crashes)
        elif behaviour.readiness == "manual" or not waits:
            life.stage = "ready"
        else:
            self._later(pod, life, "running", behaviour.ready_after_seconds)

    def _ready_or_crash(self, pod: Object, life: Life) -> None:
        if life.behaviour.crash_after_seconds is not None:
            self._crash(pod, life)
            return
        life.stage = "ready"
        if life.behaviour.readiness != "manual":
            self._report(
                pod, [{**s, "ready": True} for s in pod["status"]["containerStatuses"]], "Running"
            )
            self._say(pod, "ready")

    def _say(self, pod: Object, text: str) -> None:
        for spec in pod["spec"]["containers"]:
            run = self._old_statuses(pod).get(spec["name"], {}).get("restartCount", 0)
            self.cluster.logs.write(pod, spec["name"], run, f"{spec['name']}: {text}")

    # Failing

    def _fail_pull(self, pod: Object, life: Life) -> None:
        life.pull_failures += 1
        statuses = []
        for spec in pod["spec"]["containers"]:
            image, why = spec["image"], life.behaviour.image_pull_error
            text = f'failed to pull and unpack image "{image}": {why}'
            self.record(pod, "Normal", "Pulling", f'Pulling image "{image}"')
            self.record(pod, "Warning", "Failed", f'Failed to pull image "{image}": {text}')
            self.record(pod, "Warning", "Failed", "Error: ErrImagePull")
            statuses.append(pod_status.container(spec, pod_status.waiting("ErrImagePull", text)))
        self._report(pod, statuses)
        delay = min(life.behaviour.back_off_seconds, 1.0)
        self._later(pod, life, "pull-failed", delay)

    def _pull_again(self, pod: Object, life: Life) -> None:
        statuses = []
        for spec in pod["spec"]["containers"]:
            text = f'Back-off pulling image "{spec["image"]}"'
            self.record(pod, "Normal", "BackOff", text)
            self.record(pod, "Warning", "Failed", "Error: ImagePullBackOff")
            state = pod_status.waiting("ImagePullBackOff", text)
            statuses.append(pod_status.container(spec, state))
        self._report(pod, statuses)
        self._later(pod, life, "starting", self._back_off(life, life.pull_failures))

    def _crash(self, pod: Object, life: Life) -> None:
        now, statuses, restarts = self.clock.stamp(), [], 0
        for old in pod["status"]["containerStatuses"]:
            restarts = old["restartCount"] + 1
            ended = pod_status.terminated(old["state"]["running"]["startedAt"], now, 1)
            statuses.append(
                {**old, "state": ended, "lastState": {}, "ready": False, "started": False}
            )
            self.cluster.logs.write(
                pod, old["name"], old["restartCount"], f"{old['name']}: fatal: exited with code 1"
            )
        if pod["spec"]["restartPolicy"] == "Never":
            life.stage = "ready"
            self._report(pod, statuses, "Failed")
            return
        delay = self._back_off(life, restarts)
        text = (
            f"back-off {delay:.0f}s restarting failed container={statuses[0]['name']} "
            f"pod={pod['metadata']['name']}_{pod['metadata']['namespace']}"
            f"({pod['metadata']['uid']})"
        )
        backing_off = pod_status.waiting("CrashLoopBackOff", text)
        self._report(
            pod, [{**s, "lastState": s["state"], "state": backing_off} for s in statuses], "Running"
        )
        name = statuses[0]["name"]
        self.record(
            pod,
            "Warning",
            "BackOff",
            f"Back-off restarting failed container {name} in pod "
            f"{pod['metadata']['name']}_{pod['metadata']['namespace']}"
            f"({pod['metadata']['uid']})",
        )
        self._later(pod, life, "crashed", delay)

    def _restart(self, pod: Object, life: Life) -> None:
        statuses = [
            {**s, "restartCount": s["restartCount"] + 1} for s in pod["status"]["containerStatuses"]
        ]
        for status in statuses:
            self.cluster.logs.write(
                pod,
                status["name"],
                status["restartCount"],
                f"{status['name']}: starting {status['image']}",
            )
        self._run(pod, life, {status["name"]: status for status in statuses})

    def _back_off(self, life: Life, failures: int) -> float:
        delay = life.behaviour.back_off_seconds * 2 ** max(failures - 1, 0)
        return min(delay, LONGEST_BACK_OFF_SECONDS)

    # Stopping

    def _stop(self, pod: Object, life: Life) -> None:
        """Containers get their grace period at most, then the pod is gone."""
        now = self.clock.now().timestamp()
        if life.stage != "stopping":
            grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
            delay = min(life.behaviour.stop_seconds, grace)
            for spec in pod["spec"]["containers"]:
                self.record(pod, "Normal", "Killing", f"Stopping container {spec['name']}")
            self._later(pod, life, "stopping", delay)
        elif now >= life.due - 0.001 and not pod["metadata"].get("finalizers"):
            self.store.remove("pods", name_of(pod))

    # Reporting

    def _old_statuses(self, pod: Object) -> dict[str, Object]:
        return {s["name"]: s for s in pod.get("status", {}).get("containerStatuses", ())}

    def _report(self, pod: Object, statuses: list[Object], phase: str = "Pending") -> None:
        now = self.clock.stamp()
        status = pod_status.base(pod, self._host_ip(pod), now)
        status |= {"phase": phase, "containerStatuses": statuses}
        address = pod.get("status", {}).get("podIP")
        if phase == "Running" and not address:
            address = self._next_address()
        if address:
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        status = pod_status.with_conditions(pod, status, now)
        changed = {**pod, "metadata": dict(pod["metadata"]), "status": status}
        self.api.write(self.api.resource("pods"), pod, changed, STATUS_WRITES)

    def _host_ip(self, pod: Object) -> str:
        node = self.store.get("nodes", "", pod["spec"]["nodeName"]) or {}
        addresses = node.get("status", {}).get("addresses", ())
        return next((a["address"] for a in addresses if a["type"] == "InternalIP"), "127.0.0.1")

    def _next_address(self) -> str:
        self._last_address = self._last_address % POD_ADDRESSES + 1
        return str(ipaddress.ip_address(POD_NETWORK + self._last_address))
