"""What a URL path names: a kind, and maybe a namespace, an object and a part of it."""

from dataclasses import dataclass

from . import errors
from .resources import Resource, Resources

_NAMESPACE_PARTS = {"status", "finalize"}


class UnknownPath(Exception):
    """A path of no API group: answered in plain text, as upstream does."""


@dataclass(frozen=True, slots=True)
class Target:
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_path(path: str, resources: Resources) -> Target | None:
    """The target of an API path, None for discovery paths; raises StatusError 404."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
    if not resources.in_group_version(group, version):
        raise UnknownPath(path)
    resource = resources.find(group, version, rest[0])
    if resource is None or len(rest) > 3:
        raise errors.page_not_found()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        raise errors.page_not_found()
    return Target(resource, namespace, name, subresource)
