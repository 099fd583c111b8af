"""The garbage collector: dependents go with their last owner, or are set free.

Source: pkg/controller/garbagecollector/garbagecollector.go (`attemptToDeleteItem`,
`attemptToOrphan`).
"""

from ..codec import Options
from ..deletion import FOREGROUND, ORPHAN, DeleteOptions, delete
from ..store import Change, Object, name_of
from .base import Controller, Key

WRITES = Options(manager="kube-controller-manager")


class GarbageCollector(Controller):
    """Its keys are (shelf, uid)."""

    component = "garbage-collector"

    def _hear(self, change: Change) -> None:
        self.observe(change)

    def start(self) -> None:
        for storage in self.store.storages():
            for record in self.store.records(storage):
                self._look_at(storage, record.obj)

    def observe(self, change: Change) -> None:
        obj = change.record.obj
        if change.type != "DELETED":
            self._look_at(change.storage, obj)
            return
        for storage, dependent in self.store.owned_by(obj["metadata"]["uid"]):
            self.enqueue((storage, dependent["metadata"]["uid"]))
        for owner in obj["metadata"].get("ownerReferences", ()):
            self._recheck_owner(owner["uid"])

    def _look_at(self, storage: str, obj: Object) -> None:
        meta = obj["metadata"]
        marked = {ORPHAN, FOREGROUND} & set(meta.get("finalizers", ()))
        if meta.get("ownerReferences") or ("deletionTimestamp" in meta and marked):
            self.enqueue((storage, meta["uid"]))

    def _recheck_owner(self, uid: str) -> None:
        """An owner deleted in the foreground waits for its dependents."""
        place = self.store.by_uid(uid)
        if place and "deletionTimestamp" in place[1]["metadata"]:
            self.enqueue((place[0], uid))

    def sync(self, key: Key) -> None:
        place = self.store.by_uid(key[1])
        if place is None:
            return
        storage, obj = place
        meta = obj["metadata"]
        finalizers = meta.get("finalizers", ())
        if "deletionTimestamp" in meta:
            if ORPHAN in finalizers:
                self._set_free(storage, obj)
            elif FOREGROUND in finalizers:
                self._delete_dependents(storage, obj)
        elif meta.get("ownerReferences"):
            self._collect(storage, obj)

    def _collect(self, storage: str, obj: Object) -> None:
        owners = obj["metadata"]["ownerReferences"]
        solid = [o for o in owners if self._is_solid(o)]
        waiting = [o for o in owners if o not in solid and self.store.exists(o["uid"])]
        if solid:
            if len(solid) < len(owners):
                self._write_owners(storage, obj, solid)
            return
        policy = (
            "Foreground"
            if waiting and self.store.owned_by(obj["metadata"]["uid"])
            else ("Background")
        )
        options = DeleteOptions(propagation=policy, uid=obj["metadata"]["uid"])
        delete(self.api, self.api.resource(storage), *name_of(obj), options)

    def _is_solid(self, owner: Object) -> bool:
        """Whether an owner is there and does not wait for this dependent to go first."""
        place = self.store.by_uid(owner["uid"])
        if place is None:
            return False
        meta = place[1]["metadata"]
        return "deletionTimestamp" not in meta or FOREGROUND not in meta.get("finalizers", ())

    def _set_free(self, storage: str, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for shelf, dependent in self.store.owned_by(uid):
            owners = dependent["metadata"]["ownerReferences"]
            self._write_owners(shelf, dependent, [o for o in owners if o["uid"] != uid])
        self._remove_finalizer(storage, obj, ORPHAN)

    def _delete_dependents(self, storage: str, obj: Object) -> None:
        """Delete what is left; the owner goes once nothing blocks it any longer."""
        uid = obj["metadata"]["uid"]
        blocking = 0
        for shelf, dependent in self.store.owned_by(uid):
            references = dependent["metadata"]["ownerReferences"]
            blocking += any(o["uid"] == uid and o.get("blockOwnerDeletion") for o in references)
            if "deletionTimestamp" not in dependent["metadata"]:
                self.enqueue((shelf, dependent["metadata"]["uid"]))
        if not blocking:
            self._remove_finalizer(storage, obj, FOREGROUND)

    def _remove_finalizer(self, storage: str, obj: Object, finalizer: str) -> None:
        left = [f for f in obj["metadata"]["finalizers"] if f != finalizer]
        self._write_meta(storage, obj, "finalizers", left)

    def _write_owners(self, storage: str, obj: Object, owners: list[Object]) -> None:
        self._write_meta(storage, obj, "ownerReferences", owners)

    def _write_meta(self, storage: str, obj: Object, key: str, value: list[object]) -> None:
        meta = {**obj["metadata"], key: value}
        if not value:
            del meta[key]
        self.api.write(self.api.resource(storage), obj, {**obj, "metadata": meta}, WRITES)
