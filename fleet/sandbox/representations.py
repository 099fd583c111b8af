"""The forms an answer can take: the object itself, a table of it, or its metadata alone.

Source: k8s.io/apiserver/pkg/endpoints/handlers/response.go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from . import conversion, errors, listing, tables
from .listing import Page
from .resources import Resource
from .store import Object, Record, dumps

_MEDIA = ("application/json", "application/*", "*/*")
_VERSIONS = ("v1", "v1beta1")


@dataclass(frozen=True, slots=True)
class Representation:
    """`kind` is Table, PartialObjectMetadata(List), or "" for the object itself."""

    now: datetime
    kind: str = ""
    version: str = "v1"
    include: str = "Metadata"  # of a table's rows: Metadata, Object or None

    @property
    def _api_version(self) -> str:
        return f"meta.k8s.io/{self.version}"

    def _table(self, resource: Resource, objects: list[Object], meta: Object) -> Object:
        rows = [tables.row(resource, obj, self.now, self.include) for obj in objects]
        return tables.table(resource, rows, meta) | {"apiVersion": self._api_version}

    def _metadata(self, obj: Object) -> Object:
        return tables.partial(obj) | {"apiVersion": self._api_version}

    def of_list(self, resource: Resource, page: Page) -> bytes:
        """The body of a list."""
        if not self.kind:
            return listing.list_json(resource, page)
        objects = [record.obj for record in page.records]
        if self.kind == "Table":
            return dumps(self._table(resource, objects, page.meta))
        items = [self._metadata(obj) for obj in objects]
        head = {"kind": "PartialObjectMetadataList", "apiVersion": self._api_version}
        return dumps({**head, "metadata": page.meta, "items": items})

    def of_object(self, resource: Resource, obj: Object) -> Object:
        """The body of one object."""
        served = conversion.to_served(obj, resource)
        if self.kind == "Table":
            revision = obj["metadata"].get("resourceVersion", "")
            return self._table(resource, [obj], {"resourceVersion": revision})
        return self._metadata(served) if self.kind else served

    def encoder(self, resource: Resource) -> Callable[[Record], bytes]:
        """How a watch writes each object."""
        if not self.kind:
            return lambda record: listing.served_json(record, resource)
        return lambda record: dumps(self.of_object(resource, record.obj))


def wanted(request: web.Request, now: datetime) -> Representation:
    """The first form the client accepts that there is; raises StatusError 406."""
    for choice in request.headers.get("Accept", "*/*").split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        if media not in _MEDIA:
            continue
        named = dict(p.partition("=")[::2] for p in parameters)
        if "as" not in named:
            return Representation(now)
        if named.get("v") in _VERSIONS:
            include = request.query.get("includeObject", "Metadata")
            return Representation(now, named["as"], named["v"], include)
    raise errors.not_acceptable()
