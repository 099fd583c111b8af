"""Rebuild the two data files beside this module from a Kubernetes source tree.

`definitions.json` holds the OpenAPI v3 schemas of the served kinds (descriptions left out), and
`resources.json` what discovery says about them; both are Kubernetes' own published data
(`api/openapi-spec/v3`, `api/discovery`), so the sandbox knows the same fields, defaults, merge keys
and verbs as a real API server.

Two marks are added from the Go types (`k8s.io/api`): `x-omit-zero` on a scalar that Go leaves out
of the JSON when it is zero, `x-null-zero` on a time that Go writes as null when it is unset.

    python -m fleet.sandbox.schema.build <path to k8s.io/kubernetes> <path to k8s.io/api>
"""

import json
import re
import sys
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


def _mark_go_fields(definitions: dict[str, Any], api_root: Path) -> None:
    for source in api_root.glob("*/v*/types.go"):
        group, version = source.parts[-3:-1]
        for struct in re.finditer(
            r"^type (\w+) struct \{\n(.*?)^\}", source.read_text(), re.M | re.S
        ):
            schema = definitions.get(f"io.k8s.api.{group}.{version}.{struct[1]}", {})
            for go_type, name, options in GO_FIELD.findall(struct[2]):
                field = schema.get("properties", {}).get(name)
                if field is None:
                    continue
                if go_type in ("metav1.Time", "metav1.MicroTime") and "omitzero" not in options:
                    field["x-null-zero"] = True
                elif "omitempty" in options and "$ref" not in str(field) and "type" in field:
                    field["x-omit-zero"] = True


def build(root: Path, api_root: Path) -> None:
    """Write both data files from the Kubernetes tree at `root` and the types at `api_root`."""
    definitions: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    for group_version in GROUP_VERSIONS:
        spec = _api_file(root, "openapi-spec/v3", group_version, "_openapi.json")
        definitions |= _without_descriptions(spec["components"]["schemas"])
        discovery = _api_file(root, "discovery", group_version, ".json")
        resources[group_version] = discovery["resources"]
    _mark_go_fields(definitions, api_root)
    _write("definitions.json", definitions)
    _write("resources.json", resources)


def _write(name: str, entries: dict[str, Any]) -> None:
    """One entry per line: small, and a diff between two Kubernetes versions stays readable."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(entries[key], separators=(',', ':'), sort_keys=True)}"
        for key in (sorted(entries) if name == "definitions.json" else entries)
    ]
    (HERE / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
