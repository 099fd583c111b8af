"""What a cluster says about itself: versions, API groups, resource lists, OpenAPI.

Source: k8s.io/apiserver/pkg/endpoints/discovery (also the aggregated form).
"""

import hashlib
import json
from typing import Any

from .resources import Resource, Resources
from .routes import UnknownPath
from .schema import GVK, definition_name, definitions

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3+sandbox",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_QUERY = [
    {"name": name, "in": "query", "schema": {"type": "string"}}
    for name in ("dryRun", "fieldManager", "fieldValidation")
]
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def api_versions(address: str) -> dict[str, Any]:
    cidr = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": cidr}


def group_list(resources: Resources) -> dict[str, Any]:
    groups = [_group(g, vs) for g, vs in resources.group_versions().items() if g]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    entries = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def group(resources: Resources, name: str) -> dict[str, Any]:
    versions = resources.group_versions().get(name)
    if not versions:
        raise UnknownPath(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(resources: Resources, group_name: str, version: str) -> dict[str, Any]:
    served = resources.in_group_version(group_name, version)
    if not served:
        raise UnknownPath(f"{group_name}/{version}")
    entries: list[dict[str, Any]] = []
    for resource in served:
        entries.append(_entry(resource))
        entries += [_subentry(resource, name, sub) for name, sub in resource.subresources.items()]
    group_version = served[0].api_version
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version}
    return head | {"resources": entries}


def _entry(resource: Resource) -> dict[str, Any]:
    entry = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.storage_hash:
        entry["storageVersionHash"] = resource.storage_hash
    return entry


def _subentry(resource: Resource, name: str, sub: dict[str, Any]) -> dict[str, Any]:
    entry = {"name": f"{resource.plural}/{name}", "singularName": ""}
    return (
        entry
        | {"namespaced": resource.namespaced}
        | {key: sub[key] for key in ("group", "version", "kind", "verbs") if key in sub}
    )


def aggregated(resources: Resources, core: bool) -> dict[str, Any]:
    """APIGroupDiscoveryList (apidiscovery.k8s.io/v2): everything in one answer."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None} if name else {},
            "versions": [_aggregated_version(resources, name, v) for v in versions],
        }
        for name, versions in resources.group_versions().items()
        if bool(name) != core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_version(resources: Resources, name: str, version: str) -> dict[str, Any]:
    entries = [_aggregated_resource(r) for r in resources.in_group_version(name, version)]
    return {"version": version, "resources": entries, "freshness": "Current"}


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": _kind(
                    sub.get("group", resource.group),
                    sub.get("version", resource.version),
                    sub["kind"],
                ),
                "verbs": sub["verbs"],
            }
            for name, sub in resource.subresources.items()
        ]
    return entry


def _kind(group_name: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group_name, "version": version, "kind": kind}


def openapi_index(resources: Resources) -> dict[str, Any]:
    """/openapi/v3: one document per group version, named by its content."""
    paths: dict[str, Any] = {}
    for name, versions in resources.group_versions().items():
        for version in versions:
            path = f"apis/{name}/{version}" if name else f"api/{version}"
            served = sorted(r.kind for r in resources.in_group_version(name, version))
            digest = hashlib.sha256(json.dumps(served).encode()).hexdigest()[:32].upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def openapi_document(resources: Resources, path: str) -> dict[str, Any]:
    """One group version's OpenAPI v3: every schema, and the patch operation of every kind."""
    parts = path.split("/")
    group_name, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[-1])
    served = resources.in_group_version(group_name, version)
    if not served:
        raise UnknownPath(path)
    schemas = dict(definitions())
    for resource in served:
        if resource.custom is not None:
            schemas[_custom_name(resource)] = _custom_schema(resource)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {f"/{path}{_tail(r)}": _operations(r) for r in served},
        "components": {"schemas": schemas},
    }


def _custom_name(resource: Resource) -> str:
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def _custom_schema(resource: Resource) -> dict[str, Any]:
    assert resource.custom is not None
    schema = resource.custom.get("schema", {}).get("openAPIV3Schema", {"type": "object"})
    return schema | {GVK: [_kind(resource.group, resource.version, resource.kind)]}


def _tail(resource: Resource) -> str:
    return f"/{'namespaces/{namespace}/' if resource.namespaced else ''}{resource.plural}/{{name}}"


def _operations(resource: Resource) -> dict[str, Any]:
    kind = {GVK: _kind(resource.group, resource.version, resource.kind)}
    name = definition_name(resource.api_version, resource.kind) or _custom_name(resource)
    schema = {"$ref": f"#/components/schemas/{name}"}
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}
    body = {"content": {content_type: {"schema": {"type": "object"}} for content_type in _PATCHES}}
    return {
        "get": {"responses": answer, "x-kubernetes-action": "get", **kind},
        "patch": {
            "parameters": _QUERY,
            "requestBody": body,
            "responses": answer,
            "x-kubernetes-action": "patch",
            **kind,
        },
    }


def openapi_v2(resources: Resources) -> dict[str, Any]:
    """A thin /openapi/v2: the definitions, for clients that still ask for them."""
    text = json.dumps(definitions()).replace("#/components/schemas/", "#/definitions/")
    paths: dict[str, Any] = {}
    for resource in resources:
        prefix = f"/apis/{resource.group}" if resource.group else "/api"
        paths[f"{prefix}/{resource.version}{_tail(resource)}"] = {
            "patch": {
                "parameters": [
                    {"name": p["name"], "in": "query", "type": "string", "uniqueItems": True}
                    for p in _QUERY
                ],
                "responses": {"200": {"description": "OK"}},
                GVK: _kind(resource.group, resource.version, resource.kind),
            }
        }
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"swagger": "2.0", "info": info, "paths": paths, "definitions": json.loads(text)}
