"""`manage.py dispatch`: the process that wakes the delivery engine."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from deploy.dispatcher import Dispatcher


class Command(BaseCommand):
    help = "Hears wakes, polls due rollouts, and hands ticks to Celery (or runs them itself)."

    def handle(self, *args: Any, **options: Any) -> None:
        dispatcher = Dispatcher()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: dispatcher.stop())
        dispatcher.run()
