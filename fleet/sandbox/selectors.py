"""Label and field selectors, from query strings and from `LabelSelector` objects.

Source: k8s.io/apimachinery/pkg/labels and pkg/fields; field names per kind from
pkg/apis/*/v1/conversion.go.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import StatusError, bad_request

Labels = Mapping[str, str]
LabelTest = Callable[[Labels], bool]
FieldTest = Callable[[dict[str, Any]], bool]
_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\((.*)\)$")
_COMPARE = re.compile(r"^([^=!<>\s]+)\s*(==|!=|=|>|<)\s*(.*)$")
_SPLIT = re.compile(r",(?![^()]*\))")
_KEY = re.compile(r"^([A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$")


def everything(_: Any) -> bool:
    return True


def parse_labels(text: str) -> LabelTest:
    """`a=b,c!=d,e in (f,g),!h`; raises StatusError 400 on anything else."""
    if not text:
        return everything
    tests = [_requirement(part.strip(), text) for part in _SPLIT.split(text)]
    return lambda labels: all(test(labels) for test in tests)


def _requirement(part: str, whole: str) -> LabelTest:
    if match := _SET.match(part):
        key, operator, values = match.groups()
        return _in(key, {value.strip() for value in values.split(",")}, operator == "in")
    if match := _COMPARE.match(part):
        key, operator, value = match.groups()
        if operator in "<>":
            return _compare(key, operator, value)
        return _in(key, {value}, operator != "!=")
    key = part.removeprefix("!").strip()
    if not _KEY.match(key):
        raise bad_request(f'unable to parse requirement: found "{part}", in "{whole}"')
    return (lambda labels: key not in labels) if part.startswith("!") else (lambda ls: key in ls)


def _in(key: str, values: set[str], wanted: bool) -> LabelTest:
    if wanted:
        return lambda labels: key in labels and labels[key] in values
    return lambda labels: key not in labels or labels[key] not in values


def _compare(key: str, operator: str, bound: str) -> LabelTest:
    def test(labels: Labels) -> bool:
        value = labels.get(key, "")
        if not value.lstrip("-").isdigit():
            return False
        return int(value) > int(bound) if operator == ">" else int(value) < int(bound)

    return test


def label_selector(selector: Mapping[str, Any] | None) -> LabelTest:
    """A `LabelSelector` object; None selects nothing, an empty one everything."""
    if selector is None:
        return lambda labels: False
    tests = [_in(key, {value}, True) for key, value in selector.get("matchLabels", {}).items()]
    tests += [match_expression(entry) for entry in selector.get("matchExpressions", ())]
    return lambda labels: all(test(labels) for test in tests)


def match_expression(expression: Mapping[str, Any]) -> LabelTest:
    """One `{key, operator, values}`; also what node affinity uses."""
    key, operator = expression["key"], expression["operator"]
    values = list(expression.get("values", ()))
    if operator in ("Gt", "Lt"):
        return _compare(key, ">" if operator == "Gt" else "<", values[0])
    if operator in ("Exists", "DoesNotExist"):
        return lambda labels: (key in labels) == (operator == "Exists")
    return _in(key, set(values), operator == "In")


_EVERY_KIND = {"metadata.name", "metadata.namespace"}
_FIELDS_BY_KIND = {
    "Pod": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    },
    "Event": {
        *(f"involvedObject.{part}" for part in ("kind", "namespace", "name", "uid")),
        *(f"involvedObject.{part}" for part in ("apiVersion", "resourceVersion", "fieldPath")),
        *(f"regarding.{part}" for part in ("kind", "namespace", "name", "uid")),
        "reason",
        "reportingController",
        "reportingComponent",
        "source",
        "type",
    },
    "Namespace": {"status.phase"},
    "Node": {"spec.unschedulable"},
    "Secret": {"type"},
    "ReplicaSet": {"status.replicas"},
    "Service": {"spec.clusterIP", "spec.type"},
}


def parse_fields(text: str, kind: str) -> FieldTest:
    """`metadata.name=x,status.phase!=Running`; raises StatusError 400 for unsupported fields."""
    if not text:
        return everything
    tests = [_field_test(term, kind) for term in text.split(",") if term]
    return lambda obj: all(test(obj) for test in tests)


def _field_test(term: str, kind: str) -> FieldTest:
    match = _COMPARE.match(term)
    if match is None or match[2] in "<>":
        raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
    path, operator, value = match.groups()
    if path not in _EVERY_KIND | _FIELDS_BY_KIND.get(kind, set()):
        raise _unsupported(path)
    return lambda obj: (_field(obj, path) == value) == (operator != "!=")


def _unsupported(path: str) -> StatusError:
    return bad_request(f'field label not supported: {path}')


def _field(obj: dict[str, Any], path: str) -> str:
    value: Any = obj
    if path == "source":
        return obj.get("source", {}).get("component", "") or obj.get("reportingComponent", "")
    if path.startswith("regarding."):
        path = path.replace("regarding", "involvedObject", 1)
    if path == "reportingController":
        path = "reportingComponent"
    for step in path.split("."):
        value = value.get(step, {}) if isinstance(value, dict) else {}
    if isinstance(value, bool):
        return str(value).lower()
    if value == {} or value is None:
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(value)
