"""Lists: searched, filtered, ordered, in pages, and never dearer because they are longer."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from fleet.models import Cluster
from portal.api import router
from portal.base import audit
from tests import factories as make
from tests.api.conftest import V1

LISTS = {prefix: view for prefix, view, _ in router.registry}


def fill(rows: int) -> None:
    """Adds this many rows to every list."""
    for _ in range(rows):
        placement = make.make_placement()
        make.make_node_pool(placement.cluster)
        stable = make.make_rollout(placement, state="succeeded")
        rollout = make.make_rollout(placement, created_by=make.make_user(), stable=stable)
        rollout.steps.create(index=0, kind="apply", title="Apply")
        rollout.intents.create(verb="abort", actor=rollout.created_by)
        audit.record(actor=None, verb="test", target=rollout)


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_costs_the_queries_it_declares(kind: str, db: None) -> None:
    admin = make.make_admin()
    view = LISTS[kind].as_view({"get": "list"})
    for rows in (2, 9):
        fill(rows)
        request = APIRequestFactory().get(f"/{kind}")
        force_authenticate(request, admin)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            response = view(request)
        assert response.data["count"] >= rows
        assert len(queries) == LISTS[kind].list_queries, [q["sql"] for q in queries]


@pytest.mark.parametrize("kind", LISTS)
def test_every_list_can_be_searched_ordered_and_cut(kind: str, root: APIClient) -> None:
    fill(3)
    view = LISTS[kind]
    for field in view.ordering_fields:
        for ordering in (field, f"-{field}"):
            assert root.get(f"{V1}/{kind}?ordering={ordering}").status_code == 200
    assert view.ordering_fields and view.search_fields
    assert root.get(f"{V1}/{kind}?search=nothing-is-called-so").json()["count"] == 0
    first = root.get(f"{V1}/{kind}?page_size=1").json()
    second = root.get(first["next"].removeprefix("http://testserver")).json()
    assert len(first["results"]) == len(second["results"]) == 1
    assert first["results"] != second["results"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=succeeded", ["ended"]),
        ("state=succeeded&state=progressing", ["ended", "going"]),
        ("active=true", ["going"]),
        ("active=false", ["ended", "waiting"]),
        ("service={service}&state=queued", ["waiting"]),
        ("cluster={cluster}", ["ended", "going", "waiting"]),
        ("placement={elsewhere}", []),
        ("release={old}", ["ended"]),
        ("search=us-east", ["ended", "going", "waiting"]),
    ],
)
def test_rollouts_are_filtered(
    operator: APIClient, world: SimpleNamespace, query: str, expected: list[str]
) -> None:
    going = make.make_rollout(world.placement, world.new, state="progressing")
    waiting = make.make_rollout(world.placement, world.new)
    elsewhere = make.make_placement(world.service)
    ids = {str(world.ended.pk): "ended", str(going.pk): "going", str(waiting.pk): "waiting"}
    names = {name: getattr(row, "pk", row) for name, row in vars(world).items()}
    address = query.format(**{**names, "elsewhere": elsewhere.pk})
    found = operator.get(f"{V1}/rollouts?{address}").json()["results"]
    assert sorted(ids[row["id"]] for row in found) == expected


def test_equal_rows_stay_in_their_place_from_page_to_page(root: APIClient) -> None:
    for _ in range(9):
        make.make_cluster(region="same")
    seen: list[str] = []
    for page in range(1, 10):
        Cluster.objects.update(version=f"v{page}")  # rewrites every row
        address = f"{V1}/clusters?ordering=region&page_size=1&page={page}"
        seen += [row["id"] for row in root.get(address).json()["results"]]
    assert len(set(seen)) == 9


def test_clusters_show_neither_credentials_nor_their_trace(root: APIClient, db: None) -> None:
    cluster = make.make_cluster(credentials={"server": "https://x", "token": "s3cret-token"})
    answers: list[Any] = [root.get(f"{V1}/clusters"), root.get(f"{V1}/clusters/{cluster.pk}")]
    assert all(b"s3cret-token" not in answer.content for answer in answers)
    assert all(b'"credentials"' not in answer.content for answer in answers)
