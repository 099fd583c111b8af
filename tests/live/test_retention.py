"""Forgetting old events leaves an unbroken rest."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from portal.base.models import Event
from portal.live import retention
from portal.tasks import forget_old_events
from tests.live.conftest import emit_many

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def _age(*seqs: int) -> None:
    Event.objects.filter(seq__in=seqs).update(at=timezone.now() - 2 * DAY)


def _left() -> list[int]:
    return list(Event.objects.values_list("seq", flat=True))


def test_old_events_go_and_young_ones_stay() -> None:
    emit_many(5, "fleet", objects=5)
    _age(1, 2, 3)
    assert retention.forget_events(older_than=DAY) == 3
    assert _left() == [4, 5]
    assert retention.forget_events(older_than=DAY) == 0


def test_clocks_that_disagree_leave_no_hole() -> None:
    emit_many(5, "fleet", objects=5)
    _age(1, 4)
    retention.forget_events(older_than=DAY)
    assert _left() == [5]


def test_many_batches_are_deleted_completely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    emit_many(30, "fleet", objects=30)
    _age(*range(1, 23))
    assert retention.forget_events(older_than=DAY) == 22
    assert _left() == list(range(23, 31))


def test_an_empty_table_is_no_problem() -> None:
    assert retention.forget_events(older_than=DAY) == 0


def test_the_task_and_the_command_apply_the_setting(settings: object) -> None:
    settings.EVENT_RETENTION_HOURS = 24  # type: ignore[attr-defined]
    emit_many(4, "fleet", objects=4)
    _age(1)
    forget_old_events()
    assert _left() == [2, 3, 4]
    _age(2)
    call_command("forget_events")
    assert _left() == [3, 4]
