"""Kubernetes quantities: `500m`, `2Gi`, `1e3` as exact numbers, and back.

Source: k8s.io/apimachinery/pkg/api/resource.
"""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}
_PATTERN = re.compile(r"^([+-]?[0-9.]+)([eE][+-]?[0-9]+)?([A-Za-z]*)$")
FORMAT_ERROR = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def parse(text: str | int | float) -> Fraction:
    """The exact value of a quantity in its base unit; raises ValueError with upstream's text."""
    match = _PATTERN.match(str(text))
    if match is None or match[3] not in _SUFFIXES or match[1].count(".") > 1:
        raise ValueError(FORMAT_ERROR)
    return Fraction(Decimal(match[1] + (match[2] or ""))) * _SUFFIXES[match[3]]


@lru_cache(maxsize=4096)
def number(text: str | int) -> float:
    """The value as a float, for sums and comparisons (exact up to 2**53)."""
    return float(parse(text))


@lru_cache(maxsize=4096)
def canonical(text: str | int | float) -> str:
    """The form an API server stores: `0.5` is `500m`, `1000m` is `1`, `2048Mi` is `2Gi`."""
    value = parse(text)
    if str(text).endswith("i") and value.denominator == 1:
        return _largest(value, [f"{letter}i" for letter in "EPTGMK"])
    for suffix in ("", "m", "u", "n"):
        if (value / _SUFFIXES[suffix]).denominator == 1:
            break
    return str(value / _SUFFIXES[suffix]) + suffix if suffix else _largest(value, list("EPTGMk"))


def _largest(value: Fraction, suffixes: list[str]) -> str:
    for suffix in suffixes:
        if value and (value / _SUFFIXES[suffix]).denominator == 1:
            return f"{value / _SUFFIXES[suffix]}{suffix}"
    return str(value)
