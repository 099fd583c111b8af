"""Small parts with rules of their own: quantities, selectors, the store, ages in tables."""

from pathlib import Path

import pytest

from fleet.sandbox import quantities, selectors, tables
from fleet.sandbox.database import Database, Journal
from fleet.sandbox.errors import StatusError
from fleet.sandbox.schema import type_of
from fleet.sandbox.schema.decode import Decoder
from fleet.sandbox.store import HistoryLost, Store


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("2048Mi", "2Gi"),
        ("1e3", "1k"),
        (4, "4"),
        ("1.5Gi", "1536Mi"),
        ("100", "100"),
        ("0", "0"),
        ("1500m", "1500m"),
        ("12000", "12k"),
    ],
)
def test_quantities_have_one_canonical_form(given: str | int, stored: str) -> None:
    assert quantities.canonical(given) == stored


def test_nonsense_is_no_quantity() -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantities.parse("many")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("a=1", True),
        ("a==2", False),
        ("a!=2", True),
        ("b", False),
        ("!b", True),
        ("a in (1,2)", True),
        ("a notin (1)", False),
        ("n>3", True),
        ("n<3", False),
        ("a=1,b", False),
        ("a in (),b", False),
    ],
)
def test_label_selectors(selector: str, expected: bool) -> None:
    assert selectors.parse_labels(selector)({"a": "1", "n": "5"}) is expected


@pytest.mark.parametrize("selector", ["a in 1", "=x", "a=(b", "a in (b", "-a=b", "a b"])
def test_selectors_nobody_understands_are_refused(selector: str) -> None:
    with pytest.raises(StatusError) as refused:
        selectors.parse_labels(selector)
    assert refused.value.code == 400


def test_a_field_selector_reads_false_where_a_flag_is_unset() -> None:
    schedulable = selectors.parse_fields("spec.unschedulable=false", "Node")
    assert schedulable({"spec": {}}) and not schedulable({"spec": {"unschedulable": True}})


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (3600, "60m"),
        (3 * 3600, "3h"),
        (9 * 3600, "9h"),
        (49 * 3600, "2d1h"),
        (10 * 86400, "10d"),
        (800 * 86400, "2y"),
    ],
)
def test_ages_are_shown_as_kubectl_does(seconds: int, shown: str) -> None:
    assert tables.duration(seconds) == shown


def test_go_writes_some_zeroes_and_leaves_out_others() -> None:
    spec = {"template": {"spec": {"containers": [{"name": "a", "args": []}]}}, "paused": False}
    body = {"kind": "Deployment", "spec": spec | {"replicas": 0}, "metadata": {"labels": {}}}
    decoded = Decoder().decode(body, type_of("apps/v1", "Deployment"))
    container = {"name": "a", "resources": {}}
    template = {"metadata": {}, "spec": {"containers": [container]}}
    assert decoded["spec"] == {"template": template, "replicas": 0, "strategy": {}}
    assert (decoded["metadata"], decoded["status"]) == ({}, {})


def _store(folder: Path, history: int = 100) -> Store:
    database = Database(folder)
    database.save_cluster("one", (1, "", "", "", ""))
    return Store(Journal(database, "one"), history)


def _put(store: Store, name: str) -> int:
    obj = {"metadata": {"namespace": "n", "name": name, "uid": name}}
    return int(store.put("things", obj)["metadata"]["resourceVersion"])


async def test_a_version_is_never_given_out_twice(tmp_path: Path) -> None:
    last = _put(_store(tmp_path), "a")
    again = _store(tmp_path)  # as after a crash: nothing was flushed
    assert again.get("things", "n", "a") is None
    assert _put(again, "b") > last


async def test_the_log_says_when_it_no_longer_reaches_back(tmp_path: Path) -> None:
    store = _store(tmp_path, history=3)
    first = _put(store, "a")
    seen = [_put(store, name) for name in "bcde"]
    assert [change.revision for change in store.changes_since(seen[1])] == seen[2:]
    with pytest.raises(HistoryLost):
        store.changes_since(first)


async def test_owners_are_found_and_forgotten(tmp_path: Path) -> None:
    store = _store(tmp_path)
    owned = {
        "metadata": {
            "namespace": "n",
            "name": "x",
            "uid": "x",
            "ownerReferences": [{"uid": "boss"}],
        }
    }
    store.put("things", owned)
    assert [obj["metadata"]["name"] for _, obj in store.owned_by("boss")] == ["x"]
    store.remove("things", ("n", "x"))
    assert store.owned_by("boss") == [] and not store.exists("x")
