"""Starts the whole portal on this machine; the same as `./pilothouse up`."""

import os
import sys

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Replaces itself by the launcher, which needs no Django and so keeps none in memory."""

    help = "Start servers, workers and the web on this machine (--help shows the options)."

    def run_from_argv(self, argv: list[str]) -> None:
        # The launcher parses its own options.
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, [sys.executable, "-m", "portal.launcher", *argv[2:]])

    def handle(self, *args: str, **options: object) -> None:
        raise NotImplementedError("up replaces the process; it cannot be called from code")
