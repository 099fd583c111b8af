"""The engine: claim a due row, observe, decide, act once, commit. Any process may run any tick.

One tick holds no transaction while it talks to a cluster, and writes its row only under the fence
it claimed: a worker that was killed, stopped or doubled changes nothing twice
(`docs/architecture.md`, "One tick").
"""

from uuid import UUID

from deploy.engine.claim import Claimed, claim
from deploy.engine.commit import Outcome, commit
from deploy.engine.work import work

__all__ = ["Claimed", "Outcome", "advance", "claim", "commit", "tick", "work"]

# A rollout that is always due at once must not hold a worker for ever.
MAX_TICKS = 20


def advance(rollout_id: UUID) -> int:
    """Ticks until nothing is due any more; returns how many ticks did something."""
    done = 0
    while done < MAX_TICKS and tick(rollout_id):
        done += 1
    return done


def tick(rollout_id: UUID) -> bool:
    """One tick. False when the row was not due, reserved by somebody else, or lost on the way."""
    claimed = claim(rollout_id)
    if claimed is None:
        return False
    outcome = work(claimed)
    return outcome is not None and commit(claimed, outcome)
