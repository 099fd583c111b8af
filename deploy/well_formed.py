"""The shape of the parts of a manifest that rendering reads; all else is the cluster's to judge."""

from collections.abc import Iterator
from typing import Any

from portal.base.problems import FieldProblem

# A dict lists known members, a list has one entry for each of its items, a type stands for itself.
_NAMED = {"name": str}
_CONTAINER = {
    "name": str,
    "image": str,
    "env": [{"valueFrom": {"configMapKeyRef": _NAMED}}],
    "envFrom": [{"configMapRef": _NAMED}],
    "resources": {"limits": {}, "requests": {}},
}
_VOLUME = {"configMap": _NAMED, "projected": {"sources": [{"configMap": _NAMED}]}}
_POD_TEMPLATE = {
    "metadata": {"labels": {}, "annotations": {}},
    "spec": {"containers": [_CONTAINER], "initContainers": [_CONTAINER], "volumes": [_VOLUME]},
}
_OBJECT = {
    "kind": str,
    "apiVersion": str,
    "metadata": {"name": str, "labels": {}, "annotations": {}},
    "data": {},
    "spec": {"template": _POD_TEMPLATE, "replicas": int, "progressDeadlineSeconds": int},
}
_WORDS = {dict: "an object", list: "a list", str: "text", int: "a whole number"}


def misshapen(obj: Any, at: str) -> Iterator[FieldProblem]:
    """What is not of the kind it has to be, with pointers below `at`."""
    yield from _differences(obj, _OBJECT, at)


def _differences(value: Any, shape: Any, at: str) -> Iterator[FieldProblem]:
    wanted = shape if isinstance(shape, type) else type(shape)
    if not isinstance(value, wanted) or isinstance(value, bool):
        yield FieldProblem(at, "type", f"This must be {_WORDS[wanted]}")
    elif isinstance(shape, dict):
        for name in shape.keys() & value.keys():
            yield from _differences(value[name], shape[name], f"{at}/{name}")
    elif isinstance(shape, list):
        for index, item in enumerate(value):
            yield from _differences(item, shape[0], f"{at}/{index}")
