"""Claim and commit, without a cluster: who may work on a row, and whose work counts."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from deploy import engine, rollouts
from deploy.engine.work import work
from deploy.models import Rollout
from deploy.models.rollout import State
from portal.base.models import AuditEntry
from tests.factories import (
    digest,
    make_deployment,
    make_placement,
    make_release,
    make_rollout,
    make_service,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def rollout() -> Rollout:
    placement = make_placement(make_service())
    release = make_release(
        placement.service,
        manifests=[make_deployment(image="web")],
        images={"web": f"registry.example/web@{digest('1')}"},
    )
    return rollouts.start(release=release, placement=placement, actor=None)


def let_the_lease_run_out(rollout: Rollout) -> None:
    Rollout.objects.filter(pk=rollout.pk).update(lease_until=Now() - timedelta(seconds=1))


def test_a_claimed_row_is_nobody_elses_until_the_lease_ends(rollout):
    first = engine.claim(rollout.pk)
    assert engine.claim(rollout.pk) is None
    let_the_lease_run_out(rollout)
    assert engine.claim(rollout.pk).fence > first.fence


def test_a_row_that_is_not_due_is_not_claimed(rollout):
    Rollout.objects.filter(pk=rollout.pk).update(next_due=timezone.now() + timedelta(hours=1))
    assert engine.claim(rollout.pk) is None


def test_work_under_an_old_fence_is_thrown_away_whole(rollout, emitted):
    late = engine.claim(rollout.pk)
    outcome = work(late)
    let_the_lease_run_out(rollout)
    current = engine.claim(rollout.pk)
    emitted.forget()
    audited = AuditEntry.objects.count()
    assert engine.commit(late, outcome) is False
    rollout.refresh_from_db()
    assert (rollout.state, rollout.fence) == (State.QUEUED, current.fence)
    assert (emitted(), AuditEntry.objects.count()) == ([], audited)
    assert engine.commit(current, work(current)) is True
    rollout.refresh_from_db()
    assert rollout.state == State.PREPARING


def test_fences_grow_over_all_rollouts_of_a_placement(rollout):
    older = make_rollout(rollout.placement, rollout.release, state="draft", fence=41)
    assert engine.claim(rollout.pk).fence == older.fence + 1


def test_a_queued_rollout_waits_for_the_active_one(rollout):
    active = make_rollout(rollout.placement, rollout.release, state="aborting")
    assert engine.claim(rollout.pk) is None
    Rollout.objects.filter(pk=active.pk).update(state="aborted")
    assert engine.claim(rollout.pk) is not None


def test_a_wake_during_a_tick_makes_the_row_due_at_once(rollout):
    claimed = engine.claim(rollout.pk)
    outcome = work(claimed)
    object.__setattr__(outcome.decision, "due_in_seconds", 60.0)
    Rollout.objects.filter(pk=rollout.pk).update(woken_at=timezone.now() + timedelta(seconds=1))
    assert engine.commit(claimed, outcome)
    rollout.refresh_from_db()
    assert rollout.next_due <= timezone.now()


def test_what_it_returns_to_is_the_last_success_when_it_begins(rollout):
    stable = make_rollout(
        rollout.placement, rollout.release, state="succeeded", finished_at=timezone.now()
    )
    assert engine.claim(rollout.pk).rollout.stable == stable


def test_a_defect_in_a_tick_neither_strands_nor_spins_the_row(rollout):
    Rollout.objects.filter(pk=rollout.pk).update(strategy="unheard-of")
    assert engine.tick(rollout.pk) is True
    rollout.refresh_from_db()
    assert rollout.lease_until is None
    assert rollout.next_due > timezone.now() + timedelta(seconds=20)
    assert rollout.attempts.get().outcome == "error"
