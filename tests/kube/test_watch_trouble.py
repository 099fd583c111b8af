"""A watch in trouble: it resumes where it was, says so, asks ever less, and stops when told."""

from __future__ import annotations

import threading
import time

import pytest

from tests.kube.faulty_apiserver import FaultyApiserver, hang_up, refuse, stall, status, trickle
from tests.kube.state_of_pods import StateOfPods
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


class TestRights:
    @pytest.mark.parametrize(
        "refusal", [refuse(403, "Forbidden", "no"), refuse(404, "NotFound", "no such kind")]
    )
    def test_what_may_not_be_watched_is_said_to_be_forbidden(
        self, pods, pods_server, store, refusal
    ):
        pods_server.on("GET", LIST, refusal)
        with running(pods_server.endpoint, store):
            eventually(lambda: "forbidden" in [state for state, _ in store.states])
            pods_server.calm()  # the right was granted
            eventually(lambda: store.states[-1] == ("live", ""))

    def test_a_credential_for_one_namespace_watches_that_one(self, pods, pods_server, store):
        with running(pods_server.endpoint, store, namespace="speech"):
            eventually(lambda: watches(pods_server))
        assert {e.path for e in pods_server.seen} == {"/api/v1/namespaces/speech/pods"}


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
