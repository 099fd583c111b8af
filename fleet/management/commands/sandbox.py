"""`manage.py sandbox …`: the same as `python -m fleet.sandbox …`."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run simulated Kubernetes clusters (see python -m fleet.sandbox --help)."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Become the sandbox process: it needs nothing of Django."""
        os.execv(sys.executable, [sys.executable, "-m", "fleet.sandbox", *argv[2:]])

    def handle(self, *args: Any, **options: Any) -> None:
        self.run_from_argv(["manage.py", "sandbox", *args])
