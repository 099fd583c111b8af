"""The objects the cases create, as plain data."""

from typing import Any

MANUAL = {"sandbox.pilothouse.io/readiness": "manual"}


def config_map(name: str = "settings", data: dict[str, str] | None = None, **top: Any) -> dict:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    return obj | {"data": data if data is not None else {"colour": "blue"}} | top


def pod(name: str = "worker", *, manual: bool = False, **spec: Any) -> dict:
    metadata = {"name": name, "labels": {"app": name}}
    metadata |= {"annotations": MANUAL} if manual else {}
    spec = {"containers": [{"name": "main", "image": "registry.example/app:1"}]} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(name: str = "front", **spec: Any) -> dict:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def deployment(
    name: str = "web",
    replicas: int | None = 1,
    *,
    version: int = 1,
    manual: bool = False,
    surge: int | str | None = None,
    unavailable: int | str | None = None,
    **spec: Any,
) -> dict:
    """`manual` pods become ready only when the test says so."""
    metadata: dict[str, Any] = {"labels": {"app": name}}
    metadata |= {"annotations": MANUAL} if manual else {}
    container = {"name": "main", "image": f"registry.example/app:{version}"}
    body: dict[str, Any] = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": metadata, "spec": {"containers": [container]}},
    }
    body |= {"replicas": replicas} if replicas is not None else {}
    if surge is not None or unavailable is not None:
        rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
        body["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    meta = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": body | spec}


def replica_set(name: str = "set", replicas: int = 1, *, manual: bool = False) -> dict:
    obj = deployment(name, replicas, manual=manual)
    return obj | {"kind": "ReplicaSet"}


def image_patch(version: int | str) -> dict:
    """Strategic merge patch that moves the Deployment's only container to another image."""
    container = {"name": "main", "image": f"registry.example/app:{version}"}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}
