"""`manage.py watch_clusters`: follow every registered cluster until SIGTERM or SIGINT."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from fleet.watching import Watcher


class Command(BaseCommand):
    help = "Follows all clusters and stores what it sees. Several may run; one leads per cluster."

    def handle(self, *args: Any, **options: Any) -> None:
        watcher = Watcher()

        def stop(*_: Any) -> None:
            # In a thread: a handler may interrupt the very lock that `stop` takes.
            threading.Thread(target=watcher.stop).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        self.stdout.write("watching clusters")
        watcher.run()
