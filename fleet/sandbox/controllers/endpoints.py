"""Endpoints and EndpointSlices: which ready pods stand behind a Service.

Source: pkg/controller/endpoint, pkg/controller/endpointslice.
"""

from collections.abc import Iterator

from ..codec import Options
from ..deletion import delete
from ..errors import StatusError
from ..store import Change, Object, name_of
from .base import Controller, Key, owner_reference
from .replicaset import ready_since

WRITES = Options(manager="kube-controller-manager")
SETTLE_SECONDS = 0.2  # many pods change together; the slices follow once


class EndpointsController(Controller):
    """Its keys are those of Services."""

    component = "endpoint-controller"
    watches = ("services", "pods")

    def observe(self, change: Change) -> None:
        obj = change.record.obj
        if change.storage == "services":
            self.enqueue(name_of(obj))
            return
        labels = obj["metadata"].get("labels", {}).items()
        for service in self.store.objects("services", obj["metadata"]["namespace"]):
            selector = service["spec"].get("selector")
            if selector and selector.items() <= labels:
                self.enqueue_settled(name_of(service), SETTLE_SECONDS)

    def sync(self, key: Key) -> None:
        service = self.store.get("services", *key)
        if service is None:
            if self.store.get("endpoints", *key):
                delete(self.api, self.api.resource("endpoints"), *key)
            return
        selector = service["spec"].get("selector")
        if not selector:
            return
        pods = sorted(
            (
                p
                for p in self.store.objects("pods", key[0])
                if selector.items() <= p["metadata"].get("labels", {}).items()
                and p.get("status", {}).get("podIP")
                and "deletionTimestamp" not in p["metadata"]
            ),
            key=name_of,
        )
        self._write("endpoints", service, _endpoints(service, pods), service["metadata"]["name"])
        name = f"{service['metadata']['name']}-sandbox"
        self._write("discovery.k8s.io/endpointslices", service, _slice(service, pods, name), name)

    def _write(self, storage: str, service: Object, wanted: Object, name: str) -> None:
        resource, namespace = self.api.resource(storage), service["metadata"]["namespace"]
        live = self.store.get(storage, namespace, name)
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **wanted}
        try:
            if live is None:
                self.api.create(resource, namespace, body, WRITES)
            else:
                self.api.update(resource, namespace, name, body, WRITES)
        except StatusError as error:
            if error.reason not in ("Forbidden", "NotFound"):  # the namespace is on its way out
                raise


def _target(pod: Object) -> Object:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def _ports(service: Object, pods: list[Object]) -> list[Object]:
    return [
        {"port": _target_port(port, pods), "protocol": port["protocol"]}
        | ({"name": port["name"]} if port.get("name") else {})
        for port in service["spec"].get("ports", ())
    ]


def _target_port(port: Object, pods: list[Object]) -> int:
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    named = (p["containerPort"] for p in _container_ports(pods) if p.get("name") == target)
    return next(named, port["port"])


def _container_ports(pods: list[Object]) -> Iterator[Object]:
    for pod in pods[:1]:
        for container in pod["spec"]["containers"]:
            yield from container.get("ports", ())


def _endpoints(service: Object, pods: list[Object]) -> Object:
    subset: Object = {}
    for pod in pods:
        address = {
            "ip": pod["status"]["podIP"],
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": _target(pod),
        }
        kind = "addresses" if ready_since(pod) else "notReadyAddresses"
        subset.setdefault(kind, []).append(address)
    meta = {"name": service["metadata"]["name"], "labels": service["metadata"].get("labels", {})}
    return {
        "metadata": meta,
        "subsets": [{**subset, "ports": _ports(service, pods)}] if subset else [],
    }


def _slice(service: Object, pods: list[Object], name: str) -> Object:
    ports = [{"name": "", **port} for port in _ports(service, pods)]
    labels = {
        "kubernetes.io/service-name": service["metadata"]["name"],
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    endpoints = []
    for pod in pods:
        ready = bool(ready_since(pod))
        conditions = {"ready": ready, "serving": ready, "terminating": False}
        endpoints.append(
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": conditions,
                "nodeName": pod["spec"]["nodeName"],
                "targetRef": _target(pod),
            }
        )
    meta = {"name": name, "labels": labels, "ownerReferences": [owner_reference(service)]}
    return {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}
