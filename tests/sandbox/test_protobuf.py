"""Bodies in protobuf, as kubectl sends them, mean the same as in JSON."""

import base64

import pytest

from fleet.sandbox.schema import protobuf

# What `kubectl create configmap q --from-literal=a=b` and friends put on the wire.
MAGIC = protobuf.MAGIC


def field(number: int, value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def envelope(api_version: str, kind: str, body: bytes) -> bytes:
    return MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, body)


def test_a_config_map_with_text_and_bytes() -> None:
    text = field(2, field(1, "a") + field(2, "b"))
    binary = field(3, field(1, "c") + field(2, b"\x00\x01"))
    body = field(1, field(1, "q")) + text + binary + field(4, 1)
    assert protobuf.decode(envelope("v1", "ConfigMap", body)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "q"},
        "data": {"a": "b"},
        "binaryData": {"c": base64.b64encode(b"\x00\x01").decode()},
        "immutable": True,
    }


def test_numbers_below_zero_times_and_embedded_messages() -> None:
    secret = field(6, field(1, "keys"))  # VolumeSource.secret, embedded in Volume
    volume = field(1, field(1, "v") + field(2, secret))
    toleration = field(22, field(1, "k") + field(5, -1))
    created = field(8, field(1, 1767225600))
    body = field(1, field(1, "p") + created) + field(2, volume + toleration)
    pod = protobuf.decode(envelope("v1", "Pod", body))
    assert pod["spec"]["volumes"] == [{"name": "v", "secret": {"secretName": "keys"}}]
    assert pod["spec"]["tolerations"] == [{"key": "k", "tolerationSeconds": -1}]
    assert pod["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


def test_integers_or_strings_and_quantities() -> None:
    surge = field(2, field(1, 1) + field(2, 0) + field(3, "25%"))
    unavailable = field(1, field(1, 0) + field(2, 3) + field(3, ""))
    strategy = field(4, field(1, "RollingUpdate") + field(2, unavailable + surge))
    body = field(2, field(1, 2) + strategy)
    spec = protobuf.decode(envelope("apps/v1", "Deployment", body))["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 3}


def test_delete_options_of_any_group() -> None:
    body = field(1, 0) + field(4, "Foreground")
    options = protobuf.decode(envelope("apps/v1", "DeleteOptions", body))
    assert (options["gracePeriodSeconds"], options["propagationPolicy"]) == (0, "Foreground")


@pytest.mark.parametrize(
    "raw", [b"{}", MAGIC + b"\xff", envelope("v1", "Nonsense", b""), MAGIC + field(2, b"x")]
)
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(protobuf.ProtobufError):
        protobuf.decode(raw)
