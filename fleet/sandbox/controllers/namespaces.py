"""Namespaces: furnished when they appear, emptied before they go.

Source: pkg/controller/serviceaccount, pkg/controller/certificates/rootcacertpublisher,
pkg/controller/namespace/deletion.
"""

from ..codec import Options
from ..deletion import delete
from ..store import Change, Object, name_of
from ..subresources import finalize_namespace
from .base import Controller, Key

WRITES = Options(manager="kube-controller-manager")
ROOT_CA = "kube-root-ca.crt"
ROOT_CA_TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc."
)
RECHECK_SECONDS = 0.1


class NamespaceController(Controller):
    """Its keys are ("", namespace)."""

    component = "namespace-controller"
    watches = ("namespaces", "serviceaccounts", "configmaps")

    def observe(self, change: Change) -> None:
        obj = change.record.obj
        if change.storage == "namespaces":
            self.enqueue(name_of(obj))
        elif change.type != "ADDED" and obj["metadata"]["name"] in ("default", ROOT_CA):
            self.enqueue(("", obj["metadata"]["namespace"]))

    def sync(self, key: Key) -> None:
        namespace = self.store.get("namespaces", *key)
        if namespace is None:
            return
        if "deletionTimestamp" in namespace["metadata"]:
            self._empty(namespace)
        else:
            self._furnish(namespace["metadata"]["name"])

    def _furnish(self, name: str) -> None:
        if self.store.get("serviceaccounts", name, "default") is None:
            account = {"metadata": {"name": "default"}}
            self.api.create(self.api.resource("serviceaccounts"), name, account, WRITES)
        self._publish_root_ca(name)

    def _publish_root_ca(self, name: str) -> None:
        resource, live = (
            self.api.resource("configmaps"),
            self.store.get("configmaps", name, ROOT_CA),
        )
        meta = {"name": ROOT_CA, "annotations": {"kubernetes.io/description": ROOT_CA_TEXT}}
        wanted = {"metadata": meta, "data": {"ca.crt": self.cluster.ca_pem}}
        if live is None:
            self.api.create(resource, name, wanted, WRITES)
        elif live.get("data") != wanted["data"]:
            self.api.update(resource, name, ROOT_CA, wanted, WRITES)

    def _empty(self, namespace: Object) -> None:
        """Delete what is inside; without anything left, let the namespace go."""
        name = namespace["metadata"]["name"]
        left = 0
        for storage in self.store.storages():
            for record in self.store.records(storage, name):
                left += 1
                if "deletionTimestamp" not in record.obj["metadata"]:
                    delete(self.api, self.api.resource(storage), *name_of(record.obj))
        left = sum(len(self.store.records(s, name)) for s in self.store.storages()) if left else 0
        if left:
            self.enqueue_after(("", name), RECHECK_SECONDS)
        elif namespace["spec"].get("finalizers"):
            finalize_namespace(self.api, name, {}, WRITES)
