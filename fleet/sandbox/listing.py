"""Lists: selectors, pages that stay consistent, and their JSON joined from what is at hand.

Source: k8s.io/apiserver/pkg/storage/etcd3/store.go (`GetList`, continue tokens).
"""

import base64
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from . import conversion, errors
from .api import Api
from .codec import read_json
from .resources import Resource
from .selectors import parse_fields, parse_labels
from .store import Object, Record, dumps, name_of

SNAPSHOTS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters that choose what a list or watch shows."""

    namespace: str = ""
    name: str = ""
    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""


@dataclass(slots=True)
class Page:
    records: list[Record]
    revision: int
    continue_token: str = ""
    remaining: int | None = None

    @property
    def meta(self) -> Object:
        meta: Object = {"resourceVersion": str(self.revision)}
        if self.continue_token:
            meta["continue"] = self.continue_token
        if self.remaining is not None:
            meta["remainingItemCount"] = self.remaining
        return meta


@dataclass(slots=True)
class Matcher:
    """Whether an object belongs to a list or watch."""

    query: Query
    kind: str
    _labels: Any = field(init=False)
    _fields: Any = field(init=False)

    def __post_init__(self) -> None:
        self._labels = parse_labels(self.query.label_selector)
        self._fields = parse_fields(self.query.field_selector, self.kind)

    def __call__(self, obj: Object) -> bool:
        meta = obj["metadata"]
        if self.query.namespace and meta.get("namespace") != self.query.namespace:
            return False
        if self.query.name and meta["name"] != self.query.name:
            return False
        return self._labels(meta.get("labels") or {}) and self._fields(obj)


class Lister:
    """Lists one cluster's objects, and remembers the snapshots that pages are cut from."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._snapshots: OrderedDict[str, tuple[int, list[Record]]] = OrderedDict()

    def page(self, resource: Resource, query: Query) -> Page:
        """The matching objects by namespace and name; raises StatusError 400 or 410."""
        if query.continue_token:
            return self._next_page(query)
        matches = Matcher(query, resource.kind)
        store = self.api.store
        records = [r for r in store.records(resource.storage, query.namespace) if matches(r.obj)]
        records.sort(key=lambda record: name_of(record.obj))
        filtered = bool(query.label_selector or query.field_selector)
        return self._cut(store.revision, records, query.limit, secrets.token_hex(8), 0, filtered)

    def _next_page(self, query: Query) -> Page:
        try:
            decoded = base64.urlsafe_b64decode(query.continue_token)
            token, _ = read_json(decoded)
            key, start, filtered = token["snapshot"], int(token["start"]), bool(token["filtered"])
        except (ValueError, KeyError, TypeError) as error:
            text = f"invalid continue token: continue key is not valid: {error}"
            raise errors.bad_request(text) from None
        if key not in self._snapshots:
            raise errors.expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            )
        revision, records = self._snapshots[key]
        return self._cut(revision, records, query.limit, key, start, filtered)

    def _cut(
        self,
        revision: int,
        records: list[Record],
        limit: int,
        key: str,
        start: int,
        filtered: bool,
    ) -> Page:
        end = start + limit if limit else len(records)
        if end >= len(records):
            return Page(records[start:], revision)
        self._snapshots[key] = (revision, records)
        while len(self._snapshots) > SNAPSHOTS_KEPT:
            self._snapshots.popitem(last=False)
        token = dumps({"v": "meta.k8s.io/v1", "snapshot": key, "start": end, "filtered": filtered})
        remaining = None if filtered else len(records) - end
        encoded = base64.urlsafe_b64encode(token).decode()
        return Page(records[start:end], revision, encoded, remaining)


def served_json(record: Record, resource: Resource) -> bytes:
    """An object's JSON in the version asked for; the stored bytes where they are the same."""
    served = conversion.to_served(record.obj, resource)
    return record.json if served is record.obj else dumps(served)


def list_json(resource: Resource, page: Page) -> bytes:
    head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
    opening = dumps({**head, "metadata": page.meta})[:-1]
    items = b",".join(_without_kind(served_json(r, resource), resource) for r in page.records)
    return b'%s,"items":[%s]}' % (opening, items)


def _without_kind(encoded: bytes, resource: Resource) -> bytes:
    """Items of a list do not repeat its kind (custom resources do)."""
    if resource.custom is not None:
        return encoded
    obj = _HEADS.setdefault(resource, _head(resource))
    return b"{" + encoded[len(obj) :] if encoded.startswith(obj) else encoded


def _head(resource: Resource) -> bytes:
    return dumps({"apiVersion": resource.api_version, "kind": resource.kind})[:-1] + b","


_HEADS: dict[Resource, bytes] = {}
