"""The statuses a kubelet reports, as plain data.

Source: pkg/kubelet/status/generate.go, pkg/kubelet/kubelet_pods.go.
"""

import hashlib
from typing import Any

Object = dict[str, Any]


def _condition(kind: str, value: str, now: str, reason: str = "", message: str = "") -> Object:
    condition: Object = {"type": kind, "status": value, "lastProbeTime": None}
    condition["lastTransitionTime"] = now
    if reason:
        condition |= {"reason": reason, "message": message}
    return condition


def with_conditions(pod: Object, status: Object, now: str) -> Object:
    """The status with the five pod conditions that follow from its containers."""
    containers = status.get("containerStatuses", [])
    unready = [c["name"] for c in containers if not c["ready"]]
    started = any("running" in c["state"] or c["restartCount"] for c in containers)
    verdicts = {
        "PodReadyToStartContainers": _condition(
            "PodReadyToStartContainers", "True" if started else "False", now
        )
    }
    verdicts["Initialized"] = _condition("Initialized", "True", now)
    for kind in ("Ready", "ContainersReady"):
        if unready:
            names = " ".join(unready)
            verdicts[kind] = _condition(
                kind,
                "False",
                now,
                "ContainersNotReady",
                f"containers with unready status: [{names}]",
            )
        else:
            verdicts[kind] = _condition(kind, "True", now)
    old = {c["type"]: c for c in pod.get("status", {}).get("conditions", ())}
    verdicts["PodScheduled"] = old.get("PodScheduled") or _condition("PodScheduled", "True", now)
    others = [c for kind, c in old.items() if kind not in verdicts]
    kept = [_keep_transition(c, old.get(kind)) for kind, c in verdicts.items()]
    generation = pod["metadata"].get("generation")
    if generation:
        kept = [{**c, "observedGeneration": generation} for c in kept]
        status = {**status, "observedGeneration": generation}
    return {**status, "conditions": [*kept, *others]}


def _keep_transition(condition: Object, old: Object | None) -> Object:
    if old is None or old["status"] != condition["status"]:
        return condition
    return {**condition, "lastTransitionTime": old["lastTransitionTime"]}


def base(pod: Object, host_ip: str, now: str) -> Object:
    """What is known as soon as a kubelet sees the pod."""
    old = pod.get("status", {})
    return {
        "phase": "Pending",
        "qosClass": old.get("qosClass", "BestEffort"),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": old.get("startTime", now),
    }


def container(spec: Object, state: Object, old: Object | None = None) -> Object:
    """One container status; restarts and last state come from `old`."""
    old = old or {}
    image_id = hashlib.sha256(spec["image"].encode()).hexdigest()
    running = "running" in state
    status: Object = {
        "name": spec["name"],
        "state": state,
        "lastState": old.get("lastState", {}),
        "ready": False,
        "started": running,
        "restartCount": old.get("restartCount", 0),
        "image": spec["image"],
        "imageID": f"sandbox://sha256:{image_id}" if running or old.get("imageID") else "",
    }
    if running or old.get("containerID"):
        status["containerID"] = old.get("containerID", "containerd://" + image_id[::-1])
    return status


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def terminated(started_at: str, now: str, exit_code: int) -> Object:
    reason = "Error" if exit_code else "Completed"
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": started_at,
            "finishedAt": now,
        }
    }
