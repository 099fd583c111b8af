"""Pages of lists, read object by object."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kube import errors
from fleet.kube.listing import Page
from fleet.kube.status import Asked

ASKED = Asked("list", "pods")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def page(value: object, **style: object) -> Page:
    return Page(json.dumps(value, **style).encode(), ASKED)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=5),
    st.dictionaries(st.text(max_size=6), JSON, max_size=4),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_it_reads_what_the_json_module_reads(items, others, indent, metadata_last):
    meta = {"resourceVersion": "7", "continue": "c"}
    parts = [("metadata", meta), ("items", items)]
    body = {**others, **dict(reversed(parts) if metadata_last else parts)}
    read = page(body, indent=indent, ensure_ascii=False)
    assert list(read.items()) == items
    assert (read.resource_version, read.next_token) == ("7", "c")


def test_the_token_can_be_had_without_reading_the_items():
    assert page({"items": [{}] * 3, "metadata": {"continue": "c"}}).next_token == "c"


def test_no_items_at_all_is_an_empty_list():
    assert list(page({"metadata": {}, "items": None}).items()) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b'{"kind": "Status"}', b'{"items": [', b'{"items": [{}', b"<html>",
     b'{"items" 1}', b'{"items": [{},', b'{"a": 1 "items": []}', b"\xff", b'{"items": [{"a"}]}',
     b'{"items": ' + b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_list_is_no_empty_cluster(body):
    with pytest.raises(errors.Unavailable, match="not a list"):
        list(Page(body, ASKED).items())


@settings(deadline=None)
@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,items0 ').map(str.encode))
def test_no_bytes_raise_anything_else(body):
    with contextlib.suppress(errors.Unavailable):
        list(Page(body, ASKED).items())
