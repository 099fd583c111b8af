"""Rebuild the data files beside this module from a Kubernetes source tree.

`definitions.json` holds the OpenAPI v3 schemas of the served kinds (descriptions left out), and
`resources.json` what discovery says about them; both are Kubernetes' own published data
(`api/openapi-spec/v3`, `api/discovery`), so the sandbox knows the same fields, defaults, merge keys
and verbs as a real API server. `protobuf.json` is the field numbers of `generated.proto`: `kubectl`
and the Go clients send bodies in that form.

Two marks are added from the Go types (`k8s.io/api`, `k8s.io/apimachinery`): `x-omit-zero` on a
scalar that Go leaves out of the JSON when it is zero, `x-null-zero` on a time that Go writes as
null when it is unset.

    python -m fleet.sandbox.schema.build <k8s.io/kubernetes> <k8s.io/api> \\
        <k8s.io/apimachinery> <k8s.io/apiextensions-apiserver>
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GROUP_VERSIONS = [
    "v1",
    "apiregistration.k8s.io/v1",
    "apps/v1",
    "events.k8s.io/v1",
    "authentication.k8s.io/v1",
    "authorization.k8s.io/v1",
    "autoscaling/v2",
    "autoscaling/v1",
    "batch/v1",
    "certificates.k8s.io/v1",
    "networking.k8s.io/v1",
    "policy/v1",
    "rbac.authorization.k8s.io/v1",
    "storage.k8s.io/v1",
    "admissionregistration.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "coordination.k8s.io/v1",
    "node.k8s.io/v1",
    "discovery.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1",
]
GO_FIELD = re.compile(r'^\t\w+\s+([\w.\[\]]+)\s+`json:"(\w+)((?:,\w+)*)"', re.M)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
PROTO_FIELD = re.compile(
    r"^\s*(optional |repeated )?(?:map<string, ([\w.]+)>|([\w.]+)) (\w+) = (\d+);", re.M
)
EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
HERE = Path(__file__).parent


def _api_file(root: Path, folder: str, group_version: str, suffix: str) -> Any:
    name = f"api__{group_version}" if "/" not in group_version else f"apis__{group_version}"
    return json.loads((root / "api" / folder / f"{name.replace('/', '__')}{suffix}").read_text())


def _without_descriptions(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without_descriptions(field) for name, field in value.items()}
        if key == "properties"
        else _without_descriptions(value)
        for key, value in schema.items()
        if key != "description"
    }


def _mark_go_fields(definitions: dict[str, Any], source: Path, package: str) -> None:
    for struct in STRUCT.finditer(source.read_text()):
        schema = definitions.get(f"{package}.{struct[1]}", {})
        for go_type, name, options in GO_FIELD.findall(struct[2]):
            field = schema.get("properties", {}).get(name)
            if field is None:
                continue
            if go_type in ("metav1.Time", "metav1.MicroTime") and "omitzero" not in options:
                field["x-null-zero"] = True
            elif "omitempty" in options and "$ref" not in str(field) and "type" in field:
                field["x-omit-zero"] = True


def _definition_name(message: str) -> str:
    return "io." + message.replace("k8s.io.", "k8s.", 1).replace("_", "-")


def _protobuf(definitions: dict[str, Any], source: Path) -> dict[str, Any]:
    """Field numbers by message: {number: [JSON name, type, "" | "repeated" | "map"]}.

    The name is empty where Go embeds the message, so that its fields belong to the outer one.
    """
    text = re.sub(r"//.*", "", source.read_text())
    package = re.search(r"^package ([\w.]+);", text, re.M)
    assert package is not None
    messages: dict[str, Any] = {}
    for message in re.finditer(r"^message (\w+) \{\n(.*?)^\}", text, re.M | re.S):
        name = f"{package[1]}.{message[1]}"
        known = definitions.get(_definition_name(name), {}).get("properties", {})
        fields: dict[str, list[str]] = {}
        for label, values, kind, field, number in PROTO_FIELD.findall(message[2]):
            kind = values or kind
            full = kind[1:] if kind.startswith(".") else kind
            if full[0].isupper():
                full = f"{package[1]}.{full}"
            field = field[0].lower() + field[1:]
            embedded = bool(known) and field not in known and "." in full and label != "repeated "
            shape = "map" if values else "repeated" if label == "repeated " else ""
            fields[number] = ["" if embedded else field, full, shape]
        messages[name] = fields
    return messages


def build(root: Path, api: Path, machinery: Path, extensions: Path) -> None:
    """Write the data files from k8s.io/kubernetes, api, apimachinery, apiextensions-apiserver."""
    definitions: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    for group_version in GROUP_VERSIONS:
        spec = _api_file(root, "openapi-spec/v3", group_version, "_openapi.json")
        definitions |= _without_descriptions(spec["components"]["schemas"])
        discovery = _api_file(root, "discovery", group_version, ".json")
        resources[group_version] = discovery["resources"]
    messages: dict[str, Any] = {}
    for folder, package in _packages(api, machinery, extensions):
        if (folder / "types.go").exists():
            _mark_go_fields(definitions, folder / "types.go", package)
        messages |= _protobuf(definitions, folder / "generated.proto")
    _write("protobuf.json", messages)
    _write("definitions.json", definitions)
    _write("resources.json", resources)


def _packages(api: Path, machinery: Path, extensions: Path) -> Iterator[tuple[Path, str]]:
    """Folders with a `generated.proto`, and the prefix of their OpenAPI definitions."""
    for group_version in GROUP_VERSIONS:
        group, _, version = group_version.rpartition("/")
        short = group.partition(".")[0] or "core"
        short = {"rbac": "rbac", "internal": "apiserverinternal"}.get(short, short)
        if (api / short / version / "generated.proto").exists():
            yield api / short / version, f"io.k8s.api.{short}.{version}"
    yield extensions / "pkg/apis/apiextensions/v1", EXTENSIONS
    for path in ("apis/meta/v1", "api/resource", "util/intstr", "runtime"):
        package = f"io.k8s.apimachinery.pkg.{path.replace('/', '.')}"
        yield machinery / "pkg" / path, package


def _write(name: str, entries: dict[str, Any]) -> None:
    """One entry per line: small, and a diff between two Kubernetes versions stays readable."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(entries[key], separators=(',', ':'), sort_keys=True)}"
        for key in (sorted(entries) if name != "resources.json" else entries)
    ]
    (HERE / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:5]))
