"""`manage.py forget_events`: event retention by hand or from cron."""

from typing import Any

from django.core.management.base import BaseCommand

from portal.tasks import forget_old_events


class Command(BaseCommand):
    help = "Deletes events older than EVENT_RETENTION_HOURS."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{forget_old_events()} events deleted")
