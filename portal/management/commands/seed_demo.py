"""`manage.py seed_demo`: the demo of two simulated clusters and a speech service, once."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.base.problems import Problem
from portal.demo.seed import seed


class Command(BaseCommand):
    help = "Registers the sandbox's clusters and sets up the demo; repeating it changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--kubeconfigs",
            type=Path,
            default=settings.VAR_DIR / "kubeconfigs",
            help="where the sandbox wrote its kubeconfigs (default %(default)s)",
        )

    def handle(self, *args: Any, kubeconfigs: Path, **options: Any) -> None:
        try:
            seed(kubeconfigs, self.stdout.write)
        except FileNotFoundError as error:
            raise CommandError(f"{error.filename} is missing: is the sandbox running?") from None
        except Problem as problem:
            raise CommandError(f"{problem.title}: {problem.detail}") from None
