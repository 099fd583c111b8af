"""`manage.py watch_clusters`: follow every registered cluster until SIGTERM or SIGINT."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from fleet.watching import Watcher


class Command(BaseCommand):
    help = "Follows all clusters and stores what it sees. Several may run; one leads per cluster."

    def handle(self, *args: Any, **options: Any) -> None:
        watcher = Watcher()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: watcher.stop())
        self.stdout.write("watching clusters")
        watcher.run()
