"""The watch keeps a true picture through all that can happen to it."""

from __future__ import annotations

import time

import pytest

from fleet.kube.projections import Watched
from tests.kube.faulty_apiserver import FaultyApiserver, refuse
from tests.kube.watching import Store, eventually, running

LIST = "/api/v1/pods"
WATCH = {"watch": "true"}


@pytest.fixture
def store() -> Store:
    return Store()


def lists(server: FaultyApiserver) -> int:
    """How many lists were begun."""
    return len([e for e in server.seen if "watch" not in e.query and "continue" not in e.query])


def watches(server: FaultyApiserver) -> list[str]:
    """The versions that watches were begun from."""
    return [e.query["resourceVersion"] for e in server.seen if "watch" in e.query]


class TestFollowing:
    def test_it_lists_then_follows(self, pods, pods_server, store):
        pods.put("a", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: store.names() == {"a"})
            pods.put("b", phase="Pending")
            eventually(lambda: store.names() == {"a", "b"})
            pods.put("b", phase="Running")
            eventually(lambda: store.phase("b") == "Running")
            pods.remove("a")
            eventually(lambda: store.names() == {"b"})
            eventually(lambda: store.cursor == str(pods.version))
        assert lists(pods_server) == 1

    def test_long_lists_come_in_pages_and_the_cursor_only_at_the_end(
        self, pods, pods_server, store
    ):
        for n in range(1234):
            pods.put(f"p{n:04}", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: len(store.objects) == 1234)
            eventually(lambda: store.cursor)
        pages = [e for e in pods_server.seen if "watch" not in e.query]
        assert [e.query["limit"] for e in pages] == ["500", "500", "500"]
        assert [cursor for _, _, cursor in store.batches] == ["", "", "", str(pods.version)]

    def test_it_asks_for_what_the_recipe_says(self, pods, pods_server, store):
        watched = Watched("v1", "Pod", lambda o: {}, "app=x", "spec.nodeName=n")
        with running(pods_server.endpoint, store, watched, watch_min=240, watch_max=480):
            eventually(lambda: watches(pods_server))
        asked = pods_server.seen[-1].query
        assert asked["allowWatchBookmarks"] == "true"
        assert 240 <= int(asked["timeoutSeconds"]) <= 480
        assert {e.query["labelSelector"] for e in pods_server.seen} == {"app=x"}
        assert {e.query["fieldSelector"] for e in pods_server.seen} == {"spec.nodeName=n"}

    def test_bookmarks_move_the_stored_cursor(self, pods, pods_server, store):
        with running(pods_server.endpoint, store):
            eventually(lambda: ("live", "") in store.states)
            pods.version += 50
            pods.bookmark()
            eventually(lambda: store.cursor == str(pods.version))

    def test_a_restart_resumes_without_a_list(self, pods, pods_server, store):
        pods.put("a", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: store.cursor and store.names() == {"a"})
        cursor = store.cursor
        pods.put("b", phase="Running")
        pods.remove("a")
        with running(pods_server.endpoint, store, resume=True):
            eventually(lambda: store.names() == {"b"})
        assert lists(pods_server) == 1
        assert watches(pods_server)[-1] == cursor

    def test_one_odd_object_does_not_stop_the_others(self, pods, pods_server, store):
        odd = pods.put("odd", phase="Running")
        odd["spec"] = {"containers": 7}
        pods.put("even", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: store.names() == {"odd", "even"})
        assert "unreadable" in store.changes("odd")[0].projection


class TestCoalescing:
    def test_a_change_that_does_not_show_is_not_told(self, pods, pods_server, store):
        pods.put("a", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: ("live", "") in store.states)
            for n in range(20):
                pods.put("a", phase="Running", heartbeat=n)
            pods.put("b", phase="Running")
            eventually(lambda: "b" in store.names())
        assert len(store.changes("a")) == 1
        assert store.cursor == str(pods.version)

    def test_many_changes_of_one_object_become_few_and_the_last_one_counts(
        self, pods, pods_server, store
    ):
        with running(pods_server.endpoint, store):
            eventually(lambda: ("live", "") in store.states)
            began = time.monotonic()
            for n in range(200):
                pods.put("a", phase=f"phase-{n}")
                time.sleep(0.002)
            took = time.monotonic() - began
            eventually(lambda: store.phase("a") == "phase-199")
        assert len(store.changes("a")) <= took / 0.25 + 3

    def test_the_first_change_does_not_wait(self, pods, pods_server, store):
        with running(pods_server.endpoint, store, coalesce=60.0):
            eventually(lambda: ("live", "") in store.states)
            pods.put("a", phase="Pending")
            eventually(lambda: store.phase("a") == "Pending")

    def test_a_deletion_does_not_wait_either(self, pods, pods_server, store):
        with running(pods_server.endpoint, store, coalesce=60.0):
            eventually(lambda: ("live", "") in store.states)
            pods.put("a", phase="Pending")
            eventually(lambda: store.names() == {"a"})
            pods.remove("a")
            eventually(lambda: store.names() == set())

    def test_the_cursor_stays_behind_what_still_waits(self, pods, pods_server, store):
        with running(pods_server.endpoint, store, coalesce=60.0):
            eventually(lambda: ("live", "") in store.states)
            pods.put("a", phase="Pending")
            eventually(lambda: store.phase("a") == "Pending")
            seen_before = pods.version
            pods.put("a", phase="Running")  # must wait its minute
            pods.put("b", phase="Running")  # is stored at once
            eventually(lambda: "b" in store.names())
            assert int(store.cursor) <= seen_before
        # Killed now, a restart still learns of the waiting change.
        with running(pods_server.endpoint, store, resume=True):
            eventually(lambda: store.phase("a") == "Running")
        assert lists(pods_server) == 1

    def test_a_burst_shares_transactions(self, pods, pods_server, store):
        with running(pods_server.endpoint, store):
            eventually(lambda: ("live", "") in store.states)
            before = len(store.batches)
            for n in range(500):
                pods.put(f"p{n}", phase="Running")
            eventually(lambda: len(store.objects) == 500)
        assert len(store.batches) - before < 250


class TestExpiredVersions:
    def test_410_in_the_stream_lists_again_and_tells_what_was_missed(
        self, pods, pods_server, store
    ):
        pods.put("stays", phase="Running")
        pods.put("goes", phase="Running")
        pods.put("turns", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: store.cursor)
        pods.remove("goes")
        pods.put("turns", phase="Failed")
        pods.put("comes", phase="Running")
        pods.compact()
        told = len(store.batches)
        with running(pods_server.endpoint, store, resume=True):
            eventually(lambda: store.names() == {"stays", "turns", "comes"})
            eventually(lambda: store.cursor == str(pods.version))
        fresh = [(c.type, c.name) for _, batch, _ in store.batches[told:] for c in batch]
        assert sorted(fresh) == [("delete", "goes"), ("upsert", "comes"), ("upsert", "turns")]

    def test_410_as_an_answer_does_the_same(self, pods, pods_server, store):
        pods_server.on("GET", LIST, refuse(410, "Expired", "too old"), times=1, query=WATCH)
        pods.put("a", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: lists(pods_server) == 2 and store.cursor)
        assert len(store.changes("a")) == 1

    def test_a_recreated_object_ends_before_it_begins(self, pods, pods_server, store):
        pods.put("a", phase="Running")
        with running(pods_server.endpoint, store):
            eventually(lambda: store.cursor)
        pods.remove("a")
        pods.put("a", phase="Pending")
        pods.compact()
        with running(pods_server.endpoint, store, resume=True):
            eventually(lambda: store.phase("a") == "Pending")
        assert [c.type for c in store.changes("a")] == ["upsert", "delete", "upsert"]

    def test_410_between_pages_starts_the_list_over(self, pods, pods_server, store):
        for n in range(1200):
            pods.put(f"p{n:04}", phase="Running")
        expired = refuse(410, "Expired", "The provided continue parameter is too old")
        pods_server.on("GET", LIST, expired, times=1, query={"continue": "p0999"})
        with running(pods_server.endpoint, store):
            eventually(lambda: len(store.objects) == 1200 and store.cursor)
        assert lists(pods_server) == 2
        assert len([c for _, batch, _ in store.batches for c in batch]) == 1200

    def test_endless_410_is_no_endless_list(self, pods, pods_server, store):
        pods_server.on("GET", LIST, refuse(410, "Expired", "too old"), query=WATCH)
        with running(pods_server.endpoint, store, backoff_min=0.4, backoff_max=5):
            time.sleep(2)
        assert lists(pods_server) < 15


class TestAudit:
    def quick_audits(self, store: Store) -> dict[str, float]:
        return {"audit": 0.2, "watch_min": 1.0, "watch_max": 1.0}

    def test_a_true_picture_raises_no_alarm(self, pods, pods_server, store):
        pods.put("a", phase="Running")
        with running(pods_server.endpoint, store, **self.quick_audits(store)):
            eventually(lambda: lists(pods_server) >= 3)
        exact = [e.query for e in pods_server.seen if "resourceVersionMatch" in e.query]
        assert exact[0]["resourceVersionMatch"] == "Exact"
        assert exact[0]["resourceVersion"] == str(pods.version)
        assert store.drifts == []

    def test_a_missed_change_raises_the_alarm_and_is_repaired(self, pods, pods_server, store):
        pods.put("a", phase="Running")
        with running(pods_server.endpoint, store, **self.quick_audits(store)):
            eventually(lambda: ("live", "") in store.states)
            pods.pods["a"]["status"]["phase"] = "Failed"  # changed, and the watch never told
            eventually(lambda: store.phase("a") == "Failed")
            eventually(lambda: store.drifts)
        assert [change.name for change in store.drifts[0]] == ["a"]

    def test_changes_between_watch_and_list_are_no_drift(self, pods, pods_server, store):
        pods.put("a", phase="Running")

        def list_after_a_change(exchange):
            pods.put("b", phase="Running")
            exchange.forward()

        exact = {"resourceVersionMatch": "Exact"}
        pods_server.on("GET", LIST, list_after_a_change, times=1, query=exact)
        with running(pods_server.endpoint, store, **self.quick_audits(store)):
            eventually(lambda: "b" in store.names())
        assert store.drifts == []

    def test_a_version_too_old_to_compare_is_no_alarm(self, pods, pods_server, store):
        exact = {"resourceVersionMatch": "Exact"}
        pods_server.on("GET", LIST, refuse(410, "Expired", "too old"), query=exact)
        with running(pods_server.endpoint, store, **self.quick_audits(store)):
            eventually(lambda: lists(pods_server) >= 3)
            pods.put("a", phase="Running")
            eventually(lambda: "a" in store.names())
        assert store.drifts == []
