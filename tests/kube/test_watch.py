"""The watch keeps a true picture through all that can happen to it."""

from __future__ import annotations

import threading
import time

import pytest

from fleet.kube.projections import Watched
from tests.kube.faulty_apiserver import (
    FaultyApiserver,
    StateOfPods,
    hang_up,
    refuse,
    stall,
    status,
    trickle,
)
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


class TestTrouble:
    def follow(self, pods: StateOfPods, store: Store, name: str) -> None:
        pods.put(name, phase="Running")
        eventually(lambda: name in store.names())

    @pytest.mark.parametrize(
        "fault",
        [
            refuse(500, "InternalError", "boom"),
            refuse(503, "ServiceUnavailable", "no"),
            refuse(401, "Unauthorized", "who?"),
            refuse(429, "TooManyRequests", "slow", headers={"Retry-After": "0"}),
            hang_up,
            lambda e: e.send(200, b"<html>"),
            lambda e: (e.start_stream(), e.chunk(b'{"type": "ADD'), e.hang_up()),
            lambda e: (e.start_stream(), e.event("ERROR", status(500, "InternalError")), e.wait(1)),
        ],
        ids=["500", "503", "401", "429", "hang_up", "html", "cut", "error_event"],
    )
    def test_it_resumes_from_where_it_was(self, pods, pods_server, store, fault):
        pods_server.on("GET", LIST, fault, times=3, query=WATCH)
        with running(pods_server.endpoint, store):
            self.follow(pods, store, "a")
            eventually(lambda: len(watches(pods_server)) >= 4)
            self.follow(pods, store, "b")
            eventually(lambda: store.states[-1] == ("live", ""))
        assert lists(pods_server) == 1
        assert "reconnecting" in [state for state, _ in store.states]

    def test_a_failed_list_is_tried_again(self, pods, pods_server, store):
        pods_server.on("GET", LIST, refuse(500, "InternalError", "boom"), times=2)
        with running(pods_server.endpoint, store):
            self.follow(pods, store, "a")

    def test_it_resumes_from_the_last_version_it_heard_of(self, pods, pods_server, store):
        drop = threading.Event()

        def watch_then_drop(exchange):
            threading.Thread(
                target=lambda: drop.wait(30) and exchange.handler.connection.shutdown(2)
            ).start()
            exchange.forward()

        pods_server.on("GET", LIST, watch_then_drop, times=1, query=WATCH)
        with running(pods_server.endpoint, store):
            self.follow(pods, store, "a")
            for n in range(5):  # nothing to store, but versions to remember
                pods.put("a", phase="Running", beat=n)
            self.follow(pods, store, "b")
            heard = str(pods.version)
            drop.set()
            eventually(lambda: len(watches(pods_server)) == 2)
            assert watches(pods_server)[1] == heard
            self.follow(pods, store, "c")

    def test_a_half_open_socket_is_noticed(self, pods, pods_server, store):
        def half_open(exchange):
            exchange.start_stream()
            exchange.wait()

        pods_server.on("GET", LIST, half_open, times=1, query=WATCH)
        with running(pods_server.endpoint, store, idle=0.5):
            eventually(lambda: watches(pods_server))
            self.follow(pods, store, "a")
        assert lists(pods_server) == 1
        assert {state for state, _ in store.states} == {"live"}, "silence alone is no trouble"

    def test_a_quiet_watch_is_shorter_so_that_it_ends_with_a_bookmark(
        self, pods, pods_server, store
    ):
        with running(pods_server.endpoint, store, idle=1.5):
            eventually(lambda: len(watches(pods_server)) >= 2)
            self.follow(pods, store, "a")
        lengths = [e.query["timeoutSeconds"] for e in pods_server.seen if "watch" in e.query]
        assert lengths[:2] == ["20", "1"]

    def test_a_watch_that_never_answers_is_given_up(self, pods, pods_server, store):
        pods_server.on("GET", LIST, stall, times=1, query=WATCH)
        with running(pods_server.endpoint, store, idle=0.5):
            eventually(lambda: watches(pods_server))
            self.follow(pods, store, "a")

    def test_a_trickle_without_a_whole_event_counts_as_silence(self, pods, pods_server, store):
        slow = trickle({"type": "ADDED", "object": {"pad": "x" * 5000}}, pause_seconds=0.05)
        pods_server.on("GET", LIST, slow, times=1, query=WATCH)
        with running(pods_server.endpoint, store, idle=0.5):
            eventually(lambda: watches(pods_server))
            self.follow(pods, store, "a")

    def test_a_long_loss_is_called_stale(self, pods, pods_server, store):
        with running(pods_server.endpoint, store, stale_after=0.5, backoff_max=5):
            self.follow(pods, store, "a")
            pods_server.on("GET", LIST, refuse(500, "InternalError", "boom"))
            pods_server.on("GET", LIST, hang_up)
            for exchange in list(pods_server.seen):
                if "watch" in exchange.query:
                    exchange.handler.connection.shutdown(2)
            eventually(lambda: "stale" in [state for state, _ in store.states])
            assert "boom" in store.states[-1][1]
            pods_server.calm()
            self.follow(pods, store, "b")
            eventually(lambda: store.states[-1] == ("live", ""))

    def test_a_server_that_always_fails_is_asked_ever_less(self, pods, pods_server, store):
        pods_server.on("GET", LIST, refuse(500, "InternalError", "boom"), query=WATCH)
        with running(pods_server.endpoint, store, backoff_min=0.2, backoff_max=5):
            time.sleep(2)
        assert len(watches(pods_server)) < 20

    def test_a_server_that_ends_every_watch_is_not_hammered(self, pods, pods_server, store):
        end = lambda e: (e.start_stream(), e.end_stream())  # noqa: E731
        pods_server.on("GET", LIST, end, query=WATCH)
        with running(pods_server.endpoint, store, backoff_min=0.2, backoff_max=5):
            time.sleep(2)
        assert len(watches(pods_server)) < 20

    def test_a_store_that_fails_loses_nothing(self, pods, pods_server, store):
        with running(pods_server.endpoint, store):
            self.follow(pods, store, "a")
            store.refuse = 3
            pods.put("b", phase="Pending")
            pods.put("a", phase="Failed")
            eventually(lambda: store.phase("b") == "Pending" and store.phase("a") == "Failed")
        assert store.refuse == 0
        assert any("the database is away" in why for _, why in store.states)

    def test_a_store_that_fails_during_the_list_loses_nothing(self, pods, pods_server, store):
        for n in range(700):
            pods.put(f"p{n:04}", phase="Running")
        store.refuse = 2
        with running(pods_server.endpoint, store):
            eventually(lambda: len(store.objects) == 700 and store.cursor)


class TestStopping:
    @pytest.mark.parametrize("where", ["list", "watch", "backoff", "quiet"])
    def test_it_stops_at_once_wherever_it_waits(self, pods, pods_server, store, where):
        if where == "list":
            pods_server.on("GET", LIST, stall)
        if where == "watch":
            pods_server.on("GET", LIST, stall, query=WATCH)
        if where == "backoff":
            pods_server.on("GET", LIST, refuse(500, "InternalError", "boom"))
        with running(pods_server.endpoint, store, backoff_min=60, backoff_max=60):
            eventually(lambda: pods_server.seen)
            time.sleep(0.3)
            began = time.monotonic()
        assert time.monotonic() - began < 2


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
