"""From `apiVersion` and `kind` to a URL path: a table for daily kinds, discovery for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fleet.kube.errors import NotFound
from fleet.kube.status import Asked


@dataclass(frozen=True)
class Resource:
    """One kind of object as the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def qualified(self) -> str:
        """`deployments.apps`, the way RBAC and kubectl name it."""
        group, slash, _ = self.api_version.partition("/")
        return f"{self.plural}.{group}" if slash else self.plural

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The URL path; `namespace` None means all of them (lists only)."""
        if self.namespaced and name and not namespace:
            raise ValueError(f"a {self.kind} lives in a namespace; none was given")
        root = "/apis/" if "/" in self.api_version else "/api/"
        inside = ["namespaces", namespace] if self.namespaced and namespace else []
        steps = [*inside, self.plural, name, subresource]
        return root + self.api_version + "".join("/" + quote(s, safe="") for s in steps if s)


def _table(api_version: str, namespaced: bool, kinds: str) -> dict[tuple[str, str], Resource]:
    pairs = (pair.split(":") for pair in kinds.split())
    return {(api_version, k): Resource(api_version, k, p, namespaced) for k, p in pairs}


# A tick pays for no discovery: everything a rollout touches on any cluster is here.
KNOWN: dict[tuple[str, str], Resource] = (
    _table("v1", True,
           "Pod:pods Service:services ConfigMap:configmaps Secret:secrets Event:events "
           "ServiceAccount:serviceaccounts Endpoints:endpoints ResourceQuota:resourcequotas "
           "LimitRange:limitranges PersistentVolumeClaim:persistentvolumeclaims")
    | _table("v1", False, "Node:nodes Namespace:namespaces PersistentVolume:persistentvolumes")
    | _table("apps/v1", True,
             "Deployment:deployments ReplicaSet:replicasets StatefulSet:statefulsets "
             "DaemonSet:daemonsets")
    | _table("batch/v1", True, "Job:jobs CronJob:cronjobs")
    | _table("autoscaling/v2", True, "HorizontalPodAutoscaler:horizontalpodautoscalers")
    | _table("policy/v1", True, "PodDisruptionBudget:poddisruptionbudgets")
    | _table("networking.k8s.io/v1", True, "Ingress:ingresses NetworkPolicy:networkpolicies")
    | _table("events.k8s.io/v1", True, "Event:events")
    | _table("coordination.k8s.io/v1", True, "Lease:leases")
    | _table("rbac.authorization.k8s.io/v1", True, "Role:roles RoleBinding:rolebindings")
    | _table("authorization.k8s.io/v1", False, "SelfSubjectAccessReview:selfsubjectaccessreviews")
)  # fmt: skip


class Resources:
    """The kinds one cluster serves; what the table lacks is discovered once per group."""

    def __init__(self) -> None:
        self._discovered: dict[tuple[str, str], Resource] = {}

    def find(self, api_version: str, kind: str, fetch: Callable[[str], dict[str, Any]]) -> Resource:
        """The resource of a kind. `fetch(path)` answers discovery. Raises NotFound."""
        key = (api_version, kind)
        known = KNOWN.get(key) or self._discovered.get(key)
        if known:
            return known
        root = "/apis/" if "/" in api_version else "/api/"
        listing = fetch(root + quote(api_version, safe="/"))
        self._discovered |= dict(_listed(api_version, listing))
        if key not in self._discovered:
            raise NotFound(f"this cluster has no kind {kind} in {api_version}")
        return self._discovered[key]


def discovery(api_version: str) -> Asked:
    """What a discovery request asks for, in the words of messages."""
    return Asked("get", f"the kinds of {api_version}")


def _listed(api_version: str, listing: dict[str, Any]) -> list[tuple[tuple[str, str], Resource]]:
    found = []
    for entry in listing.get("resources") or []:
        kind, plural = entry.get("kind", ""), entry.get("name", "")
        if kind and plural and "/" not in plural:  # the others are subresources
            resource = Resource(api_version, kind, plural, bool(entry.get("namespaced")))
            found.append(((api_version, kind), resource))
    return found
