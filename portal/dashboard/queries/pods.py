"""Pods of a rollout as tiles, and how the ready ones are split between old and new."""

from collections.abc import Callable, Iterable
from typing import Any

from deploy.models import Rollout
from deploy.models.rollout import State

FAILED_REASONS = ("CrashLoopBackOff", "Error", "OOMKilled", "Evicted", "CreateContainerConfigError")
Pod = dict[str, Any]


def is_new(rollout: Rollout) -> Callable[[Pod], bool]:
    """Tells pods of the rollout's release from the ones before.

    By image where the two releases differ in images. Else by the template hashes that the engine
    noted: those of what it applied last, which after an abort is the older release.
    """
    images = set(rollout.release.images.values())
    if rollout.stable:
        images -= set(rollout.stable.release.images.values())
    hashes = set(rollout.memory.get("template_hashes", []))
    if rollout.stable and images:
        return lambda pod: bool(images & set(pod.get("images") or []))
    if rollout.state == State.ABORTED and hashes:
        return lambda pod: pod.get("template_hash") not in hashes
    return lambda pod: pod.get("template_hash") in hashes


def tiles(pods: Iterable[Pod], new: Callable[[Pod], bool]) -> list[Pod]:
    """Pods as tiles, old ones first: `{name, uid, new, leaving, tone, word, told, ...}`."""
    found = [_tile(pod, new(pod)) for pod in pods]
    return sorted(found, key=lambda tile: (tile["new"], tile["name"]))


def _tile(pod: Pod, new: bool) -> Pod:
    tone, word = _pod_state(pod)
    age = "new" if new else "old"
    why = ", ".join(filter(None, (pod.get("reason"), pod.get("message"))))
    told = f"{pod['name']}: {age}, {word}{f', {why}' if why and why != word else ''}"
    restarts = pod.get("restarts") or 0
    if restarts:
        told += f", {restarts} restart{'s' if restarts > 1 else ''}"
    leaving = bool(pod.get("deleting"))
    return {**pod, "new": new, "leaving": leaving, "tone": tone, "word": word, "told": told}


def _pod_state(pod: Pod) -> tuple[str, str]:
    reason = pod.get("reason") or ""
    if pod.get("deleting"):
        return "idle", "stopping"
    if pod.get("phase") == "Failed" or reason in FAILED_REASONS or "Image" in reason:
        return "bad", "failed"
    if pod.get("ready"):
        return "good", "ready"
    return "warn", "unschedulable" if reason == "Unschedulable" else "not ready"


def shares(projection: dict[str, Any], tiles: list[Pod]) -> dict[str, Any] | None:
    """How the ready pods are split between old and new: counts and percentages of the whole."""
    ready = [tile for tile in tiles if tile["tone"] == "good"]
    new = sum(tile["new"] for tile in ready)
    old = len(ready) - new
    if not ready:
        return None
    percent = round(100 * new / len(ready))
    before, after = projection["from_release"], projection["release"]
    return {
        "old": old,
        "new": new,
        "old_percent": 100 - percent,
        "new_percent": percent,
        "old_middle": (100 - percent) / 2,
        "new_middle": 100 - percent / 2,
        "old_version": before["version"] if before else "before",
        "new_version": after["version"],
    }


def counts(tiles: list[Pod]) -> str:
    new = sum(tile["new"] for tile in tiles)
    waiting = sum(tile["tone"] in ("warn", "bad") for tile in tiles)
    told = [f"old {len(tiles) - new}", f"new {new}"]
    return " · ".join([*told, f"{waiting} not ready"] if waiting else told)


def worth_reading(tiles: list[Pod]) -> str:
    """The pod whose log is offered first: one that fails, else a new one."""
    ranked = sorted(tiles, key=lambda tile: (tile["tone"] != "bad", not tile["new"]))
    return ranked[0]["name"] if ranked else ""


def troubles(tiles: list[Pod], limit: int = 3) -> list[Pod]:
    """Pods that fail with a reason, one per kind of reason."""
    by_reason = {t.get("reason"): t for t in tiles if t["tone"] in ("warn", "bad") and t["reason"]}
    return list(by_reason.values())[:limit]
