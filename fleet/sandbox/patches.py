"""JSON patch, JSON merge patch and Kubernetes' strategic merge patch.

Source: RFC 6902, RFC 7386, and
k8s.io/apimachinery/pkg/util/strategicpatch/patch.go (merge keys, `$patch`, `$retainKeys`,
`$setElementOrder/…`, `$deleteFromPrimitiveList/…`).
"""

from typing import Any

import jsonpatch

from .errors import StatusError, bad_request, internal
from .schema import Type
from .schema.decode import copy

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder/"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
Object = dict[str, Any]


def json_patch(original: Object, operations: Any) -> Object:
    """Apply RFC 6902 operations; raises StatusError 400 (malformed) or 422 (does not apply)."""
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of "
            "type []handlers.jsonPatchOp"
        )
    try:
        return jsonpatch.JsonPatch(operations).apply(copy(original))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError):
        message = "the server rejected our request due to an error in our request"
        raise StatusError(422, "Invalid", message, {}) from None


def check_is_object(patch: Any) -> None:
    """Merge patches are objects; raises StatusError 400."""
    if not isinstance(patch, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of "
            "type map[string]interface {}"
        )


def merge_patch(original: Any, patch: Any) -> Any:
    """Apply an RFC 7386 patch: null removes, objects merge, anything else replaces."""
    if not isinstance(patch, dict):
        return copy(patch)
    result = dict(original) if isinstance(original, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge_patch(original: Object, patch: Object, schema: Type) -> Object:
    """Apply a strategic merge patch to an object of the given type; raises StatusError 400."""
    check_is_object(patch)
    return _merge_map(original, patch, schema)


def _merge_map(original: Any, patch: Object, schema: Type) -> Object:
    directive = patch.get(DIRECTIVE)
    if directive == "replace":
        return copy({key: value for key, value in patch.items() if key != DIRECTIVE})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unknown patch type: {directive} in map")
    result = _retain(dict(original) if isinstance(original, dict) else {}, patch)
    for key, value in patch.items():
        if key not in (DIRECTIVE, RETAIN_KEYS):
            _merge_key(result, key, value, patch, schema)
    return result


def _retain(result: Object, patch: Object) -> Object:
    if RETAIN_KEYS not in patch:
        return result
    keep = set(patch[RETAIN_KEYS])
    return {key: value for key, value in result.items() if key in keep}


def _merge_key(result: Object, key: str, value: Any, patch: Object, schema: Type) -> None:
    if key.startswith(DELETE_PRIMITIVES):
        name = key.removeprefix(DELETE_PRIMITIVES)
        result[name] = [item for item in result.get(name, []) if item not in value]
        return
    if key.startswith(SET_ORDER):
        name = key.removeprefix(SET_ORDER)
        if name not in patch:  # the list itself is unchanged, only its order
            _reorder(result, name, value, result.get(name, []), schema.child(name))
        return
    if value is None:
        result.pop(key, None)
        return
    child = schema.child(key)
    if isinstance(value, dict) and DIRECTIVE in value and not isinstance(result.get(key), dict):
        result.pop(key, None)  # a directive about something that is not there
    elif isinstance(value, dict):
        result[key] = _merge_map(result.get(key), value, child)
    elif isinstance(value, list) and "merge" in child.patch_strategy:
        live = result.get(key) or []
        result[key] = _merge_list(live, value, child)
        if SET_ORDER + key in patch:
            _reorder(result, key, patch[SET_ORDER + key], live, child)
    else:
        result[key] = copy(value)


def _merge_list(original: list[Any], patch: list[Any], schema: Type) -> list[Any]:
    if not schema.merge_key:
        return original + [item for item in patch if item not in original]
    if any(item.get(DIRECTIVE) == "replace" for item in patch if len(item) == 1):
        return copy([item for item in patch if DIRECTIVE not in item])
    merged = list(original)
    for item in patch:
        _merge_item(merged, item, schema)
    return _ordered(merged, patch, original, schema.merge_key)


def _merge_item(merged: list[Any], item: Any, schema: Type) -> None:
    key, element = schema.merge_key, schema.element or schema
    if not isinstance(item, dict) or key not in item:
        raise internal(f"map: {go_text(item)} does not contain declared merge key: {key}")
    same = [i for i, existing in enumerate(merged) if existing.get(key) == item[key]]
    if item.get(DIRECTIVE) == "delete":
        merged[:] = [existing for existing in merged if existing.get(key) != item[key]]
    elif same and item.get(DIRECTIVE) != "replace":
        merged[same[0]] = _merge_map(merged[same[0]], item, element)
    elif same:
        merged[same[0]] = _merge_map({}, item, element)
    else:
        merged.append(_merge_map({}, item, element))


def _reorder(result: Object, name: str, order: list[Any], live: list[Any], schema: Type) -> None:
    if name in result:
        result[name] = _ordered(result[name], order, live, schema.merge_key)


def _ordered(merged: list[Any], order: list[Any], live: list[Any], key: str) -> list[Any]:
    """Items named by `order` in its order; the others go in where they stood in the live list."""

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    places = [identity(item) for item in live]
    named = sorted(
        (m for m in merged if identity(m) in wanted), key=lambda item: wanted.index(identity(item))
    )
    others = [m for m in merged if identity(m) not in wanted]
    out: list[Any] = []
    while named and others:
        left, right = identity(others[0]), identity(named[0])
        known = left in places and right in places
        comes_first = known and places.index(left) < places.index(right)
        out.append(others.pop(0) if comes_first else named.pop(0))
    return out + others + named


def go_text(value: Any) -> str:
    """A value as Go's `%v` prints it: `map[image:side:2 name:web]`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_text, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "<nil>"}[value]
    return str(value)
