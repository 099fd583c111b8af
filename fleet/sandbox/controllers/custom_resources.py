"""CustomResourceDefinitions: served as soon as they are written, emptied when they go.

Source: k8s.io/apiextensions-apiserver/pkg/controller/{establish,finalizer,status}.
"""

from ..codec import Options
from ..deletion import delete
from ..store import Change, Object, name_of
from .base import Controller, Key

STATUS_WRITES = Options(manager="kube-apiserver", subresource="status")
SHELF = "apiextensions.k8s.io/customresourcedefinitions"


class CustomResourceController(Controller):
    component = "apiextensions"
    watches = (SHELF,)

    def observe(self, change: Change) -> None:
        definition = change.record.obj
        if change.type == "DELETED":
            self._withdraw(definition)
            return
        self.api.resources.define(definition)
        self.enqueue(name_of(definition))

    def _withdraw(self, definition: Object) -> None:
        spec = definition["spec"]
        storage = f"{spec['group']}/{spec['names']['plural']}"
        for obj in list(self.store.objects(storage)):
            delete(self.api, self.api.resource(storage), *name_of(obj))
        self.api.resources.forget(definition)

    def sync(self, key: Key) -> None:
        live = self.store.get(SHELF, *key)
        if live is None or live.get("status", {}).get("conditions"):
            return
        now, spec = self.clock.stamp(), live["spec"]
        verdicts = (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
        status = {
            "conditions": [
                {
                    "type": kind,
                    "status": "True",
                    "lastTransitionTime": now,
                    "reason": reason,
                    "message": message,
                }
                for kind, reason, message in verdicts
            ],
            "acceptedNames": spec["names"],
            "storedVersions": [v["name"] for v in spec["versions"] if v.get("storage")],
        }
        changed = {**live, "metadata": dict(live["metadata"]), "status": status}
        self.api.write(self.api.resource(SHELF), live, changed, STATUS_WRITES)
