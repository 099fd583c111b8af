"""Calls to one cluster: read, list, apply, patch, delete, logs, access review; plain dicts.

Every call has a time limit, is sent once, and fails with an error of `fleet.kube.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.kube.clock import Budget
from fleet.kube.errors import Conflict, Invalid
from fleet.kube.listing import Page
from fleet.kube.resources import Resource, Resources, discovery
from fleet.kube.status import Asked
from fleet.kube.wire import Limits, Request, Wire

__all__ = ["AccessVerdict", "Budget", "Gateway"]

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
LOG_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class AccessVerdict:
    """Whether the credential may do something, with the authoriser's reason if it gave one."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True)
class Write:
    """One change to send: how, what, in whose name."""

    method: str
    content_type: str
    body: Any
    field_manager: str
    dry_run: bool
    subresource: str = ""


class Gateway:
    """One cluster. Safe to share between threads; `within` gives a view bound to a time budget."""

    def __init__(
        self, wire: Wire, resources: Resources | None = None, budget: Budget | None = None
    ) -> None:
        self.wire = wire
        self._resources = resources or Resources()
        self._budget = budget

    def within(self, budget: Budget) -> Gateway:
        """The same connections, with every call also bound by what is left of `budget`."""
        return Gateway(self.wire, self._resources, budget)

    def version(self) -> Object:
        """`{"major", "minor", "gitVersion", ...}`."""
        return self._json(Request(Asked("get", "/version"), "GET", "/version"))

    def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Object:
        """One object. Raises NotFound."""
        resource = self.resource(api_version, kind)
        asked = Asked("get", resource.qualified, name)
        return self._json(Request(asked, "GET", resource.path(namespace, name)))

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> Iterator[Object]:
        """All objects, `limit` per request. Raises Gone if the pages outlive their snapshot."""
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        for page in self.pages(api_version, kind, namespace, query | {"limit": str(limit)}):
            for item in page.items():
                # Items of a list do not repeat what the list says.
                yield {"apiVersion": api_version, "kind": kind} | item

    def pages(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        query: dict[str, str],
        limits: Limits | None = None,
    ) -> Iterator[Page]:
        """A list as it comes, page by page."""
        resource = self.resource(api_version, kind)
        asked, path = Asked("list", resource.qualified), resource.path(namespace)
        query = {key: value for key, value in query.items() if value}
        while True:
            request = Request(asked, "GET", path, query)
            page = Page(self.wire.bytes(request, self._limits(limits)), asked)
            yield page
            token = page.next_token
            if not token:
                return
            # A continued list takes its version from the token; giving both is an error.
            first_only = ("resourceVersion", "resourceVersionMatch")
            query = {k: v for k, v in query.items() if k not in first_only} | {"continue": token}

    def apply(
        self, obj: Object, *, field_manager: str, force: bool = False, dry_run: bool = False
    ) -> Object:
        """Server-side apply: create the object or take ownership of exactly the fields given.

        Raises FieldConflict when another manager owns one of them and `force` is off, Conflict
        when `metadata.resourceVersion` or `uid` is given and stale.
        """
        query = {"force": "true" if force else "false"}
        write = Write("PATCH", APPLY, obj, field_manager, dry_run)
        return self._write(write, obj, query)

    def create(self, obj: Object, *, field_manager: str, dry_run: bool = False) -> Object:
        """A new object. Raises Conflict when it exists already."""
        return self._write(Write("POST", "application/json", obj, field_manager, dry_run), obj)

    def patch_json(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        ops: list[Object],
        *,
        field_manager: str,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """JSON Patch (RFC 6902). Raises Conflict when a `test` in it does not hold."""
        target = _reference(api_version, kind, namespace, name)
        write = Write("PATCH", JSON_PATCH, ops, field_manager, dry_run, subresource)
        try:
            return self._write(write, target)
        except Invalid as error:
            # The API server does not say which operation failed, only 422 without a cause.
            if error.causes or not any(op.get("op") == "test" for op in ops):
                raise
            why = f"{kind} {name} is not as the patch expects it"
            raise Conflict(why, status=error.status) from None

    def patch_merge(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        patch: Object,
        *,
        field_manager: str,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """JSON Merge Patch (RFC 7386): None deletes a key, lists are replaced whole."""
        target = _reference(api_version, kind, namespace, name)
        write = Write("PATCH", MERGE_PATCH, patch, field_manager, dry_run, subresource)
        return self._write(write, target)

    def delete(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str = "",
        propagation: str = "Background",
    ) -> None:
        """Raises NotFound when it is gone already, Conflict when `uid` names another object."""
        resource = self.resource(api_version, kind)
        options: Object = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        asked = Asked("delete", resource.qualified, name, writes=True)
        self._json(Request(asked, "DELETE", resource.path(namespace, name), body=options))

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        tail_lines: int = 200,
        since_seconds: int | None = None,
    ) -> str:
        """The last lines a container wrote, at most 4 MiB of them."""
        query = {"tailLines": str(tail_lines), "limitBytes": str(LOG_BYTES), "container": container}
        if since_seconds is not None:
            query["sinceSeconds"] = str(since_seconds)
        path = self.resource("v1", "Pod").path(namespace, pod, "log")
        query = {key: value for key, value in query.items() if value}
        request = Request(Asked("get", "pods/log", pod), "GET", path, query)
        return self.wire.bytes(request, self._limits()).decode("utf-8", "replace")

    def can_i(
        self, verb: str, group: str, resource: str, namespace: str = "", subresource: str = ""
    ) -> AccessVerdict:
        """Whether the credential may; asks, and changes nothing."""
        wanted = {
            "verb": verb, "group": group, "resource": resource,
            "namespace": namespace, "subresource": subresource,
        }  # fmt: skip
        review = self.resource("authorization.k8s.io/v1", "SelfSubjectAccessReview")
        body = {
            "apiVersion": review.api_version,
            "kind": review.kind,
            "spec": {"resourceAttributes": {k: v for k, v in wanted.items() if v}},
        }
        asked = Asked("create", review.qualified)
        status = (
            self._json(Request(asked, "POST", review.path(None), body=body)).get("status") or {}
        )
        reason = status.get("reason") or status.get("evaluationError") or ""
        return AccessVerdict(bool(status.get("allowed")), str(reason))

    def resource(self, api_version: str, kind: str) -> Resource:
        """How this cluster serves a kind; unknown kinds are discovered. Raises NotFound."""
        return self._resources.find(
            api_version, kind, lambda path: self._json(Request(discovery(api_version), "GET", path))
        )

    def _write(self, write: Write, target: Object, query: dict[str, str] | None = None) -> Object:
        resource = self.resource(target["apiVersion"], target["kind"])
        meta = target["metadata"]
        creates = write.method == "POST"
        name = "" if creates else meta["name"]
        path = resource.path(meta.get("namespace"), name, write.subresource)
        what = "/".join(filter(None, (resource.qualified, write.subresource)))
        # A dry run stores nothing, so a lost answer leaves nothing unknown.
        verb = "create" if creates else "patch"
        asked = Asked(verb, what, meta.get("name", ""), writes=not write.dry_run)
        query = {"fieldManager": write.field_manager, **(query or {})}
        if write.dry_run:
            query["dryRun"] = "All"
        return self._json(Request(asked, write.method, path, query, write.body, write.content_type))

    def _json(self, request: Request, limits: Limits | None = None) -> Object:
        return self.wire.json(request, self._limits(limits))

    def _limits(self, limits: Limits | None = None) -> Limits:
        limits = limits or Limits()
        return limits.within(self._budget.left()) if self._budget else limits


def _reference(api_version: str, kind: str, namespace: str | None, name: str) -> Object:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
