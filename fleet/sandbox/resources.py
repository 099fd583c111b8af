"""The kinds a cluster serves: the built-in ones, and those its CustomResourceDefinitions add."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .schema import Type, custom_type, published_resources, type_of

# Kinds that live on another kind's shelf: (group, plural) -> (group, plural, stored version).
SHARED_STORAGE = {("events.k8s.io", "events"): "events"}
STORED_VERSION = {"autoscaling/horizontalpodautoscalers": "v2"}
ANSWER_ONLY = {  # created, answered, never stored
    *("selfsubjectaccessreviews", "subjectaccessreviews", "localsubjectaccessreviews"),
    *("selfsubjectrulesreviews", "tokenreviews", "selfsubjectreviews", "bindings"),
}


@dataclass(frozen=True)
class Resource:
    """One kind at one version, as discovery lists it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    storage_hash: str = ""  # tells clients whether stored objects have changed their form
    subresources: dict[str, dict[str, Any]] = field(default_factory=dict)
    custom: dict[str, Any] | None = None  # a CustomResourceDefinition's version entry

    @cached_property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def storage(self) -> str:
        """The store's shelf, the same for all versions of a kind."""
        shared = SHARED_STORAGE.get((self.group, self.plural))
        return shared or (f"{self.group}/{self.plural}" if self.group else self.plural)

    @cached_property
    def schema(self) -> Type:
        if self.custom is not None:
            return custom_type(self.custom.get("schema", {}).get("openAPIV3Schema"))
        return type_of(self.api_version, self.kind)

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    def __hash__(self) -> int:
        return hash((self.group, self.version, self.plural))


def _built_in() -> Iterator[Resource]:
    for api_version, entries in published_resources().items():
        group, _, version = api_version.rpartition("/")
        for entry in entries:
            if "/" not in entry["name"]:
                yield _resource(group, version, entry, entries)


UNSERVED = {
    ("serviceaccounts", "token"),
    ("pods", "exec"),
    ("pods", "attach"),
    ("pods", "portforward"),
    ("pods", "proxy"),
    ("services", "proxy"),
    ("nodes", "proxy"),
    ("pods", "ephemeralcontainers"),
    ("pods", "resize"),
}


def _resource(
    group: str, version: str, entry: dict[str, Any], entries: list[dict[str, Any]]
) -> Resource:
    prefix = entry["name"] + "/"
    return Resource(
        group=group,
        version=version,
        plural=entry["name"],
        kind=entry["kind"],
        namespaced=entry["namespaced"],
        singular=entry.get("singularName", ""),
        verbs=tuple(entry["verbs"]),
        short_names=tuple(entry.get("shortNames", ())),
        categories=tuple(entry.get("categories", ())),
        storage_hash=entry.get("storageVersionHash", ""),
        subresources={
            sub["name"].removeprefix(prefix): sub
            for sub in entries
            if sub["name"].startswith(prefix)
            and (entry["name"], sub["name"].removeprefix(prefix)) not in UNSERVED
        },
    )


class Resources:
    """Looks kinds up by path and by kind; one per cluster, since CRDs differ."""

    def __init__(self) -> None:
        self._by_path = {(r.group, r.version, r.plural): r for r in _built_in()}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        for resource in self._by_path.values():
            if resource.kind == kind and resource.api_version == api_version:
                return resource
        return None

    def stored(self, storage: str) -> Resource | None:
        """The version in which a shelf's objects are kept."""
        candidates = [r for r in self._by_path.values() if r.storage == storage]
        wanted = STORED_VERSION.get(storage)
        for resource in candidates:
            if resource.version == wanted or (not wanted and not _is_guest(resource)):
                return resource
        return None

    def group_versions(self) -> dict[str, list[str]]:
        """Served versions by group, preferred first, in upstream's order."""
        found: dict[str, list[str]] = {}
        for resource in self._by_path.values():
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return found

    def in_group_version(self, group: str, version: str) -> list[Resource]:
        return [r for r in self._by_path.values() if (r.group, r.version) == (group, version)]

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._by_path.values()))

    def define(self, definition: dict[str, Any]) -> None:
        """Serve (again) what a CustomResourceDefinition declares."""
        self.forget(definition)
        spec = definition["spec"]
        for version in spec["versions"]:
            if version.get("served", True):
                resource = _custom(spec, version)
                self._by_path[resource.group, resource.version, resource.plural] = resource

    def forget(self, definition: dict[str, Any]) -> None:
        spec = definition["spec"]
        for key in [k for k in self._by_path if (k[0], k[2]) == (spec["group"], _plural(spec))]:
            del self._by_path[key]


def _is_guest(resource: Resource) -> bool:
    return (resource.group, resource.plural) in SHARED_STORAGE


def _plural(spec: dict[str, Any]) -> str:
    return spec["names"]["plural"]


def _storage_hash(kind: str) -> str:
    return base64.b64encode(hashlib.sha256(kind.encode()).digest()[:8]).decode()


def _custom(spec: dict[str, Any], version: dict[str, Any]) -> Resource:
    names = spec["names"]
    stored = next(v["name"] for v in spec["versions"] if v.get("storage"))
    subresources = {
        name: {"kind": names["kind"], "verbs": ["get", "patch", "update"]}
        for name in version.get("subresources", {})
    }
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular", names["kind"].lower()),
        verbs=("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"),
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        storage_hash=_storage_hash(f"{spec['group']}/{stored}/{names['kind']}"),
        subresources=subresources,
        custom=version,
    )
