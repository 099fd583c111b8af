"""ETags: nobody overwrites what they have not seen."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from deploy.models import Rollout
from fleet.models import Cluster, Placement, Service
from tests import factories as make
from tests.api.conftest import V1, pointers, problem

CHANGES = [
    ("services", "service", {"description": "Speech to text"}),
    ("placements", "placement", {"overrides": {"replicas": {"web": 5}}}),
    ("clusters", "cluster", {"region": "eu-west-1"}),
]


@pytest.mark.parametrize(("kind", "name", "change"), CHANGES)
def test_a_change_needs_the_version_it_is_based_on(
    root: APIClient, world: SimpleNamespace, kind: str, name: str, change: dict
) -> None:
    address = f"{V1}/{kind}/{getattr(world, name).pk}"
    read = root.get(address)["ETag"]
    problem(root.patch(address, change), 428, "if_match_required")
    problem(root.patch(address, change, HTTP_IF_MATCH='"other"'), 412, "stale")
    changed = root.patch(address, change, HTTP_IF_MATCH=read)
    assert changed.status_code == 200
    assert {**changed.json(), **change} == changed.json()
    assert changed["ETag"] != read
    problem(root.patch(address, change, HTTP_IF_MATCH=read), 412, "stale")
    assert root.get(address)["ETag"] == changed["ETag"]


def test_only_what_is_given_changes(root: APIClient, world: SimpleNamespace) -> None:
    Service.objects.filter(pk=world.service.pk).update(runbook_url="https://runbooks.example/asr")
    address = f"{V1}/services/{world.service.pk}"
    changed = root.patch(address, {"description": "Speech"}, HTTP_IF_MATCH="*").json()
    assert changed["runbook_url"] == "https://runbooks.example/asr"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in CHANGES])
def test_what_identifies_an_object_does_not_change(
    root: APIClient, world: SimpleNamespace, kind: str, name: str
) -> None:
    address = f"{V1}/{kind}/{getattr(world, name).pk}"
    fixed = {"id": "x"} | ({"cluster": "x"} if kind == "placements" else {"name": "other"})
    response = root.patch(address, fixed, HTTP_IF_MATCH="*")
    problem(response, 400)
    assert pointers(response) == {f"/{field}": "read_only" for field in fixed}


def test_wrong_overrides_are_pointed_at(root: APIClient, world: SimpleNamespace) -> None:
    address = f"{V1}/placements/{world.placement.pk}"
    change = {"overrides": {"replicas": {"web": -1}}}
    response = root.patch(address, change, HTTP_IF_MATCH="*")
    problem(response, 422)
    assert list(pointers(response)) == ["/overrides/replicas/web"]
    assert Placement.objects.get(pk=world.placement.pk).overrides == {}


def test_contact_with_a_cluster_does_not_outdate_what_was_read(
    root: APIClient, world: SimpleNamespace
) -> None:
    address = f"{V1}/clusters/{world.cluster.pk}"
    read = root.get(address)["ETag"]
    Cluster.objects.update(api_latency_seconds=0.3, version="v1.34.0")
    assert root.get(address)["ETag"] == read


def test_reading_again_what_is_unchanged_costs_nothing(
    operator: APIClient, world: SimpleNamespace
) -> None:
    address = f"{V1}/rollouts/{world.ended.pk}"
    first = operator.get(address)
    again = operator.get(address, HTTP_IF_NONE_MATCH=f"W/{first['ETag']}")
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]


def test_a_wish_may_name_the_version_it_is_based_on(
    operator: APIClient, world: SimpleNamespace
) -> None:
    going = make.make_rollout(world.placement, world.new, state="progressing")
    address = f"{V1}/rollouts/{going.pk}"
    read = operator.get(address)["ETag"]
    Rollout.objects.filter(pk=going.pk).update(step_index=2)
    problem(operator.post(f"{address}/pause", {}, HTTP_IF_MATCH=read), 412, "stale")
    assert not going.intents.exists()
    fresh = operator.get(address)["ETag"]
    assert operator.post(f"{address}/pause", {}, HTTP_IF_MATCH=fresh).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_the_same_moment_one_is_stale(
    root: APIClient, world: SimpleNamespace
) -> None:
    address = f"{V1}/services/{world.service.pk}"
    read = root.get(address)["ETag"]
    writing, go_on = threading.Event(), threading.Event()
    answers: list[int] = []

    def change(text: str, *, slowly: bool) -> None:
        def hold(execute: Any, sql: str, *args: Any) -> Any:
            if slowly and sql.startswith('UPDATE "fleet_service"'):
                writing.set()
                assert go_on.wait(10)
            return execute(sql, *args)

        with connection.execute_wrapper(hold):
            answer = root.patch(address, {"description": text}, HTTP_IF_MATCH=read)
        answers.append(answer.status_code)
        connection.close()

    first = threading.Thread(target=change, args=["first"], kwargs={"slowly": True})
    second = threading.Thread(target=change, args=["second"], kwargs={"slowly": False})
    first.start()
    assert writing.wait(10)
    second.start()
    second.join(0.5)
    assert answers == [], "the second waits for the first"
    go_on.set()
    first.join(10)
    second.join(10)
    assert answers == [200, 412]
    assert Service.objects.get().description == "first"
