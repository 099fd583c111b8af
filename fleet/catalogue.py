"""Verbs on services and placements: what a team runs, and where.

A team's admins may; what is deployed is another room's business, which protects its own rows.
"""

from typing import Any

from django.db.models import ProtectedError

from fleet.inputs import confirmed, insert, validated
from fleet.models import Cluster, Placement, Service
from portal.base import access, audit, events
from portal.base.models import Role, Team, User
from portal.base.problems import Conflict, FieldProblem, Invalid


def create_service(
    *, team: Team, name: str, description: str = "", runbook_url: str = "", actor: User | None
) -> Service:
    """A new service of a team. Raises Invalid for bad fields, Conflict for a taken name."""
    _require_admin(actor, team)
    service = Service(team=team, name=name, description=description, runbook_url=runbook_url)
    validated(service)
    with events.transaction():
        insert(service)
        audit.record(actor=actor, verb="service.create", target=service, change={"team": team.slug})
        _tell(service, "service.changed", actor)
    return service


def change_service(
    *, service: Service, actor: User | None, description: str, runbook_url: str
) -> Service:
    """Rewords a service. Raises Invalid for bad fields."""
    _require_admin(actor, service.team)
    before = {"description": service.description, "runbook_url": service.runbook_url}
    service.description, service.runbook_url = description, runbook_url
    validated(service)
    after = {"description": description, "runbook_url": runbook_url}
    change = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    with events.transaction():
        service.save(update_fields=list(after))
        audit.record(actor=actor, verb="service.change", target=service, change=change)
        _tell(service, "service.changed", actor)
    return service


def remove_service(*, service: Service, actor: User | None, confirm: str, reason: str = "") -> None:
    """Forgets a service that has neither placements nor releases. `confirm` is its name."""
    _require_admin(actor, service.team)
    confirmed(confirm, service.name)
    with events.transaction():
        if service.placements.exists():
            raise Conflict(f"{service.name} is still placed on clusters", code="in_use")
        audit.record(actor=actor, verb="service.remove", target=service, reason=reason)
        _tell(service, "service.gone", actor)
        _delete(service, f"{service.name} has releases: history is kept")


def place(
    *,
    service: Service,
    cluster: Cluster,
    namespace: str,
    overrides: dict[str, Any] | None = None,
    actor: User | None,
) -> Placement:
    """Says that a service runs on a cluster, in a namespace. Nothing is deployed by it.

    Raises Invalid for bad fields or overrides, Conflict when it is placed there already.
    """
    _require_admin(actor, service.team)
    placement = Placement(
        service=service, cluster=cluster, namespace=namespace, overrides=_checked(overrides)
    )
    validated(placement)
    with events.transaction():
        insert(placement)
        change = {"cluster": cluster.name, "namespace": namespace, "overrides": overrides or {}}
        audit.record(actor=actor, verb="placement.create", target=placement, change=change)
        _tell_placement(placement, "placement.changed", actor)
    return placement


def change_overrides(
    *, placement: Placement, overrides: dict[str, Any], actor: User | None
) -> Placement:
    """Replaces a placement's overrides; they count from the next rollout on."""
    _require_admin(actor, placement.service.team)
    before, placement.overrides = placement.overrides, _checked(overrides)
    with events.transaction():
        placement.save(update_fields=["overrides"])
        change = {"overrides": [before, overrides]}
        audit.record(actor=actor, verb="placement.change", target=placement, change=change)
        _tell_placement(placement, "placement.changed", actor)
    return placement


def remove_placement(
    *, placement: Placement, actor: User | None, confirm: str, reason: str = ""
) -> None:
    """Forgets a placement that never had a rollout. `confirm` is the service's name."""
    _require_admin(actor, placement.service.team)
    confirmed(confirm, placement.service.name)
    with events.transaction():
        audit.record(actor=actor, verb="placement.remove", target=placement, reason=reason)
        _tell_placement(placement, "placement.gone", actor)
        _delete(placement, f"{placement} has rollouts: history is kept")


def _require_admin(actor: User | None, team: Team) -> None:
    if actor is not None:
        access.require(actor, team, Role.ADMIN)


def _delete(row: Service | Placement, why_not: str) -> None:
    try:
        row.delete()
    except ProtectedError:
        raise Conflict(why_not, code="in_use") from None


def _tell(service: Service, kind: str, actor: User | None) -> None:
    payload = {
        "id": str(service.pk),
        "name": service.name,
        "team_id": str(service.team_id),
        "description": service.description,
        "runbook_url": service.runbook_url,
    }
    topics = [service.topic, f"team:{service.team_id}"]
    events.emit(topics=topics, kind=kind, object_id=service.pk, payload=payload, actor=actor)


def _tell_placement(placement: Placement, kind: str, actor: User | None) -> None:
    service, cluster = placement.service, placement.cluster
    payload = {
        "id": str(placement.pk),
        "service": {"id": str(service.pk), "name": service.name},
        "cluster": {"id": str(cluster.pk), "name": cluster.name, "region": cluster.region},
        "namespace": placement.namespace,
    }
    topics = [placement.topic, service.topic, f"team:{service.team_id}"]
    events.emit(topics=topics, kind=kind, object_id=placement.pk, payload=payload, actor=actor)


def _checked(overrides: dict[str, Any] | None) -> dict[str, Any]:
    """The overrides, if they have the shape that `Placement` documents. Raises Invalid."""
    overrides = overrides if overrides is not None else {}
    if not isinstance(overrides, dict):
        raise Invalid.at("/overrides", "wrong_type", "Overrides are an object")
    problems = [
        FieldProblem(f"/overrides/{pointer}", code, message)
        for name, value in overrides.items()
        for pointer, code, message in _OVERRIDES.get(name, _unknown)(name, value)
    ]
    if problems:
        raise Invalid("The overrides are not well-formed", errors=problems)
    return overrides


Fault = tuple[str, str, str]  # pointer below /overrides, code, message


def _unknown(name: str, value: Any) -> list[Fault]:
    return [(_step(name), "unknown", "Known are replicas, resources and patches")]


def _replicas(name: str, value: Any) -> list[Fault]:
    if not isinstance(value, dict):
        return [(name, "wrong_type", "An object: Deployment to number of pods")]
    return [
        (f"{name}/{_step(workload)}", "wrong_type", "A whole number, 0 or more")
        for workload, count in value.items()
        if not isinstance(count, int) or isinstance(count, bool) or count < 0
    ]


def _resources(name: str, value: Any) -> list[Fault]:
    if not isinstance(value, dict):
        return [(name, "wrong_type", "An object: Deployment/container to resources")]
    faults = []
    for target, given in value.items():
        if target.count("/") != 1:
            faults.append((f"{name}/{_step(target)}", "invalid", "Name it Deployment/container"))
        elif not isinstance(given, dict) or given.keys() - {"requests", "limits"}:
            faults.append((f"{name}/{_step(target)}", "wrong_type", "Only requests and limits"))
    return faults


def _patches(name: str, value: Any) -> list[Fault]:
    if not isinstance(value, list):
        return [(name, "wrong_type", "A list of {kind, name, patch}")]
    return [
        (f"{name}/{index}", "wrong_type", "Each patch has kind, name and patch (an object)")
        for index, one in enumerate(value)
        if not isinstance(one, dict)
        or one.keys() != {"kind", "name", "patch"}
        or not isinstance(one["patch"], dict)
    ]


def _step(name: str) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


_OVERRIDES = {"replicas": _replicas, "resources": _resources, "patches": _patches}
