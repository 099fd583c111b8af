"""`Idempotency-Key`: a POST that is sent twice acts once."""

import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from deploy.models import Rollout
from portal.base.models import Event, IdempotencyKey, Role
from tests import factories as make
from tests.api.conftest import V1, problem, signed_in


@pytest.fixture
def start(operator: APIClient, world: SimpleNamespace) -> Any:
    body = {"release": str(world.new.pk), "placement": str(world.placement.pk)}

    def send(key: str = "deploy-7", **more: Any) -> Any:
        return operator.post(f"{V1}/rollouts", body | more, HTTP_IDEMPOTENCY_KEY=key)

    return send


def test_the_second_request_gets_the_first_answer(start: Any) -> None:
    first, second = start(), start()
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert (second["Location"], second["ETag"]) == (first["Location"], first["ETag"])
    assert second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Rollout.objects.filter(state="queued").count() == 1


def test_without_a_key_the_second_request_acts_again(start: Any, operator: APIClient) -> None:
    assert start("one").status_code == 201
    problem(start("two"), 409, "already_queued")


def test_a_key_cannot_be_used_for_something_else(start: Any) -> None:
    start()
    problem(start(reason="another"), 422, "idempotency_key_reused")


def test_a_refusal_is_not_kept(start: Any, world: SimpleNamespace) -> None:
    waiting = make.make_rollout(world.placement, world.new)
    problem(start(), 409)
    Rollout.objects.filter(pk=waiting.pk).update(state="aborted")
    assert start().status_code == 201


def test_keys_belong_to_who_sent_them(start: Any, world: SimpleNamespace) -> None:
    start()
    other = signed_in(make.make_user(team=world.team, role=Role.OPERATOR))
    body = {"release": str(world.new.pk), "placement": str(world.placement.pk)}
    problem(other.post(f"{V1}/rollouts", body, HTTP_IDEMPOTENCY_KEY="deploy-7"), 409)


def test_keys_are_forgotten_after_a_day(start: Any) -> None:
    start()
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    problem(start(), 409, "already_queued")


@pytest.mark.parametrize("key", ["", "with space", "x" * 201, "ü"])
def test_keys_that_are_no_keys_are_refused(start: Any, key: str) -> None:
    problem(start(key), 400, "bad_key")


def test_events_are_written_once_and_with_the_change(start: Any, emitted: Any) -> None:
    start()
    start()
    assert [event.kind for event in emitted("rollout.changed")] == ["rollout.changed"]


@pytest.mark.django_db(transaction=True)
def test_a_repeat_of_what_is_in_flight_conflicts() -> None:
    team = make.make_team()
    client = signed_in(make.make_user(team=team, role=Role.ADMIN))
    entered, leave = threading.Event(), threading.Event()
    answers = []

    def first() -> None:
        Event.objects.count()
        with connection.execute_wrapper(_stop_before_insert(entered, leave)):
            answers.append(_create(client, team))
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(10)
    problem(_create(client, team), 409, "in_flight")
    leave.set()
    thread.join(10)
    assert [answer.status_code for answer in answers] == [201]
    assert _create(client, team)["Idempotency-Replayed"] == "true"


def _create(client: APIClient, team: Any) -> Any:
    body = {"team": str(team.pk), "name": "tts"}
    return client.post(f"{V1}/services", body, HTTP_IDEMPOTENCY_KEY="once")


def _stop_before_insert(entered: threading.Event, leave: threading.Event) -> Any:
    """The database is slow at the very moment that the service is written."""

    def wrapper(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith('INSERT INTO "fleet_service"'):
            entered.set()
            assert leave.wait(10)
        return execute(sql, *args)

    return wrapper
