"""Label and field selectors, from query strings and from `LabelSelector` objects.

Source: k8s.io/apimachinery/pkg/labels and pkg/fields; field names per kind from
pkg/apis/*/v1/conversion.go.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import StatusError, bad_request
from .names import label_key

Labels = Mapping[str, str]
LabelTest = Callable[[Labels], bool]
FieldTest = Callable[[dict[str, Any]], bool]
_TOKEN = re.compile(r"==|!=|[=!<>(),]|[^\s=!<>(),]+")
_BINARY = {"=", "==", "!=", ">", "<"}
_OPERATORS = {*_BINARY, "!", "(", ")", ","}
_FIELD = re.compile(r"^([^=!]+)(==|!=|=)(.*)$")


def everything(_: Any) -> bool:
    return True


def parse_labels(text: str) -> LabelTest:
    """`a=b,c!=d,e in (f,g),!h`; raises StatusError 400 on anything else."""
    if not text:
        return everything
    tests = _Parser(text).requirements()
    return lambda labels: all(test(labels) for test in tests)


class _Parser:
    """Upstream's recursive descent, for the sake of its messages."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text) + [""]

    def _next(self) -> str:
        return self._tokens.pop(0) if len(self._tokens) > 1 else ""

    def requirements(self) -> list[LabelTest]:
        tests: list[LabelTest] = []
        while first := self._tokens[0]:
            if first in _OPERATORS - {"!"}:
                raise bad_request(f"found '{first}', expected: !, identifier, or 'end of string'")
            try:
                tests.append(self._requirement())
            except ValueError as error:
                raise bad_request(f"unable to parse requirement: {error}") from None
            separator = self._next()
            if separator not in ("", ","):
                raise bad_request(f"found '{separator}', expected: ',' or 'end of string'")
        return tests

    def _requirement(self) -> LabelTest:
        key = self._next()
        negated = key == "!"
        if negated:
            key = self._next()
        if key in _OPERATORS:
            raise ValueError(f"found '{key}', expected: identifier")
        if problem := label_key(key):
            raise ValueError(f'<nil>: Invalid value: "{key}": {problem}')
        if self._tokens[0] in ("", ","):
            return (lambda labels: key not in labels) if negated else (lambda labels: key in labels)
        operator = self._next()
        if operator in ("in", "notin"):
            return _in(key, self._values(), operator == "in")
        if operator not in _BINARY:
            expected = "in, notin, =, ==, !=, gt, lt"
            raise ValueError(f"found '{operator}', expected: {expected}")
        value = "" if self._tokens[0] in ("", ",") else self._next()
        if value in _OPERATORS:
            raise ValueError(f"found '{value}', expected: identifier")
        if operator in "<>":
            return _compare(key, operator, value)
        return _in(key, {value}, operator != "!=")

    def _values(self) -> set[str]:
        if (token := self._next()) != "(":
            raise ValueError(f"found '{token}' expected: '('")
        values: set[str] = set()
        previous = ","
        while (token := self._next()) != ")":
            if token == "" or token in _OPERATORS - {","}:
                raise ValueError(f"found '{token}', expected: ',', or identifier")
            if token == previous == ",":
                values.add("")
            elif token != ",":
                if previous != ",":
                    raise ValueError(f"found '{token}', expected: ',' or ')'")
                values.add(token)
            previous = token
        return values | ({""} if previous == "," else set())


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
    wanted = selector.get("matchLabels", {}).items()
    tests = [match_expression(entry) for entry in selector.get("matchExpressions", ())]
    if not tests:
        return lambda labels: wanted <= labels.items()
    return lambda labels: wanted <= labels.items() and all(test(labels) for test in tests)


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
    "Service": {"spec.clusterIP", "spec.type"},
}


def parse_fields(text: str, kind: str) -> FieldTest:
    """`metadata.name=x,status.phase!=Running`; raises StatusError 400 for unsupported fields."""
    if not text:
        return everything
    tests = [_field_test(term, kind) for term in text.split(",") if term]
    return lambda obj: all(test(obj) for test in tests)


def _field_test(term: str, kind: str) -> FieldTest:
    match = _FIELD.match(term)
    if match is None:
        raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
    path, operator, value = match.groups()
    if path not in _EVERY_KIND | _FIELDS_BY_KIND.get(kind, set()):
        raise _unsupported(path, kind)
    return lambda obj: (_field(obj, path) == value) == (operator != "!=")


def _unsupported(path: str, kind: str) -> StatusError:
    if kind in _FIELDS_BY_KIND:
        return bad_request(f"field label not supported: {path}")
    return bad_request(
        f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
    )


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
