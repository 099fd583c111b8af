"""Where a cluster may not live, however it is spelled."""

from __future__ import annotations

import pytest

from fleet.kube import addresses


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:0:0:0:0:5601:5601",  # teredo, its client is 169.254.169.254 inverted
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
    ],
)
def test_never_dialled(address):
    assert addresses.refusal(address, allow_loopback=True)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
)
def test_this_machine_is_dialled_only_when_allowed(address):
    assert "this machine" in addresses.refusal(address, allow_loopback=False)
    assert not addresses.refusal(address, allow_loopback=True)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "192.168.49.2", "172.16.0.9", "8.8.8.8", "fd12::1", "2a00:1450::1",
     "::ffff:10.0.0.1", "100.64.0.1"],
)  # fmt: skip
def test_private_and_public_addresses_are_fine(address):
    assert not addresses.refusal(address, allow_loopback=False)


@pytest.mark.parametrize(
    "host", ["2852039166", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "1.2.3.4.", "fe80::1%lo"]
)
def test_spellings_that_only_resolvers_understand_are_no_literals(host):
    with pytest.raises(ValueError):
        addresses.literal(host)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]"])
def test_names_of_this_machine(host):
    assert addresses.names_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "10.0.0.1", "notlocalhost", ""])
def test_names_of_others(host):
    assert not addresses.names_loopback(host)
