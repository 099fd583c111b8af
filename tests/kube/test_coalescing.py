"""Whatever comes when, and wherever a process is killed: no change is lost, the last one counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kube.changes import Change, Coalescer, Known, digest

INTERVAL = 0.25


@dataclass
class World:
    """A cluster's history, a store that survives, and a process that may die."""

    log: list[Change] = field(default_factory=list)  # version n is at n - 1
    truth: dict[str, str] = field(default_factory=dict)
    store: dict[str, Change] = field(default_factory=dict)
    stored_at: dict[str, list[float]] = field(default_factory=dict)
    cursor: int = 0
    now: float = 0.0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.seen = self.cursor
        self.coalescer = Coalescer(INTERVAL, lambda: self.now)
        for uid, change in self.store.items():
            self.coalescer.known[uid] = Known("", uid, digest(change.projection))
        self.stored_at = {}

    def happen(self, uid: str, phase: str) -> None:
        """An event in the cluster; phase "" is the end of the object."""
        if not phase and uid not in self.truth:
            return
        version = str(len(self.log) + 1)
        if phase:
            projection = {"phase": phase}
            mark = digest(projection)
            self.truth[uid] = phase
            change = Change("upsert", "Pod", "", uid, uid, projection, version, mark)
        else:
            del self.truth[uid]
            change = Change("delete", "Pod", "", uid, uid, {}, version)
        self.log.append(change)

    def hear(self, count: int) -> None:
        for change in self.log[self.seen : self.seen + count]:
            self.coalescer.see(change, str(self.seen))
            self.seen = int(change.resource_version)

    def flush(self, limit: int, all_of_them: bool = False) -> None:
        due = self.coalescer.all_pending() if all_of_them else self.coalescer.due(limit)
        cursor = int(self.coalescer.resume_version(str(self.seen), due))
        assert cursor >= self.cursor, "a cursor never goes back"
        self.cursor = cursor
        for change in due:
            if change.type == "delete":
                del self.store[change.uid]
                self.stored_at.pop(change.uid, None)
            else:
                self.store[change.uid] = change
                self.stored_at.setdefault(change.uid, []).append(self.now)
        self.coalescer.stored(due)

    def settle(self) -> None:
        self.hear(len(self.log))
        self.now += 1
        self.flush(10**6)
        assert self.coalescer.next_due() is None and not self.coalescer.all_pending()


UIDS = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("happen"), UIDS, st.sampled_from(["", "P", "R", "F"])),
    st.tuples(st.just("hear"), st.integers(1, 5)),
    st.tuples(st.just("flush"), st.integers(1, 3)),
    st.tuples(st.just("pass"), st.sampled_from([0.01, 0.1, 0.25, 1.0])),
    st.tuples(st.just("die")),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_the_store_ends_up_true_whatever_happens(steps):
    world = World()
    for step, *arguments in steps:
        if step == "pass":
            world.now += arguments[0]
        elif step == "die":
            world.start()
        else:
            getattr(world, step)(*arguments)
        assert world.cursor <= world.seen
    world.settle()
    assert {uid: change.projection["phase"] for uid, change in world.store.items()} == world.truth
    assert world.cursor == len(world.log), "with nothing waiting, nothing is heard twice"


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS.filter(lambda step: step[0] != "die"), max_size=60))
def test_an_object_is_stored_at_most_once_per_interval(steps):
    world = World()
    for step, *arguments in steps:
        if step == "pass":
            world.now += arguments[0]
        else:
            getattr(world, step)(*arguments)
    for times in world.stored_at.values():
        gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        assert all(gap >= INTERVAL - 1e-9 for gap in gaps)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_a_restart_from_the_cursor_alone_ends_up_true(steps):
    world = World()
    for step, *arguments in steps:
        if step == "pass":
            world.now += arguments[0]
        elif step != "die":
            getattr(world, step)(*arguments)
    world.start()
    world.settle()
    assert {uid: change.projection["phase"] for uid, change in world.store.items()} == world.truth
