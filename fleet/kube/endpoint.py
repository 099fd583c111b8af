"""How to reach one cluster and as whom: plain values, stored and encrypted by others."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoint:
    """Address and credential of an API server; every `*_pem` is PEM text, never a path.

    `allow_loopback` admits a host *name* that resolves to this machine; a server written as
    `127.0.0.1` or `localhost` needs no permission here (registration has judged it).
    """

    server: str = ""  # https URL
    ca_pem: str = ""  # "" means the system's trust store
    tls_server_name: str = ""
    token: str = field(default="", repr=False)
    client_certificate_pem: str = ""
    client_key_pem: str = field(default="", repr=False)
    in_cluster: bool = False
    allow_loopback: bool = False
