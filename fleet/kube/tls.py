"""TLS connections of our own making, put under the official client's urllib3 pool.

Three things the pool cannot do: key material that never touches a disk, addresses checked at the
moment of dialling (a name may resolve elsewhere than when it was registered), and reads that obey
the caller's clock.
"""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from fleet.kube import addresses
from fleet.kube.clock import current_patience
from fleet.kube.endpoint import Endpoint
from fleet.kube.errors import BadCredentials

BUFFER_BYTES = 64 * 1024


class PatientSocket(ssl.SSLSocket):
    """An SSL socket that asks the thread's `Patience` how long each read or write may block."""

    def makefile(self, mode: str = "r", buffering: int | None = None, **kwargs: Any) -> Any:
        # A watch event and its framing then fit one read: a third of the reads.
        return super().makefile(mode, buffering or BUFFER_BYTES, **kwargs)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        waiting = current_patience()
        if waiting is None:
            return super().recv_into(*args, **kwargs)
        while True:
            self.settimeout(waiting.next_wait(self))
            try:
                return super().recv_into(*args, **kwargs)
            except (TimeoutError, ssl.SSLWantReadError):
                waiting.on_quiet()

    def send(self, *args: Any, **kwargs: Any) -> int:
        waiting = current_patience()
        if waiting is None:
            return super().send(*args, **kwargs)
        self.settimeout(waiting.next_wait(self))
        sent = super().send(*args, **kwargs)
        waiting.on_sent()
        return sent


def context_for(endpoint: Endpoint, ca_file: str | None = None) -> ssl.SSLContext:
    """The TLS settings of an endpoint. Raises BadCredentials when its PEM texts do not serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As Go does: what the kubeconfig trusts is trusted, be it a root, an intermediate or a leaf.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.sslsocket_class = PatientSocket
    try:
        if endpoint.ca_pem or ca_file:
            context.load_verify_locations(cafile=ca_file, cadata=endpoint.ca_pem or None)
        else:
            context.load_default_certs()
        if endpoint.client_certificate_pem:
            _load_client_certificate(context, endpoint)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise BadCredentials(
            f"the endpoint's certificates or key cannot be used: {error}"
        ) from None
    return context


def _load_client_certificate(context: ssl.SSLContext, endpoint: Endpoint) -> None:
    """OpenSSL takes a key from a path only, so the path leads into memory, for a moment."""
    memory = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        pem = f"{endpoint.client_certificate_pem}\n{endpoint.client_key_pem}\n".encode()
        os.write(memory, pem)
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=lambda: "")
    finally:
        os.close(memory)


def pool_class_for(server: str, *, allow_loopback: bool) -> type[HTTPSConnectionPool]:
    """A connection pool whose connections dial only addresses that this server may have."""
    host_is_loopback = addresses.names_loopback(urlsplit(server).hostname or "")

    class Connection(_GuardedConnection):
        loopback_is_fine = allow_loopback or host_is_loopback

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


class _GuardedConnection(HTTPSConnection):
    """Resolves once, judges every answer, then dials exactly the addresses that were judged."""

    loopback_is_fine = False

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        found = self._judged_addresses(name)
        try:
            return self._first_that_answers(found)
        finally:
            self._dns_host = name

    def _judged_addresses(self, name: str) -> list[str]:
        found = _resolve(name, self.port, self._seconds())
        if isinstance(found, TimeoutError):
            raise ConnectTimeoutError(self, f"the name {name} was not resolved in time")
        if isinstance(found, OSError):
            raise NameResolutionError(name, self, found)  # type: ignore[arg-type]
        for address in found:
            if why := addresses.refusal(address, allow_loopback=self.loopback_is_fine):
                raise NewConnectionError(self, f"{name} may not be dialled: {why}")
        return found

    def _first_that_answers(self, found: list[str]) -> socket.socket:
        for address in found[:-1]:
            self._dns_host = address
            try:
                return super()._new_conn()
            except NewConnectionError:
                continue  # refused at this address; a time-out is final, it has used the time up
        self._dns_host = found[-1]
        return super()._new_conn()

    def _seconds(self) -> float:
        return self.timeout if isinstance(self.timeout, int | float) else 3.0


def _resolve(name: str, port: int, seconds: float) -> list[str] | OSError:
    """All addresses of a name. getaddrinfo has no time-out, so it waits in its own thread."""
    if addresses.is_literal(name):
        return [name.strip("[]")]
    answer: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(info[4][0]) for info in infos)))
        except (OSError, UnicodeError) as error:
            answer.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=look_up, name=f"resolve-{name}", daemon=True).start()
    try:
        return answer.get(timeout=seconds)
    except queue.Empty:
        return TimeoutError()
