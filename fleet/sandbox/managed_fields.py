"""Who owns which field: the `metadata.managedFields` of an object, read, changed, written back.

Source: k8s.io/apimachinery/pkg/util/managedfields/internal and
sigs.k8s.io/structured-merge-diff/v6/merge/update.go.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import field_sets
from .field_sets import FieldSet
from .schema import Type

MAX_UPDATE_MANAGERS = 10
_UNTRACKED: FieldSet = {("f:apiVersion",), ("f:kind",), ("f:metadata",)} | {
    ("f:metadata", f"f:{name}")
    for name in (
        *("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName"),
        *("generation", "managedFields", "resourceVersion"),
    )
}
Object = dict[str, Any]


class Manager(NamedTuple):
    """What tells one entry from another. Appliers are the same across API versions."""

    name: str
    operation: str  # Apply, Update
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        version = "" if self.operation == "Apply" else self.api_version
        return (self.name, self.operation, version, self.subresource)

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


@dataclass(slots=True)
class Entry:
    manager: Manager
    fields: FieldSet
    time: str = ""


@dataclass(slots=True)
class Ownership:
    """The owners of one object's fields, by manager identity."""

    entries: dict[tuple[str, ...], Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, obj: Object) -> "Ownership":
        ownership = cls()
        for raw in obj.get("metadata", {}).get("managedFields") or ():
            manager = Manager(
                *(raw.get(key, "") for key in ("manager", "operation", "apiVersion", "subresource"))
            )
            fields = field_sets.decode(raw.get("fieldsV1", {}))
            ownership.entries[manager.identity] = Entry(manager, fields, raw.get("time", ""))
        return ownership

    def encode(self) -> list[Object]:
        """The entries as the API shows them: appliers first, then by time and name."""
        self._cap_updaters()
        return [_encode(entry) for entry in self._sorted() if entry.fields]

    def _sorted(self) -> list[Entry]:
        return sorted(
            self.entries.values(),
            key=lambda e: (e.manager.operation, e.time, e.manager.name, *e.manager.identity),
        )

    def _cap_updaters(self) -> None:
        """Beyond ten updaters the oldest are lumped together, as upstream does."""
        updaters = [e for e in self._sorted() if e.manager.operation == "Update"]
        excess = len(updaters) - MAX_UPDATE_MANAGERS
        if excess <= 0:
            return
        oldest = updaters[: excess + 1]
        lump = Manager("ancient-changes", "Update", oldest[-1].manager.api_version)
        for entry in oldest:
            self.entries.pop(entry.manager.identity)
        fields = set().union(*(entry.fields for entry in oldest))
        self.entries[lump.identity] = Entry(lump, fields, oldest[-1].time)

    def fields_of(self, manager: Manager) -> FieldSet:
        entry = self.entries.get(manager.identity)
        return entry.fields if entry else set()

    def everyone(self) -> FieldSet:
        return set().union(*(entry.fields for entry in self.entries.values()))

    def conflicts(self, manager: Manager, changed: FieldSet) -> list[tuple[Manager, FieldSet]]:
        """Other managers whose fields `manager` is about to change."""
        found = [
            (entry.manager, entry.fields & changed)
            for identity, entry in sorted(self.entries.items())
            if identity != manager.identity
        ]
        return [(other, fields) for other, fields in found if fields]

    def take(self, manager: Manager, changed: FieldSet, removed: FieldSet) -> None:
        """`manager` wins `changed`; nobody owns `removed` any longer."""
        for identity in list(self.entries):
            entry = self.entries[identity]
            if identity != manager.identity:
                entry.fields = entry.fields - changed - removed
            if not entry.fields:
                del self.entries[identity]


def _encode(entry: Entry) -> Object:
    manager = entry.manager
    encoded = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
    }
    if entry.time:
        encoded["time"] = entry.time
    encoded |= {"fieldsType": "FieldsV1", "fieldsV1": field_sets.encode(entry.fields)}
    return encoded | ({"subresource": manager.subresource} if manager.subresource else {})


def tracked(fields: FieldSet, ignored: FieldSet) -> FieldSet:
    """Leave out what nobody may own, and whole branches the endpoint resets (`status`, `spec`)."""
    heads = {path[0] for path in ignored if len(path) == 1}
    return {path for path in fields if path not in _UNTRACKED and path and path[0] not in heads}


def record_update(
    live: Object | None, new: Object, schema: Type, manager: Manager, now: str, ignored: FieldSet
) -> list[Object]:
    """The managedFields of `new` after `manager` wrote it over `live` (None: created it)."""
    before = field_sets.empty_object(schema) if live is None else _bare(live)
    changed, removed = field_sets.compare(before, _bare(new), schema)
    changed, removed = tracked(changed, ignored), tracked(removed, ignored)
    ownership = _starting_point(live, new, manager)
    ownership.take(manager, changed, removed)
    if changed:
        fields = (ownership.fields_of(manager) - removed) | changed
        ownership.entries[manager.identity] = Entry(manager, fields, now)
    elif entry := ownership.entries.get(manager.identity):
        entry.fields = entry.fields - removed
    return ownership.encode()


def _starting_point(live: Object | None, new: Object, manager: Manager) -> Ownership:
    """A client may edit managedFields itself; an empty list resets them."""
    given = new["metadata"].get("managedFields")
    if manager.subresource or given is None or given == []:
        is_reset = given == [] and not manager.subresource
        return Ownership() if is_reset or live is None else Ownership.of(live)
    return Ownership() if given == [{}] else Ownership.of(new)


def _bare(obj: Object) -> Object:
    """The object without the fields nobody may own, for a fast comparison."""
    metadata = {
        k: v for k, v in obj["metadata"].items() if ("f:metadata", f"f:{k}") not in _UNTRACKED
    }
    return {**obj, "metadata": metadata}
