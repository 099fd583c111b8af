"""Kubernetes quantities (`500m`, `16Gi`, `2`) as numbers.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

_QUANTITY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII
)
_FACTORS = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip

# Whole accelerators, as their device plugins advertise them.
GPU_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/xe", "gpu.intel.com/i915")


def parse_quantity(text: str | int | float) -> Decimal:
    """The exact value in base units (cores, bytes, pieces). Raises ValueError."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is not a Kubernetes quantity")
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * _FACTORS.get(suffix or "", Decimal(1))


def amounts(resources: Mapping[str, Any] | None) -> dict[str, float | int]:
    """A resource list (`requests`, `allocatable`) as `{cpu_cores, memory_bytes, gpus}`.

    What is absent or unreadable counts as 0: another's odd object must not stop a watch.
    """
    given = resources or {}
    return {
        "cpu_cores": round(float(_lenient(given.get("cpu"))), 3),
        "memory_bytes": int(_lenient(given.get("memory"))),
        "gpus": sum(int(_lenient(given.get(name))) for name in GPU_RESOURCES),
    }


def total(parts: Iterable[Mapping[str, float | int]]) -> dict[str, float | int]:
    """The sum of several `amounts`."""
    found = amounts(None)
    for part in parts:
        for key in found:
            found[key] += part[key]
    found["cpu_cores"] = round(found["cpu_cores"], 3)
    return found


def _lenient(text: Any) -> Decimal:
    return _parsed(str(text))


@lru_cache(maxsize=4096)  # the same few amounts come with every pod
def _parsed(text: str) -> Decimal:
    try:
        return parse_quantity(text)
    except ValueError:
        return Decimal(0)
