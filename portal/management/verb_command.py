"""The command line as a door to the verbs: clear sentences, exit code 1 when refused."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model, QuerySet

from fleet.models import Placement, Service
from portal.base.models import User
from portal.base.problems import Problem


class VerbCommand(BaseCommand):
    """Subclasses write `run`; a Problem it raises becomes one sentence on standard error."""

    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--as", dest="actor", metavar="USER", help="act as this user, with this user's rights"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        name = given.pop("actor", None)
        actor = found(User.objects, "user", username=name) if name else None
        try:
            self.run(actor, **given)
        except Problem as problem:
            raise CommandError(sentence(problem)) from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted", returncode=130) from None

    def run(self, actor: User | None, **given: Any) -> None:
        raise NotImplementedError

    def say(self, text: str) -> None:
        self.stdout.write(text)


def sentence(problem: Problem) -> str:
    """A Problem on the command line: its detail, and one line per mistake."""
    mistakes = [f"  {one.pointer or '/'}: {one.message}" for one in problem.errors]
    return "\n".join([f"{problem.title}: {problem.detail}", *mistakes])


def found(rows: QuerySet | Any, what: str, **lookup: Any) -> Model:
    """The only row of a lookup. Raises CommandError when there is none, or more than one."""
    matches = list(rows.filter(**lookup)[:2])
    said = ", ".join(str(value) for value in lookup.values())
    if not matches:
        raise CommandError(f"There is no {what} {said}")
    if len(matches) > 1:
        raise CommandError(f"There is more than one {what} {said}; name the namespace too")
    return matches[0]


def placement_of(service: Service, cluster: str, namespace: str | None) -> Placement:
    """Where a service runs on a cluster. Raises CommandError."""
    rows = Placement.objects.select_related("service", "cluster").filter(service=service)
    lookup = {"cluster__name": cluster} | ({"namespace": namespace} if namespace else {})
    return found(rows, f"placement of {service.name} on", **lookup)


def place_arguments(parser: ArgumentParser) -> None:
    """The arguments that name a placement."""
    parser.add_argument("service")
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--namespace", help="only needed when there are several on the cluster")
