"""Dialling: addresses are judged at the moment of connecting, keys never touch a disk."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet.kube import errors, tls
from fleet.kube.connect import Endpoint, credential_expires_at, gateway_for
from fleet.kube.gateway import Budget
from tests.kube.certificates import own_certificate
from tests.kube.faulty_apiserver import FaultyApiserver


class TestNamesThatResolveElsewhere:
    def resolve_to(self, monkeypatch, *addresses: str) -> None:
        def getaddrinfo(host, port, *args, **kwargs):
            family = {True: socket.AF_INET6, False: socket.AF_INET}
            return [
                (family[":" in a], socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses
            ]  # fmt: skip

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    def ask(self, server: str, **settings: object) -> dict:
        return gateway_for(Endpoint(server, token="t", **settings)).within(Budget(2)).version()

    @pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"])
    def test_link_local_is_not_dialled(self, monkeypatch, address):
        self.resolve_to(monkeypatch, address)
        with pytest.raises(errors.Unavailable, match="may not be dialled"):
            self.ask("https://cluster.example.com", allow_loopback=True)

    def test_one_bad_address_among_good_ones_is_enough(self, monkeypatch, server):
        self.resolve_to(monkeypatch, "127.0.0.1", "169.254.169.254")
        with pytest.raises(errors.Unavailable, match="may not be dialled"):
            self.ask(f"https://cluster.example.com:{server.port}", allow_loopback=True)
        assert server.seen == []

    def test_a_name_that_turns_to_this_machine_is_not_dialled(self, monkeypatch, server):
        self.resolve_to(monkeypatch, "127.0.0.1")
        with pytest.raises(errors.Unavailable, match="this machine itself"):
            self.ask(f"https://cluster.example.com:{server.port}")
        assert server.seen == []

    def test_unless_that_is_allowed(self, monkeypatch, server):
        self.resolve_to(monkeypatch, "127.0.0.1")
        server.on("GET", "/version", lambda e: e.send(200, {"major": "1"}))
        answer = self.ask(
            f"https://cluster.example.com:{server.port}",
            ca_pem=server.endpoint.ca_pem,
            tls_server_name="localhost",
            allow_loopback=True,
        )
        assert answer == {"major": "1"}

    def test_the_second_address_is_tried_when_the_first_refuses(self, monkeypatch, server):
        self.resolve_to(monkeypatch, "::1", "127.0.0.1")
        server.on("GET", "/version", lambda e: e.send(200, {"major": "1"}))
        answer = self.ask(f"https://localhost:{server.port}", ca_pem=server.endpoint.ca_pem)
        assert answer == {"major": "1"}

    def test_the_address_that_was_judged_is_the_one_that_is_dialled(self, monkeypatch, server):
        """DNS rebinding: a good answer when asked first, another one when asked again."""
        answers = iter(["127.0.0.1"])

        def getaddrinfo(host, port, *args, **kwargs):
            address = next(answers, "127.0.0.66") if host == "rebinding.example" else host
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        server.on("GET", "/version", lambda e: e.send(200, {"major": "1"}))
        answer = self.ask(
            f"https://rebinding.example:{server.port}",
            ca_pem=server.endpoint.ca_pem,
            tls_server_name="localhost",
            allow_loopback=True,
        )
        assert answer == {"major": "1"}

    def test_a_name_server_that_hangs_is_unavailable(self, monkeypatch):
        release = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: release.wait(30) and [])
        with pytest.raises(errors.Unavailable, match="in time"):
            gateway_for(Endpoint("https://slow.example", token="t")).within(Budget(0.3)).version()
        release.set()

    def test_an_unknown_name_is_unavailable(self, monkeypatch):
        def unknown(*args, **kwargs):
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(errors.Unavailable, match="nowhere.example"):
            self.ask("https://nowhere.example")


def open_files() -> list[str]:
    fds = Path("/proc/self/fd").iterdir()
    return [os.readlink(fd) for fd in fds if fd.is_symlink()]


class TestClientCertificates:
    @pytest.fixture
    def strict_server(self):
        """Demands a client certificate, and tells whose it was."""
        with FaultyApiserver() as faulty:
            certificate, key = own_certificate(common_name="pilothouse")
            context = faulty.httpd.socket.context
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=certificate)

            def who(exchange):
                subject = exchange.handler.connection.getpeercert()["subject"]
                exchange.send(200, {"name": subject[0][0][1]})

            faulty.on("GET", "/version", who)
            yield faulty, certificate, key

    def test_they_sign_in_without_a_file(self, strict_server, monkeypatch):
        faulty, certificate, key = strict_server
        opened: list[str] = []
        watching = True

        def audit(event: str, args: tuple) -> None:
            if watching and event == "open" and "w" in str(args[1] or ""):
                opened.append(str(args[0]))

        sys.addaudithook(audit)
        endpoint = Endpoint(
            faulty.endpoint.server,
            faulty.endpoint.ca_pem,
            client_certificate_pem=certificate,
            client_key_pem=key,
        )
        assert gateway_for(endpoint).version() == {"name": "pilothouse"}
        watching = False
        assert opened == []
        assert not [path for path in open_files() if "memfd" in path], "closed again"

    def test_without_one_the_cluster_is_unavailable(self, strict_server):
        faulty, _, _ = strict_server
        with pytest.raises(errors.Unavailable):
            gateway_for(faulty.endpoint).version()


class TestBadCredentials:
    def test_a_ca_that_is_no_certificate(self):
        with pytest.raises(errors.BadCredentials):
            gateway_for(Endpoint("https://10.0.0.1", ca_pem="nonsense"))

    def test_a_key_of_another_certificate(self):
        certificate, _ = own_certificate()
        _, key = own_certificate()
        with pytest.raises(errors.BadCredentials):
            gateway_for(
                Endpoint("https://10.0.0.1", client_certificate_pem=certificate, client_key_pem=key)
            )

    def test_a_token_that_would_break_the_header(self):
        with pytest.raises(errors.BadCredentials):
            gateway_for(Endpoint("https://10.0.0.1", token="a\r\nX-Evil: 1"))

    def test_in_cluster_outside_of_a_cluster(self):
        with pytest.raises(errors.BadCredentials, match="not running inside a cluster"):
            gateway_for(Endpoint(in_cluster=True))


def test_inside_a_cluster_the_mounted_files_serve(server, tmp_path, monkeypatch):
    (tmp_path / "token").write_text("mounted")
    (tmp_path / "ca.crt").write_text(server.endpoint.ca_pem)
    monkeypatch.setattr("fleet.kube.wire.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("fleet.kube.wire.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    server.on("GET", "/version", lambda e: e.send(200, {"major": "1"}))
    gateway_for.cache_clear()
    assert gateway_for(Endpoint(in_cluster=True)).version() == {"major": "1"}
    assert server.seen[0].headers["authorization"].lower() == "bearer mounted"
    gateway_for.cache_clear()


def test_one_gateway_per_endpoint_and_none_shared_with_a_fork(server):
    assert gateway_for(server.endpoint) is gateway_for(server.endpoint)
    script = (
        "import os\nfrom fleet.kube.connect import *\ne = Endpoint('https://10.0.0.1', token='t')\n"
        "g = gateway_for(e)\npid = os.fork()\n"
        "if not pid: os._exit(0 if gateway_for.cache_info().currsize == 0 else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=True
    )
    assert done.stdout.strip() == b"0"


def jwt(claims: object) -> str:
    raw = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{raw}.sig"


class TestExpiry:
    def test_of_a_token(self):
        end = datetime(2030, 1, 2, tzinfo=UTC)
        token = jwt({"exp": int(end.timestamp())})
        assert credential_expires_at(Endpoint("https://x", token=token)) == end

    def test_of_a_certificate(self):
        certificate, key = own_certificate(days=10)
        endpoint = Endpoint("https://x", client_certificate_pem=certificate, client_key_pem=key)
        left = credential_expires_at(endpoint) - datetime.now(UTC)
        assert timedelta(days=9) < left < timedelta(days=11)

    def test_the_earlier_of_both(self):
        certificate, key = own_certificate(days=10)
        token = jwt({"exp": 1_000_000_000})
        endpoint = Endpoint(
            "https://x", token=token, client_certificate_pem=certificate, client_key_pem=key
        )
        assert credential_expires_at(endpoint) == datetime.fromtimestamp(1_000_000_000, UTC)

    @pytest.mark.parametrize(
        "token",
        ["", "opaque", "a.b.c", jwt([]), jwt({"exp": "x"}), jwt({"exp": 1e99}), jwt({}), "a.é.c"],
    )
    def test_unknown(self, token):
        assert credential_expires_at(Endpoint("https://x", token=token)) is None


def test_the_client_resends_nothing_by_its_own_settings(server):
    pools = gateway_for(server.endpoint).wire._client.rest_client.pool_manager
    assert pools.connection_pool_kw["retries"].total is False
    assert isinstance(pools.connection_pool_kw["ssl_context"], ssl.SSLContext)
    assert pools.connection_pool_kw["ssl_context"].sslsocket_class is tls.PatientSocket
