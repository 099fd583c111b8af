"""What a strategy sees and says: plain data in, plain data out, no clock, network or database.

`decide(position, observed, now)` looks at where a rollout stands and at what the cluster shows,
and returns a `Decision`: the one action to take now, the state and step that follow when the
action succeeds, and the sentence that tells people what happens next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol


class Action(StrEnum):
    """What the engine can do to a cluster; each is idempotent."""

    NONE = "none"
    APPLY = "apply"  # the plan's objects, never taking fields from others
    TAKE_OVER = "take_over"  # the plan's objects, overwriting foreign changes to their fields
    HOLD = "hold"  # spec.paused on the plan's Deployments
    CONTINUE = "continue"  # spec.paused off
    RESTORE = "restore"  # the stable rollout's objects, overwriting foreign changes
    PRUNE = "prune"  # objects of the inventory that nothing needs any more


@dataclass(frozen=True)
class Workload:
    """One Deployment: its counts, and whether its controller has seen the current spec."""

    name: str
    desired: int
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    up_to_date: bool = True

    @property
    def old(self) -> int:
        return max(self.replicas - self.updated, 0)

    @property
    def complete(self) -> bool:
        """As `kubectl rollout status` judges (kubectl pkg/polymorphichelpers/rollout_status.go)."""
        return (
            self.up_to_date
            and self.updated >= self.desired
            and self.old == 0
            and (self.available >= self.updated)
        )


@dataclass(frozen=True)
class Drift:
    """Fields of one of our objects that somebody else has taken."""

    object: str
    manager: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One result of a check before step 0. `blocking` findings end the rollout untouched."""

    check: str
    verdict: str
    message: str
    blocking: bool = False


@dataclass(frozen=True)
class Observed:
    """What one look at the cluster showed.

    `trouble` says why new pods are not ready; `refusal` what the API server said no to, with
    `refused_access` when it is the credential that does not suffice.
    """

    workloads: tuple[Workload, ...] = ()
    drift: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()
    trouble: str = ""
    refusal: str = ""
    refused_access: bool = False


@dataclass(frozen=True)
class Wish:
    """An operator's intent that no tick has consumed yet."""

    id: str
    verb: str
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True)
class Position:
    """Where a rollout stands, as its row says."""

    state: str
    step_index: int
    steps: tuple[str, ...]
    memory: Mapping[str, Any]
    wishes: tuple[Wish, ...]
    deadline_seconds: int
    stable_version: str | None
    version: str
    stalled: bool = False
    drifted: bool = False

    @property
    def step(self) -> str:
        return self.steps[self.step_index]


@dataclass(frozen=True)
class Explanation:
    """What happens next: waiting for X, until T, on failure Y."""

    waiting_for: str = ""
    until: datetime | None = None
    on_failure: str = ""

    def as_json(self) -> dict[str, Any]:
        until = self.until.isoformat() if self.until else None
        return {"waiting_for": self.waiting_for, "until": until, "on_failure": self.on_failure}


@dataclass(frozen=True)
class Decision:
    """What to do now and where that leads. `due_in_seconds` bounds the time to the next tick."""

    state: str
    step_index: int
    explanation: Explanation
    action: Action = Action.NONE
    due_in_seconds: float = 0.0
    memory: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    consumed: tuple[tuple[str, str], ...] = ()
    drift: tuple[Drift, ...] | None = None


class Strategy(Protocol):
    """A pure module: its steps, and the decision for one tick."""

    steps: tuple[tuple[str, str], ...]

    def decide(self, position: Position, observed: Observed, now: datetime) -> Decision: ...


# --- Progress, counted on our own clock ------------------------------------------------------


def progress(position: Position, workloads: tuple[Workload, ...], now: datetime) -> dict[str, Any]:
    """The progress record after this tick: best counts so far, and seconds since they improved.

    A pod that flaps between ready and crashed is no progress: only a new best counts. Time while
    paused or stalled is not counted, as the previous tick's mark is then not continued.
    """
    counts = [count for w in workloads for count in (w.updated, w.available, -w.old)]
    before = position.memory.get("progress") or {}
    best = before.get("best") or []
    if len(best) != len(counts) or any(a > b for a, b in zip(counts, best, strict=True)):
        # Old pods that leave and new ones that become available both move a rollout on.
        same = len(best) == len(counts)
        merged = [max(p) for p in zip(counts, best, strict=True)] if same else counts
        return {"best": merged, "idle_seconds": 0.0, "at": now.isoformat()}
    passed = 0.0 if position.stalled or not before.get("at") else _seconds(before["at"], now)
    return {
        "best": best,
        "idle_seconds": before["idle_seconds"] + max(passed, 0.0),
        "at": now.isoformat(),
    }


def deadline(position: Position, record: Mapping[str, Any], now: datetime) -> datetime:
    """When the rollout is given up unless it moves on."""
    return now + timedelta(seconds=position.deadline_seconds - record["idle_seconds"])


def _seconds(since: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(since)).total_seconds()
