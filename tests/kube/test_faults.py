"""What the gateway makes of servers that refuse, stall, trickle, lie or go away."""

from __future__ import annotations

import socket
import time

import pytest

from fleet.kube import errors
from fleet.kube.connect import Endpoint, gateway_for
from fleet.kube.gateway import Budget, Gateway
from fleet.kube.wire import Limits, Request
from tests.kube.certificates import own_certificate
from tests.kube.faulty_apiserver import (
    TOKEN,
    FaultyApiserver,
    hang_up,
    refuse,
    stall,
    status,
    trickle,
)

POD = "/api/v1/namespaces/shop/pods/web"
POD_OBJECT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"namespace": "shop", "name": "web"},
}


def get(gateway: Gateway) -> dict:
    return gateway.get("v1", "Pod", "shop", "web")


def apply(gateway: Gateway, **kwargs) -> dict:
    return gateway.apply(POD_OBJECT, field_manager="pilothouse", **kwargs)


class TestTime:
    def test_a_silent_server_costs_no_more_than_the_budget(self, server, gateway):
        server.on("GET", POD, stall)
        began = time.monotonic()
        with pytest.raises(errors.Unavailable, match="no answer in time"):
            get(gateway.within(Budget(0.4)))
        assert time.monotonic() - began < 2

    @pytest.mark.parametrize("in_head", [False, True], ids=["body", "head"])
    def test_a_trickling_server_does_not_beat_the_clock(self, server, gateway, in_head):
        server.on("GET", POD, trickle(POD_OBJECT | {"pad": "x" * 5000}, in_head=in_head))
        began = time.monotonic()
        with pytest.raises(errors.Unavailable):
            get(gateway.within(Budget(0.6)))
        assert time.monotonic() - began < 3

    def test_a_spent_budget_sends_nothing(self, server, gateway):
        budget = Budget(0.0)
        with pytest.raises(errors.BudgetSpent):
            get(gateway.within(budget))
        assert server.seen == []

    def test_several_calls_share_one_budget(self, server, gateway):
        server.on("GET", POD, lambda e: (e.wait(0.3), e.send(200, POD_OBJECT)))
        bound = gateway.within(Budget(0.8))
        began = time.monotonic()
        with pytest.raises(errors.Unavailable):
            for _ in range(20):
                get(bound)
        assert time.monotonic() - began < 3
        assert len(server.seen) < 5

    def test_a_port_that_accepts_and_never_shakes_hands_is_unavailable(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            gateway = gateway_for(Endpoint(f"https://127.0.0.1:{silent.getsockname()[1]}"))
            with pytest.raises(errors.Unavailable):
                get(gateway.within(Budget(0.4)))

    def test_a_write_to_a_port_that_never_shakes_hands_did_not_happen(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            gateway = gateway_for(Endpoint(f"https://127.0.0.1:{silent.getsockname()[1]}"))
            with pytest.raises(errors.Unavailable) as caught:
                apply(gateway.within(Budget(0.4)))
        assert not isinstance(caught.value, errors.UnknownOutcome)


class TestSentOnce:
    @pytest.mark.parametrize("fault", [hang_up, stall], ids=["hang_up", "stall"])
    def test_a_write_without_an_answer_has_an_unknown_outcome_and_is_not_repeated(
        self, server, gateway, fault
    ):
        server.on("PATCH", POD, fault)
        with pytest.raises(errors.UnknownOutcome, match="may have happened"):
            apply(gateway.within(Budget(0.5)))
        time.sleep(0.2)
        assert len(server.seen) == 1

    @pytest.mark.parametrize("fault", [hang_up, stall], ids=["hang_up", "stall"])
    def test_a_read_without_an_answer_is_unavailable_and_not_repeated(self, server, gateway, fault):
        server.on("GET", POD, fault)
        with pytest.raises(errors.Unavailable) as caught:
            get(gateway.within(Budget(0.5)))
        time.sleep(0.2)
        assert not isinstance(caught.value, errors.UnknownOutcome)
        assert len(server.seen) == 1

    def test_a_dry_run_leaves_nothing_unknown(self, server, gateway):
        server.on("PATCH", POD, hang_up)
        with pytest.raises(errors.Unavailable) as caught:
            apply(gateway, dry_run=True)
        assert not isinstance(caught.value, errors.UnknownOutcome)

    def test_a_write_that_cannot_connect_did_not_happen(self, server):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(errors.Unavailable, match="refused") as caught:
            apply(gateway_for(Endpoint(f"https://127.0.0.1:{port}", token="t")))
        assert not isinstance(caught.value, errors.UnknownOutcome)

    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_a_server_error_on_a_write_leaves_the_outcome_unknown(self, server, gateway, code):
        server.on("PATCH", POD, refuse(code, "InternalError", "etcd is slow"))
        with pytest.raises(errors.UnknownOutcome, match="etcd is slow"):
            apply(gateway)
        assert len(server.seen) == 1

    @pytest.mark.parametrize("code", [500, 503])
    def test_a_server_error_on_a_read_is_unavailable(self, server, gateway, code):
        server.on("GET", POD, refuse(code, "InternalError", "no leader"))
        with pytest.raises(errors.Unavailable, match="no leader"):
            get(gateway)
        assert len(server.seen) == 1

    def test_redirects_are_not_followed(self, server, gateway):
        elsewhere = {"Location": f"{server.endpoint.server}/metadata"}
        server.on("GET", POD, lambda e: e.send(302, b"", elsewhere))
        with pytest.raises(errors.Unavailable, match="redirect"):
            get(gateway)
        assert server.arrived("GET", "/metadata") == []

    def test_a_write_answered_with_a_redirect_is_not_repeated_elsewhere(self, server, gateway):
        elsewhere = {"Location": f"{server.endpoint.server}/metadata"}
        server.on("PATCH", POD, lambda e: e.send(307, b"", elsewhere))
        with pytest.raises(errors.KubeError, match="redirect"):
            apply(gateway)
        assert len(server.seen) == 1

    def test_the_pool_survives_all_that(self, server, gateway):
        server.on("GET", POD, hang_up, times=1)
        server.on("GET", POD, lambda e: e.send(200, POD_OBJECT))
        with pytest.raises(errors.Unavailable):
            get(gateway)
        assert get(gateway) == POD_OBJECT


class TestOddAnswers:
    @pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[1]", b"", b"[" * 100_000])
    def test_an_answer_that_is_no_object_is_unavailable(self, server, gateway, body):
        server.on("GET", POD, lambda e: e.send(200, body))
        with pytest.raises(errors.Unavailable, match="not that of a Kubernetes API server"):
            get(gateway)

    def test_an_answer_cut_short_is_unavailable(self, server, gateway):
        def cut(exchange):
            exchange.head(200, {"Content-Length": "100000"})
            exchange.write(b'{"kind": "Pod", ')
            exchange.hang_up()

        server.on("GET", POD, cut)
        with pytest.raises(errors.Unavailable):
            get(gateway)

    def test_an_endless_answer_is_given_up(self, server, gateway, monkeypatch):
        monkeypatch.setattr("fleet.kube.wire.MAX_BODY_BYTES", 100_000)
        server.on("GET", POD, lambda e: e.send(200, {"pad": "x" * 200_000}))
        with pytest.raises(errors.Unavailable, match="larger than"):
            get(gateway)

    def test_a_server_with_another_certificate_is_not_trusted(self, server):
        other, _ = own_certificate()
        stranger = Endpoint(server.endpoint.server, ca_pem=other, token=TOKEN)
        with pytest.raises(errors.Unavailable, match="certificate is not trusted"):
            get(gateway_for(stranger))
        assert server.seen == []

    def test_a_certificate_for_another_name_is_not_trusted(self, server):
        e = server.endpoint
        misnamed = Endpoint(e.server, e.ca_pem, tls_server_name="apiserver.example", token=TOKEN)
        with pytest.raises(errors.Unavailable, match="certificate is not trusted"):
            get(gateway_for(misnamed))

    def test_the_tls_server_name_is_the_one_that_is_checked(self, server):
        server.on("GET", "/version", lambda e: e.send(200, {"gitVersion": "v1.36.3"}))
        e = server.endpoint
        named = Endpoint(e.server, e.ca_pem, tls_server_name="localhost", token=TOKEN)
        assert gateway_for(named).version() == {"gitVersion": "v1.36.3"}


class TestRequests:
    """What is on the wire."""

    def test_apply_is_a_server_side_apply(self, server, gateway):
        server.on("PATCH", POD, lambda e: e.send(200, POD_OBJECT))
        assert apply(gateway, force=True, dry_run=True) == POD_OBJECT
        (request,) = server.seen
        assert request.headers["Content-Type"] == "application/apply-patch+yaml"
        assert request.query == {"fieldManager": "pilothouse", "force": "true", "dryRun": "All"}
        assert request.body == POD_OBJECT
        assert request.headers["authorization"] == f"Bearer {TOKEN}"

    def test_patches_reach_subresources(self, server, gateway):
        server.on("PATCH", f"{POD}/resize", lambda e: e.send(200, POD_OBJECT))
        gateway.patch_merge(
            "v1", "Pod", "shop", "web", {"spec": None}, field_manager="p", subresource="resize"
        )
        (request,) = server.seen
        assert request.headers["Content-Type"] == "application/merge-patch+json"
        assert request.body == {"spec": None}

    def test_delete_is_conditional_on_the_uid(self, server, gateway):
        server.on("DELETE", POD, lambda e: e.send(200, status(200, "", "")))
        gateway.delete("v1", "Pod", "shop", "web", uid="u-1", propagation="Foreground")
        assert server.seen[0].body == {
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": "u-1"},
        }

    def test_names_cannot_climb_out_of_their_path(self, server, gateway):
        with pytest.raises(errors.NotFound):
            gateway.get("v1", "Pod", "shop", "../../../nodes/x?y")
        assert server.seen[0].handler.path.endswith("/pods/..%2F..%2F..%2Fnodes%2Fx%3Fy")

    def test_common_kinds_need_no_discovery_and_others_one_request(self, server, gateway):
        listing = {
            "resources": [
                {"name": "httproutes", "kind": "HTTPRoute", "namespaced": True},
                {"name": "httproutes/status", "kind": "HTTPRoute", "namespaced": True},
            ]
        }
        group = "/apis/gateway.networking.k8s.io/v1"
        route = f"{group}/namespaces/shop/httproutes/r"
        server.on("GET", group, lambda e: e.send(200, listing))
        server.on("GET", route, lambda e: e.send(200, {"kind": "HTTPRoute"}))
        for _ in range(2):
            gateway.get("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", "r")
        assert [e.path for e in server.seen] == [group, route, route]
        with pytest.raises(errors.NotFound, match="no kind GRPCRoute"):
            gateway.get("gateway.networking.k8s.io/v1", "GRPCRoute", "shop", "r")

    def test_lists_follow_their_pages(self, server, gateway):
        def page(exchange):
            at = int(exchange.query.get("continue", 0))
            items = [{"metadata": {"name": f"p{n}"}} for n in range(at, at + 2)]
            token = str(at + 2) if at < 4 else ""
            exchange.send(200, {"metadata": {"continue": token}, "items": items})

        server.on("GET", "/api/v1/pods", page)
        found = list(gateway.list("v1", "Pod", label_selector="a=b", limit=2))
        assert [pod["metadata"]["name"] for pod in found] == [f"p{n}" for n in range(6)]
        assert found[0]["kind"] == "Pod"
        assert {e.query["labelSelector"] for e in server.seen} == {"a=b"}

    def test_access_reviews_answer_with_a_verdict(self, server, gateway):
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        server.on("POST", path, lambda e: e.send(201, {"status": {"allowed": True, "reason": "R"}}))
        verdict = gateway.can_i("list", "apps", "deployments", "shop", subresource="scale")
        assert (verdict.allowed, verdict.reason) == (True, "R")
        assert server.seen[0].body["spec"]["resourceAttributes"] == {
            "verb": "list",
            "group": "apps",
            "resource": "deployments",
            "namespace": "shop",
            "subresource": "scale",
        }

    def test_logs_are_text_whatever_the_bytes(self, server, gateway):
        server.on("GET", f"{POD}/log", lambda e: e.send(200, b"caf\xc3\xa9 \xff\n"))
        assert gateway.logs("shop", "web", container="c", tail_lines=5) == "café \ufffd\n"
        assert server.seen[0].query["tailLines"] == "5"

    def test_the_environments_proxy_does_not_dial_for_us(self, server, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        server.on("GET", "/version", lambda e: e.send(200, {"major": "1"}))
        gateway_for.cache_clear()
        assert gateway_for(server.endpoint).version() == {"major": "1"}


def test_a_stream_ends_when_the_caller_leaves(server: FaultyApiserver, gateway: Gateway):
    from fleet.kube.clock import CallPatience
    from fleet.kube.status import Asked

    def endless(exchange):
        exchange.start_stream()
        exchange.event("ADDED", POD_OBJECT)
        exchange.wait()

    server.on("GET", "/api/v1/pods", endless)
    request = Request(Asked("watch", "pods"), "GET", "/api/v1/pods", {"watch": "true"})
    with gateway.wire.stream(request, Limits(), CallPatience(5, 5)) as response:
        assert b"ADDED" in response.read1(65536, decode_content=False)
