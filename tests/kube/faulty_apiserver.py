"""A TLS server that stands in front of an API server and misbehaves on demand.

    with FaultyApiserver(upstream=endpoint_of_a_real_target) as server:
        server.on("GET", r"/api/v1/pods", refuse(500, "InternalError", "boom"), times=1)
        gateway = gateway_for(server.endpoint)

What no rule takes is forwarded to `upstream` (an endpoint, or a function that answers, such as
`StateOfPods.answer`). `seen` records every request that arrived. Faults at the level of bytes are
rules too: `stall`, `trickle`, `hang_up`, `forward_then_hang_up`, `freeze_stream` (half-open).
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fleet.kube.connect import Endpoint
from tests.kube.certificates import own_certificate, tls_context

TOKEN = "letmein"


@dataclass
class Exchange:
    """One request and the means to answer it, well or badly."""

    handler: BaseHTTPRequestHandler
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw_body: bytes
    server: FaultyApiserver
    began: bool = field(default=False)

    @property
    def body(self) -> Any:
        return json.loads(self.raw_body) if self.raw_body else None

    def send(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """A whole answer; anything but bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(code, {"Content-Length": str(len(raw)), **(headers or {})})
        self.write(raw)

    def head(self, code: int, headers: dict[str, str]) -> None:
        self.began = True
        self.handler.send_response(code)
        for key, value in {"Content-Type": "application/json", **headers}.items():
            self.handler.send_header(key, value)
        self.handler.end_headers()

    def write(self, raw: bytes) -> None:
        self.handler.wfile.write(raw)
        self.handler.wfile.flush()

    def start_stream(self) -> None:
        """Begin a chunked answer, as a watch has it."""
        self.head(200, {"Transfer-Encoding": "chunked"})

    def chunk(self, raw: bytes) -> None:
        self.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    def event(self, kind: str, obj: dict[str, Any]) -> None:
        self.chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    def end_stream(self) -> None:
        self.write(b"0\r\n\r\n")

    def forward(self) -> None:
        """Let the upstream answer."""
        self.server.forward(self)

    def hang_up(self) -> None:
        self.handler.close_connection = True
        self.handler.connection.close()

    def wait(self, seconds: float = 3600.0) -> None:
        """Hold the connection open and silent until the server stops."""
        self.server.stopping.wait(seconds)
        self.handler.close_connection = True


Answer = Callable[[Exchange], None]


def refuse(code: int, reason: str, message: str = "", **more: Any) -> Answer:
    """A Status object as API servers send it; `details=` and `headers=` may be given."""
    headers = more.pop("headers", None)

    def answer(exchange: Exchange) -> None:
        exchange.send(code, status(code, reason, message, **more), headers)

    return answer


def status(code: int, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**head, "message": message, "reason": reason, "code": code, **more}


def stall(exchange: Exchange) -> None:
    """Accept the request and never answer."""
    exchange.wait()


def hang_up(exchange: Exchange) -> None:
    """Close the connection without an answer; nothing was done."""
    exchange.hang_up()


def forward_then_hang_up(exchange: Exchange) -> None:
    """Do what was asked, and lose the answer."""
    exchange.server.ask_upstream(exchange)
    exchange.hang_up()


def trickle(body: Any, pause_seconds: float = 0.05, in_head: bool = False) -> Answer:
    """A right answer, one byte at a time: each read succeeds, the whole never ends."""

    def answer(exchange: Exchange) -> None:
        raw = json.dumps(body).encode()
        lead = f"HTTP/1.1 200 OK\r\nContent-Length: {len(raw)}\r\nX-Pad: {'x' * 5000}\r\n\r\n"
        if not in_head:
            exchange.head(200, {"Content-Length": str(len(raw))})
        for byte in lead.encode() if in_head else raw:
            exchange.write(bytes([byte]))
            if exchange.server.stopping.wait(pause_seconds):
                return

    return answer


def freeze_stream(after_bytes: int = 0) -> Answer:
    """Forward a watch, then go silent with the connection open: a half-open socket."""

    def answer(exchange: Exchange) -> None:
        exchange.server.forward(exchange, freeze_after=after_bytes)

    return answer


class FaultyApiserver:
    """See the module. Answers on 127.0.0.1 with a certificate of its own."""

    def __init__(self, upstream: Endpoint | Answer | None = None) -> None:
        self.upstream = upstream
        self.seen: list[Exchange] = []
        self.stopping = threading.Event()
        self._rules: list[tuple[str, re.Pattern[str], Answer, list[int], dict[str, str]]] = []
        self._lock = threading.Lock()
        certificate, key = own_certificate()
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.httpd.daemon_threads = True
        self.httpd.socket = tls_context(certificate, key).wrap_socket(
            self.httpd.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self.httpd.server_address[1]
        self.endpoint = Endpoint(
            server=f"https://127.0.0.1:{self.port}", ca_pem=certificate, token=TOKEN
        )

    def on(
        self,
        method: str,
        path: str,
        answer: Answer,
        *,
        times: int = 10**9,
        query: dict[str, str] | None = None,
    ) -> None:
        """The next `times` requests whose path matches (fully) are answered so; first rule wins."""
        rule = (method, re.compile(path), answer, [times], query or {})
        with self._lock:
            self._rules.append(rule)

    def calm(self) -> None:
        """Drop all rules."""
        with self._lock:
            self._rules.clear()

    def arrived(self, method: str, path: str) -> list[Exchange]:
        return [e for e in self.seen if e.method == method and re.fullmatch(path, e.path)]

    def answer(self, exchange: Exchange) -> None:
        self.seen.append(exchange)
        rule = self._rule_for(exchange)
        if rule:
            rule(exchange)
        else:
            self.forward(exchange)

    def _rule_for(self, exchange: Exchange) -> Answer | None:
        with self._lock:
            for method, path, answer, left, query in self._rules:
                fits = method == exchange.method and path.fullmatch(exchange.path) and left[0]
                if fits and query.items() <= exchange.query.items():
                    left[0] -= 1
                    return answer
        return None

    def forward(self, exchange: Exchange, freeze_after: int | None = None) -> None:
        if self.upstream is None:
            exchange.send(404, status(404, "NotFound", "nothing here"))
        elif isinstance(self.upstream, Endpoint):
            self._relay(exchange, freeze_after)
        else:
            self.upstream(exchange)

    def ask_upstream(self, exchange: Exchange) -> http.client.HTTPResponse:
        upstream = self.upstream
        assert isinstance(upstream, Endpoint)
        url = urlsplit(upstream.server)
        context = ssl.create_default_context(cadata=upstream.ca_pem)
        context.check_hostname = False
        if upstream.client_certificate_pem:
            with tempfile.NamedTemporaryFile("w") as pair:
                pair.write(upstream.client_certificate_pem + "\n" + upstream.client_key_pem)
                pair.flush()
                context.load_cert_chain(pair.name)
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port, context=context, timeout=600
        )
        drop = ("host", "authorization", "connection", "content-length")
        headers = {k: v for k, v in exchange.headers.items() if k.lower() not in drop}
        if upstream.token:
            headers["Authorization"] = f"Bearer {upstream.token}"
        target = exchange.handler.path
        connection.request(exchange.method, target, exchange.raw_body or None, headers)
        return connection.getresponse()

    def _relay(self, exchange: Exchange, freeze_after: int | None) -> None:
        answer = self.ask_upstream(exchange)
        kept = ("content-type", "retry-after")
        headers = {k: v for k, v in answer.getheaders() if k.lower() in kept}
        if exchange.query.get("watch") != "true":
            exchange.send(answer.status, answer.read(), headers)
            return
        exchange.head(answer.status, {**headers, "Transfer-Encoding": "chunked"})
        relayed = 0
        while chunk := answer.read1(65536):
            if freeze_after is not None and relayed + len(chunk) > freeze_after:
                exchange.wait()
                return
            relayed += len(chunk)
            exchange.chunk(chunk)
        exchange.end_stream()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                url = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                exchange = Exchange(
                    self, self.command, url.path, dict(parse_qsl(url.query)),
                    dict(self.headers.items()), self.rfile.read(length), server,
                )  # fmt: skip
                server.answer(exchange)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, *args: Any) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except (OSError, ValueError, http.client.HTTPException):
                    self.close_connection = True  # the client went away, or we hung up

        return Handler

    def __enter__(self) -> FaultyApiserver:
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        self.httpd.shutdown()
        self.httpd.server_close()
