"""Kubernetes' numbers."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kube.quantities import amounts, parse_quantity, total


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"), ("2", "2"), ("500m", "0.5"), ("1.5", "1.5"), (".5", "0.5"), ("5.", "5"),
        ("16Gi", str(16 * 2**30)), ("128974848", "128974848"), ("129e6", "129000000"),
        ("129M", "129000000"), ("123Mi", str(123 * 2**20)), ("1e3", "1000"), ("1E", str(10**18)),
        ("1Ei", str(2**60)), ("100u", "0.0001"), ("250n", "2.5e-7"), ("-1", "-1"), (3, "3"),
        ("1E2", "100"), ("1k", "1000"),
    ],
)  # fmt: skip
def test_values(text, value):
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", " ", "x", "1 Gi", "1gi", "1K", "Gi", "1e", "1e9999", "--1", "1_000", "٣", "nan",
             "inf", None, True]
)  # fmt: skip
def test_what_is_none(text):
    with pytest.raises(ValueError):
        parse_quantity(text)


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert parse_quantity(text).is_finite()


def test_amounts_of_a_node():
    given_ = {"cpu": "3920m", "memory": "15Gi", "nvidia.com/gpu": "4", "pods": "110"}
    assert amounts(given_) == {"cpu_cores": 3.92, "memory_bytes": 15 * 2**30, "gpus": 4}


def test_totals_add_up():
    parts = [amounts({"cpu": "100m"}), amounts({"cpu": "200m", "amd.com/gpu": "2"})]
    assert total(parts) == {"cpu_cores": 0.3, "memory_bytes": 0, "gpus": 2}
