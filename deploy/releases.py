"""Releases: create with a number of their own, and tell people what differs between two."""

from typing import Any

from django.db.models import Max

from deploy import render
from deploy.models import Release
from fleet.models import Service
from portal.base import access, audit, events
from portal.base.models import Role, User
from portal.base.problems import Conflict, Invalid

_SOMEWHERE = render.Target(namespace="default", placement_id="0" * 36)


def create(
    *,
    service: Service,
    version: str,
    manifests: list[dict],
    images: dict[str, str],
    config: dict[str, dict[str, str]],
    actor: User | None,
    **about: Any,
) -> Release:
    """Freezes a version of a service under the next number.

    `about`: model_id, model_revision, git_commit, changelog, provenance. Raises Invalid with
    pointers for wrong content, Conflict when the version exists, NotAllowed without the role.
    """
    if actor is not None:
        access.require(actor, service.team_id, Role.OPERATOR)
    if not version.strip():
        raise Invalid.at("/version", "required", "A release needs a version")
    render.render(manifests=manifests, images=images, config=config, target=_SOMEWHERE)
    content = {"manifests": manifests, "images": images, "config": config}
    with events.transaction():
        # The service row's lock makes the next number ours alone.
        Service.objects.select_for_update(of=("self",)).get(pk=service.pk)
        if Release.objects.filter(service=service, version=version).exists():
            raise Conflict(f"{service.name} {version} exists already", code="version_exists")
        release = Release.objects.create(
            service=service,
            number=_next_number(service),
            version=version,
            digest=f"sha256:{render.digest({**content, 'version': version})}",
            created_by=actor,
            **content,
            **about,
        )
        _announce(release, actor)
    return release


def _announce(release: Release, actor: User | None) -> None:
    change = {"digest": release.digest}
    audit.record(actor=actor, verb="release.create", target=release, change=change)
    events.emit(
        topics=[release.service.topic, f"team:{release.service.team_id}"],
        kind="release.created",
        object_id=release.pk,
        payload=summary(release),
        actor=actor,
    )


def summary(release: Release) -> dict[str, Any]:
    """The few words by which people know a release."""
    return {"id": str(release.pk), "number": release.number, "version": release.version}


def difference(*, before: Release | None, after: Release) -> list[dict[str, Any]]:
    """What a person wants to know before releasing: `[{path, before, after}]`, sorted by path."""
    old = _flat(_comparable(before)) if before else {}
    new = _flat(_comparable(after))
    return [
        {"path": path, "before": old.get(path), "after": new.get(path)}
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]


def _next_number(service: Service) -> int:
    last = Release.objects.filter(service=service).aggregate(last=Max("number"))["last"]
    return (last or 0) + 1


def _comparable(release: Release) -> dict[str, Any]:
    objects = {f"{o['kind']}/{o['metadata']['name']}": o for o in release.manifests}
    return {
        "images": release.images,
        "config": release.config,
        "model": {"id": release.model_id, "revision": release.model_revision},
        "objects": objects,
    }


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        items = ((f"{path}/{key}", item) for key, item in value.items())
    elif isinstance(value, list) and value:
        items = ((f"{path}/{_label(item, at)}", item) for at, item in enumerate(value))
    else:
        return {path: value}
    return {leaf: found for at, item in items for leaf, found in _flat(item, at).items()}


def _label(item: Any, index: int) -> str:
    """Containers, ports and variables are compared by name, other list items by position."""
    return str(item["name"]) if isinstance(item, dict) and "name" in item else str(index)
