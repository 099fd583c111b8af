"""Query parameters: read, checked, and refused in upstream's words.

Source: k8s.io/apimachinery/pkg/apis/meta/v1/validation and meta/internalversion/validation.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from . import errors
from .codec import Options
from .errors import FieldError
from .listing import Query
from .routes import Target
from .watching import WatchOptions

MANAGER_BYTES = 128
_OPTIONS_KIND = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name) in ("true", "1")


def write_options(request: web.Request, target: Target, duplicates: list[str]) -> Options:
    """The options of a write; raises StatusError 422."""
    query = request.query
    dry_run = query.getall("dryRun", [])
    manager = query.get("fieldManager", "")
    problems: list[FieldError] = []
    if any(value != "All" for value in dry_run):
        problems.append(errors.not_supported("dryRun", dry_run, ["All"]))
    if len(manager.encode()) > MANAGER_BYTES:
        problems.append(
            FieldError(
                "FieldValueTooLong",
                "fieldManager",
                "",
                f"may not be more than {MANAGER_BYTES} bytes",
            )
        )
    if query.get("fieldValidation", "") not in _VALIDATIONS:
        problems.append(
            errors.not_supported("fieldValidation", query["fieldValidation"], _VALIDATIONS)
        )
    is_apply = request.content_type.startswith("application/apply-patch")
    if is_apply and not manager:
        problems.append(errors.required("fieldManager", "is required for apply patch"))
    if problems:
        raise errors.invalid("meta.k8s.io", _OPTIONS_KIND[request.method], "", problems)
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    return Options(
        manager=manager or agent or "unknown",
        dry_run=bool(dry_run),
        validation=query.get("fieldValidation") or "Warn",
        force=flag(query, "force"),
        subresource=target.subresource,
        duplicates=tuple(duplicates),
    )


def list_query(request: web.Request, target: Target) -> Query:
    query = request.query
    limit = query.get("limit", "0")
    return Query(
        namespace=target.namespace,
        name=target.name,
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=int(limit) if limit.isdigit() else 0,
        continue_token=query.get("continue", ""),
    )


def check_revision(query: Mapping[str, str], current: int) -> None:
    """Refuse a resourceVersion that is no number (500, as upstream) or not reached yet (504)."""
    revision = query.get("resourceVersion", "")
    if revision and not revision.isdigit():
        raise errors.internal(
            f'resourceVersion: Invalid value: "{revision}": strconv.ParseUint: '
            f'parsing "{revision}": invalid syntax'
        )
    if revision and int(revision) > current:
        raise errors.too_large_revision(int(revision), current)


def watch_options(request: web.Request) -> WatchOptions:
    """The options of a watch; raises StatusError 422 or 500."""
    query = request.query
    initial = flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None
    if initial is not None and query.get("resourceVersionMatch") != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        problem = errors.forbidden_field("resourceVersionMatch", text)
        raise errors.invalid("meta.k8s.io", "ListOptions", "", [problem])
    revision = query.get("resourceVersion", "")
    if revision and not revision.isdigit():
        check_revision(query, 0)
    return WatchOptions(
        revision=revision,
        bookmarks=flag(query, "allowWatchBookmarks"),
        send_initial_events=initial,
        timeout_seconds=float(query.get("timeoutSeconds") or 0),
    )


def delete_parameters(request: web.Request) -> dict[str, Any]:
    """What a DELETE says in its URL, spelled as `DeleteOptions`."""
    query = request.query
    found: dict[str, Any] = {}
    if query.get("gracePeriodSeconds"):
        found["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
    if query.get("propagationPolicy"):
        found["propagationPolicy"] = query["propagationPolicy"]
    if query.get("dryRun"):
        found["dryRun"] = [query["dryRun"]]
    return found
