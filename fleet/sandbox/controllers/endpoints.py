"""Endpoints and EndpointSlices: which ready pods stand behind a Service.

Source: pkg/controller/endpoint, pkg/controller/endpointslice.
"""

from ..codec import Options
from ..deletion import delete
from ..errors import StatusError
from ..store import Change, Object, name_of
from .base import Controller, Key, owner_reference
from .replicaset import ready_since

WRITES = Options(manager="kube-controller-manager")
SLICES = "discovery.k8s.io/endpointslices"
Group = tuple[list[Object], list[Object]]  # ports, the pods that serve on them
SETTLE_SECONDS = 0.2  # many pods change together; the slices follow once


class EndpointsController(Controller):
    """Its keys are those of Services."""

    component = "endpoint-controller"
    watches = ("services", "pods", SLICES)

    def observe(self, change: Change) -> None:
        obj = change.record.obj
        if change.storage == "services":
            self.enqueue(name_of(obj))
            return
        if change.storage == SLICES:
            name = obj["metadata"].get("labels", {}).get("kubernetes.io/service-name")
            if name and change.type == "DELETED":
                self.enqueue((obj["metadata"]["namespace"], name))
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
            (p for p in self.store.objects("pods", key[0]) if _serves(p, selector)), key=name_of
        )
        groups = _by_ports(service, pods)
        self._write("endpoints", service, _endpoints(service, groups), key[1])
        wanted = {f"{key[1]}-{index}": group for index, group in enumerate(groups)}
        for name, (ports, members) in wanted.items():
            self._write(SLICES, service, _slice(service, ports, members, name), name)
        for _, old in self.store.owned_by(service["metadata"]["uid"], SLICES):
            if old["metadata"]["name"] not in wanted:
                delete(self.api, self.api.resource(SLICES), *name_of(old))

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


def _serves(pod: Object, selector: Object) -> bool:
    labels = pod["metadata"].get("labels", {})
    is_there = pod.get("status", {}).get("podIP") and "deletionTimestamp" not in pod["metadata"]
    return bool(is_there) and selector.items() <= labels.items()


def _by_ports(service: Object, pods: list[Object]) -> list[Group]:
    """Pods that serve on the same port numbers together; one empty group when there are none."""
    groups: list[Group] = []
    for pod in pods:
        ports = _ports(service, pod)
        same = next((members for known, members in groups if known == ports), None)
        if same is None:
            groups.append((ports, [pod]))
        else:
            same.append(pod)
    return groups or [([], [])]


def _ports(service: Object, pod: Object) -> list[Object]:
    return [
        {"port": _target_port(port, pod), "protocol": port["protocol"]}
        | ({"name": port["name"]} if port.get("name") else {})
        for port in service["spec"].get("ports", ())
    ]


def _target_port(port: Object, pod: Object) -> int:
    """A port's number in a pod; names are looked up among the container's ports."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    named = (
        container_port["containerPort"]
        for container in pod["spec"]["containers"]
        for container_port in container.get("ports", ())
        if container_port.get("name") == target
    )
    return next(named, port["port"])


def _is_ready(service: Object, pod: Object) -> bool:
    return bool(ready_since(pod) or service["spec"].get("publishNotReadyAddresses"))


def _endpoints(service: Object, groups: list[Group]) -> Object:
    subsets: list[Object] = []
    for ports, pods in groups:
        subset: Object = {}
        for pod in pods:
            address = {
                "ip": pod["status"]["podIP"],
                "nodeName": pod["spec"]["nodeName"],
                "targetRef": _target(pod),
            }
            kind = "addresses" if _is_ready(service, pod) else "notReadyAddresses"
            subset.setdefault(kind, []).append(address)
        if subset:
            subsets.append({**subset, "ports": ports})
    meta = {"name": service["metadata"]["name"], "labels": service["metadata"].get("labels", {})}
    return {"metadata": meta, "subsets": subsets}


def _slice(service: Object, ports: list[Object], pods: list[Object], name: str) -> Object:
    labels = {
        "kubernetes.io/service-name": service["metadata"]["name"],
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    endpoints = []
    for pod in pods:
        ready = _is_ready(service, pod)
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
    named = [{"name": "", **port} for port in ports]
    return {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints, "ports": named}
