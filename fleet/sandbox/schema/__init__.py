"""What every served kind looks like, read from Kubernetes' own OpenAPI documents.

A `Type` is one node of a schema: it knows its fields, how lists merge (strategic merge patch and
server-side apply use the same document but different marks) and which zero values Go writes out.
"""

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

REF_PREFIX = "#/components/schemas/"
GVK = "x-kubernetes-group-version-kind"
FREE_FORM = {"FieldsV1", "RawExtension", "JSON", "JSONSchemaProps", "JSONSchemaPropsOrBool"}
HERE = Path(__file__).parent


@dataclass(slots=True)
class Type:
    """One node of a schema. `shape` is struct, map, list, scalar or any (anything goes)."""

    shape: str
    name: str = ""
    fields: dict[str, "Type"] = field(default_factory=dict)
    element: "Type | None" = None
    scalar: str = ""  # string, integer, number, boolean, int-or-string, quantity, time
    format: str = ""
    atomic: bool = False
    list_keys: tuple[str, ...] = ()  # list type map: the fields that identify an item
    is_set: bool = False
    merge_key: str = ""  # strategic merge patch
    patch_strategy: tuple[str, ...] = ()
    default: Any = None
    omit_zero: bool = False
    null_zero: bool = False
    required: tuple[str, ...] = ()

    def child(self, key: str) -> "Type":
        """The type below `key` of a struct or map; free-form where nothing is known."""
        return self.fields.get(key) or self.element or ANY


ANY = Type("any", atomic=True)


@cache
def definitions() -> dict[str, Any]:
    """OpenAPI v3 `components.schemas`, by upstream's definition name."""
    return json.loads((HERE / "definitions.json").read_text())


@cache
def published_resources() -> dict[str, list[dict[str, Any]]]:
    """Discovery's resource entries by group version (`v1`, `apps/v1`, ...)."""
    return json.loads((HERE / "resources.json").read_text())


@cache
def _definition_names() -> dict[tuple[str, str], str]:
    return {
        (f"{gvk['group']}/{gvk['version']}".lstrip("/"), gvk["kind"]): name
        for name, schema in definitions().items()
        for gvk in schema.get(GVK, [])
        if len(schema[GVK]) == 1
    }


def definition_name(api_version: str, kind: str) -> str:
    """Upstream's name of a kind's definition, "" for kinds that are not built in."""
    return _definition_names().get((api_version, kind), "")


@cache
def type_of(api_version: str, kind: str) -> Type:
    """The schema of a built-in kind, e.g. `type_of("apps/v1", "Deployment")`."""
    name = definition_name(api_version, kind)
    return _named(name) if name else custom_type(None)


_resolved: dict[str, Type] = {}


def _named(name: str) -> Type:
    short = name.rpartition(".")[2]
    if short in FREE_FORM:
        return ANY
    if name not in _resolved:
        # Entered before it is filled, so that a definition may refer to itself.
        node = _resolved[name] = Type("any", name=short)
        built = compile_schema(definitions()[name])
        for slot in Type.__slots__:
            if slot != "name":
                setattr(node, slot, getattr(built, slot))
        if short == "Quantity":
            node.scalar = "quantity"
    return _resolved[name]


def compile_schema(schema: dict[str, Any]) -> Type:
    """Turn one OpenAPI v3 (or CustomResourceDefinition) schema into a `Type`."""
    reference = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
    base = _named(reference.removeprefix(REF_PREFIX)) if reference else _inline(schema)
    marks = _marks(schema)
    return replace(base, **marks) if marks else base


def _inline(schema: dict[str, Any]) -> Type:
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return Type("scalar", scalar="int-or-string")
    if kind == "array":
        return Type("list", element=compile_schema(schema.get("items", {})))
    if kind == "object" or "properties" in schema:
        return _inline_object(schema)
    if kind in ("string", "integer", "number", "boolean"):
        scalar = "time" if schema.get("format") == "date-time" else kind
        return Type("scalar", scalar=scalar, format=schema.get("format", ""))
    if "oneOf" in schema:
        return Type("scalar", scalar="int-or-string")
    return ANY


def _inline_object(schema: dict[str, Any]) -> Type:
    fields = {name: compile_schema(sub) for name, sub in schema.get("properties", {}).items()}
    values = schema.get("additionalProperties")
    element = compile_schema(values) if isinstance(values, dict) else None
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        element = ANY
    if not fields and element is None:
        return ANY
    shape = "struct" if fields else "map"
    required = tuple(schema.get("required", ()))
    return Type(shape, fields=fields, element=element, required=required)


def _marks(schema: dict[str, Any]) -> dict[str, Any]:
    list_type = schema.get("x-kubernetes-list-type")
    marks = {
        "atomic": schema.get("x-kubernetes-map-type") == "atomic" or list_type == "atomic",
        "list_keys": tuple(schema.get("x-kubernetes-list-map-keys", ())),
        "is_set": list_type == "set",
        "merge_key": schema.get("x-kubernetes-patch-merge-key", ""),
        "patch_strategy": tuple(filter(None, schema.get(PATCH_STRATEGY, "").split(","))),
        "default": schema.get("default"),
        "omit_zero": schema.get("x-omit-zero", False),
        "null_zero": schema.get("x-null-zero", False),
    }
    if schema.get("type") == "array" and not (marks["list_keys"] or marks["is_set"]):
        marks["atomic"] = True
    return {name: value for name, value in marks.items() if value not in (None, False, "", ())}


PATCH_STRATEGY = "x-kubernetes-patch-strategy"


def custom_type(schema: dict[str, Any] | None) -> Type:
    """The type of a custom resource: its own schema, with Kubernetes' metadata."""
    meta = _named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    body = compile_schema(schema) if schema else ANY
    text = Type("scalar", scalar="string")
    fields = {**body.fields, "apiVersion": text, "kind": text, "metadata": meta}
    return Type("struct", fields=fields, element=None if body.fields else ANY)
