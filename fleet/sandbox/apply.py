"""Server-side apply: merge a configuration into an object, and settle who owns what.

Source: k8s.io/apimachinery/pkg/util/managedfields and
sigs.k8s.io/structured-merge-diff/v6 (merge/update.go `Apply`, typed/merge.go).
"""

import json
from typing import Any

from . import field_sets
from .errors import StatusError
from .field_sets import FieldSet, dotted, element_of, is_leaf
from .managed_fields import Entry, Manager, Ownership, tracked
from .schema import ANY, Type
from .schema.decode import copy

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Object = dict[str, Any]


def apply(
    live: Object,
    config: Object,
    schema: Type,
    manager: Manager,
    now: str,
    ignored: FieldSet,
    *,
    force: bool,
) -> tuple[Object, list[Object]]:
    """Apply `config` for `manager`.

    Returns the merged object and its new managedFields; raises StatusError 409 when another
    manager owns a field that would change, unless `force`.
    """
    ownership = Ownership.of(live)
    last = set(ownership.fields_of(manager))
    claimed = tracked(field_sets.fields_of(config, schema), ignored)
    merged = merge(live, config, schema)
    previous = ownership.entries.get(manager.identity)
    ownership.entries[manager.identity] = Entry(manager, claimed, now)
    merged = _prune(merged, schema, last, ownership)
    changed, removed = field_sets.compare(live, merged, schema)
    changed, removed = tracked(changed, ignored), tracked(removed, ignored)
    _settle(ownership, live, schema, manager, changed, force)
    ownership.take(manager, changed, removed)
    if previous and not (changed or removed) and previous.fields == claimed:
        ownership.entries[manager.identity] = previous  # nothing happened: keep its time
    return merged, ownership.encode()


def _prune(merged: Object, schema: Type, last: FieldSet, ownership: Ownership) -> Object:
    """Remove what this manager applied before, left out now, and nobody else owns."""
    named = field_sets.with_named_parents
    gone = named(last) - named(ownership.everyone())
    return field_sets.remove_fields(merged, schema, gone) if gone else merged


def _settle(
    ownership: Ownership,
    live: Object,
    schema: Type,
    manager: Manager,
    changed: FieldSet,
    force: bool,
) -> None:
    if force:
        return
    conflicts = ownership.conflicts(manager, changed)
    if conflicts and manager.name == "kubectl":
        # Moving from client-side apply: what kubectl itself applied last is its own to change.
        own = _last_applied_fields(live, schema)
        conflicts = [(other, fields - own) for other, fields in conflicts if fields - own]
    if conflicts:
        raise conflict_error(conflicts)


def _last_applied_fields(live: Object, schema: Type) -> FieldSet:
    text = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    return field_sets.fields_of(json.loads(text), schema) if text else set()


def conflict_error(conflicts: list[tuple[Manager, FieldSet]]) -> StatusError:
    """409 in upstream's words, one cause per field."""
    pairs = [(manager, dotted(path)) for manager, fields in conflicts for path in sorted(fields)]
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {manager}",
            "field": path,
        }
        for manager, path in pairs
    ]
    if len(pairs) == 1:
        text = f"Apply failed with 1 conflict: conflict with {pairs[0][0]}: {pairs[0][1]}"
    else:
        lines: list[str] = []
        for manager, fields in conflicts:
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {dotted(path)}" for path in sorted(fields)]
        text = f"Apply failed with {len(pairs)} conflicts: " + "\n".join(lines)
    return StatusError(409, "Conflict", text, {"causes": causes})


def merge(live: Any, config: Any, schema: Type) -> Any:
    """`live` with everything `config` says; atomic values are replaced whole."""
    if config is None or is_leaf(config, schema):
        return copy(config)
    if isinstance(config, dict):
        return _merge_map(live if isinstance(live, dict) else {}, config, schema)
    return _merge_list(live if isinstance(live, list) else [], config, schema)


def _merge_map(live: Object, config: Object, schema: Type) -> Object:
    result = dict(live)
    for key, value in config.items():
        result[key] = merge(live.get(key), value, schema.child(key))
    return result


def _merge_list(live: list[Any], config: list[Any], schema: Type) -> list[Any]:
    """Items of the configuration in its order; live items it does not name keep their place."""
    element = schema.element or ANY
    old = {element_of(item, schema): item for item in live}
    new = {element_of(item, schema): item for item in config}
    if len(new) < len(config):
        raise StatusError(400, "BadRequest", "duplicate entries for a key of a list")
    out: list[Any] = []
    pending = list(new)
    for key, item in old.items():
        if key not in new:
            out.append(item)
            continue
        while pending and key in pending:  # everything up to and including this shared item
            following = pending.pop(0)
            out.append(merge(old.get(following), new[following], element))
    return out + [merge(None, new[key], element) for key in pending]
