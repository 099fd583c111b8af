"""`manage.py release create|list|difference`: what a service can run."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import CommandError

from deploy import releases
from deploy.models import Release
from fleet.models import Service
from portal.base.models import User
from portal.management.verb_command import VerbCommand, found


class Command(VerbCommand):
    help = "Makes a release of a service, lists its releases, or compares two."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        does = parser.add_subparsers(dest="does", required=True)
        create = does.add_parser("create", help="freeze manifests and images under a version")
        create.add_argument("service")
        create.add_argument("version")
        create.add_argument("--manifests", required=True, help="a YAML file, - for standard input")
        create.add_argument("--image", action="append", default=[], metavar="NAME=REF@DIGEST")
        create.add_argument(
            "--config", action="append", default=[], metavar="CONFIGMAP/KEY=FILE", help="a file"
        )
        create.add_argument("--model", default="", metavar="ID@REVISION")
        create.add_argument("--git-commit", default="")
        create.add_argument("--changelog", default="")
        listing = does.add_parser("list", help="newest first")
        listing.add_argument("service")
        difference = does.add_parser("difference", help="what changes from one to the other")
        difference.add_argument("service")
        difference.add_argument("before", help="a version")
        difference.add_argument("after", help="a version")

    def run(self, actor: User | None, *, does: str, service: str, **given: Any) -> None:
        row = found(Service.objects, "service", name=service)
        getattr(self, does)(actor, row, **given)

    def create(self, actor: User | None, service: Service, **given: Any) -> None:
        model_id, _, revision = given["model"].partition("@")
        release = releases.create(
            service=service,
            version=given["version"],
            manifests=_documents(given["manifests"]),
            images=dict(_pair(text, "--image") for text in given["image"]),
            config=_config(given["config"]),
            model_id=model_id,
            model_revision=revision,
            git_commit=given["git_commit"],
            changelog=given["changelog"],
            actor=actor,
        )
        self.say(f"{release} is made. Digest {release.digest}")

    def list(self, actor: User | None, service: Service, **_: Any) -> None:
        rows = service.releases.select_related("created_by")[:50]
        for row in rows:
            by = row.created_by or "pilothouse"
            self.say(f"#{row.number:<4} {row.version:<20} {row.created_at:%Y-%m-%d %H:%M} {by}")
        if not rows:
            self.say(f"{service.name} has no releases yet.")

    def difference(self, actor: User | None, service: Service, **given: Any) -> None:
        before, after = (release_of(service, given[end]) for end in ("before", "after"))
        changes = releases.difference(before=before, after=after)
        for change in changes:
            self.say(f"{change['path']}: {change['before']} -> {change['after']}")
        if not changes:
            self.say("They are the same.")


def release_of(service: Service, version: str) -> Release:
    """A release by its version. Raises CommandError."""
    rows = Release.objects.filter(service=service).select_related("service")
    return found(rows, f"release of {service.name} with version", version=version)


def _documents(name: str) -> list[Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} is not YAML: {error}") from None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise CommandError(f"{option} takes NAME=VALUE, not {text!r}")
    return name, value


def _config(given: list[str]) -> dict[str, dict[str, str]]:
    config: dict[str, dict[str, str]] = {}
    for text in given:
        where, file = _pair(text, "--config")
        name, _, key = where.partition("/")
        try:
            config.setdefault(name, {})[key or Path(file).name] = Path(file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from None
    return config
