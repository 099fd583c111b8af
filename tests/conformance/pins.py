"""Expected answers, recorded from the real control plane and kept as JSON beside the tests.

`pytest --pin -m controlplane` records them anew. What differs between two runs of the same program
(identifiers, times, addresses, random names) is replaced before anything is compared.
"""

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.client import Answer
from tests.conformance.cluster import REVISION

FOLDER = Path(__file__).with_name("expected")
WORKLOADS = ("Deployment", "ReplicaSet")
DROPPED = {
    "uid", "resourceVersion", "creationTimestamp", "lastTransitionTime", "lastUpdateTime",
    "lastProbeTime", "lastHeartbeatTime", "startTime", "startedAt", "finishedAt", "time",
    "firstTimestamp", "lastTimestamp", "eventTime", "podIP", "podIPs", "hostIP", "hostIPs",
    "nodeName", "reportingInstance", "managedFields",
}  # fmt: skip
MASKED = {"deletionTimestamp": "<time>", "continue": "<token>", "clusterIP": "<address>"}
MASKED |= {"clusterIPs": ["<address>"]}
PATTERNS = [
    # Some messages quote the whole object, in the order Go writes its fields.
    (re.compile(r'Invalid value: \\"\{.*?\}\\": '), r"Invalid value: \"<object>\": "),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"resource version: (\d+) \(\d+\)"), r"resource version: \1 (<current>)"),
    (re.compile(r"in record \(\d+\)"), "in record (<current>)"),
    (re.compile(r'((?:replica set |ReplicaSet \\")[a-z-]+)-[a-z0-9]{5,10}\b'), r"\1-<hash>"),
    (re.compile(r"(<hash-\d+>)-[a-z0-9]{5}\b"), r"\1-<random>"),
]


class Pins:
    """The recorded answers of one test, compared or rewritten in the order they are given."""

    def __init__(self, case: str, namespace: str, *, record: bool) -> None:
        self._file = FOLDER / f"{case}.json"
        self._namespace = namespace
        self._record = record
        self._given: list[Any] = []
        expected = self._file.read_text() if self._file.exists() and not record else "[]"
        self._expected: list[Any] = json.loads(expected)

    def __call__(
        self, value: Any, *, managed_fields: bool = False, controlled: bool = False
    ) -> None:
        """Asserts that this answer, object or plain value is the one recorded at this place.

        Without `controlled`, what a controller adds to a workload in its own time is left out.
        """
        __tracebackhide__ = True
        place = len(self._given)
        self._given.append(self._normal(value, managed_fields, controlled))
        if self._record:
            return
        assert place < len(self._expected), f"nothing recorded at place {place}: {self._file}"
        difference = _difference(self._expected[place], self._given[place])
        assert not difference, f"answer {place} differs from the real control plane\n{difference}"

    def finish(self) -> None:
        if self._record and self._given:
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(_text(self._given) + "\n")
        elif len(self._given) < len(self._expected):
            raise AssertionError(f"only {len(self._given)} of {len(self._expected)} answers came")

    def _normal(self, value: Any, managed_fields: bool, controlled: bool) -> Any:
        if isinstance(value, Answer):
            value = {
                "code": value.status,
                "body": value.body if controlled else _uncontrolled(value.body),
            }
        kept = DROPPED - {"managedFields"} if managed_fields else DROPPED
        plain = json.loads(json.dumps(_stripped(value, kept)))
        return json.loads(self._masked(json.dumps(plain)))

    def _masked(self, text: str) -> str:
        text = text.replace(self._namespace, "<namespace>")
        for place, found in enumerate(_hashes(text)):
            text = text.replace(found, f"<hash-{place}>")
        for pattern, replacement in PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _uncontrolled(obj: Any) -> Any:
    """A workload without status, revision and the controller's entry in managedFields."""
    if not isinstance(obj, dict) or obj.get("kind") not in WORKLOADS:
        return obj
    obj = {key: value for key, value in obj.items() if key != "status"}
    meta = dict(obj["metadata"])
    annotations = {k: v for k, v in meta.pop("annotations", {}).items() if k != REVISION}
    meta |= {"annotations": annotations} if annotations else {}
    entries = meta.get("managedFields", [])
    meta["managedFields"] = [e for e in entries if e["manager"] != "kube-controller-manager"]
    return obj | {"metadata": meta}


def _stripped(value: Any, dropped: set[str]) -> Any:
    if isinstance(value, list):
        return [_stripped(item, dropped) for item in _ordered(value)]
    if not isinstance(value, dict):
        return value
    return {
        key: MASKED.get(key) if MASKED.get(key) and item else _stripped(item, dropped)
        for key, item in value.items()
        if key not in dropped
    }


def _ordered(items: list[Any]) -> list[Any]:
    """Conditions and field managers in a fixed order: theirs carries no meaning."""
    if items and all(isinstance(item, dict) and {"type", "status"} <= set(item) for item in items):
        return sorted(items, key=lambda item: item["type"])
    if items and all(isinstance(item, dict) and "fieldsType" in item for item in items):
        return sorted(items, key=lambda item: (item["manager"], item.get("subresource", "")))
    return items


def _hashes(text: str) -> Iterator[str]:
    """Pod template hashes in order of appearance."""
    seen: set[str] = set()
    for found in re.findall(r'"pod-template-hash": "([a-z0-9]+)"', text):
        if found not in seen:
            seen.add(found)
            yield found


def _difference(expected: Any, given: Any) -> str:
    lines = difflib.unified_diff(
        _text(expected).splitlines(), _text(given).splitlines(), "real", "here", lineterm="", n=4
    )
    return "\n".join(lines)


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True)
