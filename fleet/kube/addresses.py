"""Which addresses a cluster may live at: private ones may, this host's secrets may not.

A registered `server` makes this process send requests wherever it points, so link-local and cloud
metadata addresses are never dialled, however they are spelled, and loopback only when allowed.
"""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

# Metadata services outside the link-local ranges: AWS (IPv6), Google (IPv6), Alibaba, Oracle.
_METADATA = frozenset(
    ipaddress.ip_address(a)
    for a in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LEGACY_IPV4 = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)


def refusal(address: str, *, allow_loopback: bool) -> str:
    """Why this IP address may not be dialled, or "" if it may."""
    for ip in _meanings(ipaddress.ip_address(address.partition("%")[0])):
        if ip.is_link_local or ip in _METADATA:
            return f"{address} is a link-local or cloud metadata address"
        if ip.is_multicast or (ip.is_reserved and not ip.is_loopback):
            return f"{address} is not the address of a host"
        if (ip.is_loopback or ip.is_unspecified) and not allow_loopback:
            return f"{address} is this machine itself"
    return ""


def literal(host: str) -> Address | None:
    """The IP address that `host` spells, or None for a name.

    Raises ValueError for the old spellings of IPv4 (`127.1`, `0x7f000001`, `2130706433`), which
    resolvers accept and address checks overlook, and for scoped IPv6 addresses.
    """
    if "%" in host:
        raise ValueError("an address with a zone is not accepted")
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if _LEGACY_IPV4.fullmatch(host):
            raise ValueError("write IPv4 addresses as four decimal numbers") from None
        return None


def is_literal(host: str) -> bool:
    """Whether `host` is an IP address in plain notation (a resolver is not needed)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def names_loopback(host: str) -> bool:
    """Whether `host`, as written, plainly means this machine: `localhost`, `127.0.0.1`, `::1`."""
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _meanings(ip: Address) -> list[Address]:
    """The address itself and the IPv4 addresses that an IPv6 one carries inside."""
    if isinstance(ip, IPv4Address):
        return [ip]
    inner = [ip.ipv4_mapped, ip.sixtofour, ip.teredo[1] if ip.teredo else None]
    if ip in _NAT64 or int(ip) >> 32 == 0 and int(ip) > 1:  # NAT64, IPv4-compatible
        inner.append(IPv4Address(int(ip) & 0xFFFFFFFF))
    found = [i for i in inner if i is not None]
    # ::ffff:10.0.0.1 counts as "reserved" by itself; what it carries decides.
    return found or [ip]
