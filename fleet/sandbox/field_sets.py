"""Sets of fields, as `managedFields` records them.

A field set is a plain Python set of paths; a path is a tuple of elements in `FieldsV1` spelling:
`f:name` a field, `k:{"name":"web"}` an item of a list map, `v:"x"` an item of a list set. Set
algebra is Python's own.

Source: sigs.k8s.io/structured-merge-diff/v6 (fieldpath, typed).
"""

import json
from collections.abc import Iterator
from typing import Any

from .schema import ANY, Type
from .schema.decode import zero_fields, zero_value

Path = tuple[str, ...]
FieldSet = set[Path]
SELF = "."


class DuplicateItem(ValueError):
    """Two items of a list map or set share a key."""


def element_of(item: Any, schema: Type) -> str:
    """How a list item is named within its list."""
    if not schema.list_keys:
        return "v:" + json.dumps(item, separators=(",", ":"))
    keys = {}
    for key in sorted(schema.list_keys):
        value = item.get(key)
        if value is None:
            value = schema.element.child(key).default if schema.element else None
        if value is not None:
            keys[key] = value
    return "k:" + json.dumps(keys, separators=(",", ":"))


def is_leaf(value: Any, schema: Type) -> bool:
    """Whether nothing below `value` is tracked on its own."""
    if isinstance(value, dict):
        return schema.atomic or schema.shape in ("any", "scalar")
    if isinstance(value, list):
        return schema.atomic or not (schema.list_keys or schema.is_set)
    return True


def children(value: Any, schema: Type) -> Iterator[tuple[str, Any, Type]]:
    """(path element, value, type) of everything directly below a map or tracked list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"f:{key}", item, schema.child(key)
    else:
        for item in value:
            yield element_of(item, schema), item, schema.element or ANY


def fields_of(value: Any, schema: Type) -> FieldSet:
    """The fields an applied configuration claims."""
    found: FieldSet = set()
    _collect(value, schema, (), found)
    return found


def _collect(value: Any, schema: Type, path: Path, found: FieldSet) -> None:
    if value is not None and is_leaf(value, schema):
        found.add(path)
        return
    if value is None:
        return
    for element, item, child in children(value, schema):
        below = (*path, element)
        _collect(item, child, below, found)
        named = isinstance(value, dict) and element[2:] in schema.fields
        if item is None or item == {} or not named:
            found.add(below)


def compare(old: Any, new: Any, schema: Type) -> tuple[FieldSet, FieldSet]:
    """(added or modified, removed) fields on the way from `old` to `new`."""
    changed: FieldSet = set()
    removed: FieldSet = set()
    _compare(old, new, schema, (), changed, removed)
    return changed, removed


_ABSENT = object()


def _compare(
    old: Any, new: Any, schema: Type, path: Path, changed: FieldSet, removed: FieldSet
) -> None:
    if old is new or (old is not _ABSENT and new is not _ABSENT and old == new):
        return
    if old is _ABSENT:
        changed.add(path)
    elif new is _ABSENT:
        removed.add(path)
    old_leaf = old is _ABSENT or _is_end(old, schema)
    new_leaf = new is _ABSENT or _is_end(new, schema)
    if old_leaf and new_leaf:
        if old is not _ABSENT and new is not _ABSENT:
            changed.add(path)
        return
    before = {} if old_leaf else _by_element(old, schema)
    after = {} if new_leaf else _by_element(new, schema)
    for element in {**before, **after}:
        was, child = before.get(element) or (_ABSENT, None)
        now, child = after.get(element) or (_ABSENT, child)
        _compare(was, now, child or ANY, (*path, element), changed, removed)


def _is_end(value: Any, schema: Type) -> bool:
    return value is None or is_leaf(value, schema) or not value


def _by_element(value: Any, schema: Type) -> dict[str, tuple[Any, Type]]:
    return {element: (item, child) for element, item, child in children(value, schema)}


def empty_object(schema: Type) -> dict[str, Any]:
    """What Go has before anything is set: the ground a creation is compared with."""
    empty: dict[str, Any] = dict.fromkeys(schema.required)
    for key, child in zero_fields(schema):
        empty[key] = empty_object(child) if child.shape == "struct" else zero_value(child)
    return empty


def remove_fields(value: Any, schema: Type, gone: FieldSet, path: Path = ()) -> Any:
    """A copy of `value` without the fields in `gone`; None when nothing is left of it."""
    if value is None or is_leaf(value, schema):
        return value
    kept: list[tuple[str, Any]] = []
    for element, item, child in children(value, schema):
        below = (*path, element)
        if below not in gone:
            kept.append((element, remove_fields(item, child, gone, below)))
    if not kept:
        return None if value else value
    if isinstance(value, dict):
        return {element[2:]: item for element, item in kept}
    return [item for _, item in kept]


def with_named_parents(fields: FieldSet) -> FieldSet:
    """The set, plus every struct field on the way to its members."""
    whole = set(fields)
    for path in fields:
        for length in range(1, len(path)):
            if path[length - 1].startswith("f:"):
                whole.add(path[:length])
    return whole


def encode(fields: FieldSet) -> dict[str, Any]:
    """The nested `FieldsV1` form."""
    root: dict[str, Any] = {}
    for path in fields:
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node[SELF] = {}
    return _tidy(root)


def _tidy(node: dict[str, Any]) -> dict[str, Any]:
    """A lone `.` says nothing; keys are sorted, `.` first."""
    if node.keys() == {SELF}:
        return {}
    return {key: _tidy(node[key]) if key != SELF else {} for key in sorted(node)}


def decode(encoded: dict[str, Any]) -> FieldSet:
    """Read `FieldsV1` back."""
    found: FieldSet = set()
    _decode(encoded, (), found)
    return found


def _decode(node: dict[str, Any], path: Path, found: FieldSet) -> None:
    for element, below in node.items():
        if element == SELF:
            found.add(path)
        elif below:
            _decode(below, (*path, element), found)
        else:
            found.add((*path, element))


def dotted(path: Path) -> str:
    """A path as conflict messages show it: `.spec.containers[name="web"].image`."""
    return "".join(_readable(element) for element in path)


def _readable(element: str) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    if kind == "i":
        return f"[{text}]"
    pairs = (f"{key}={json.dumps(value)}" for key, value in json.loads(text).items())
    return f"[{','.join(pairs)}]"
