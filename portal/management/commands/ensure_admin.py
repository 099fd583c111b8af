"""Creates the user `admin` once, with the password in PILOTHOUSE_ADMIN_PASSWORD."""

import os

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

USERNAME = "admin"


class Command(BaseCommand):
    """An existing `admin` keeps its password: somebody may have changed it."""

    help = "Create the superuser 'admin' unless there is one (password: PILOTHOUSE_ADMIN_PASSWORD)."

    def handle(self, *args: str, **options: object) -> None:
        users = get_user_model().objects
        if users.filter(username=USERNAME).exists():
            self.stdout.write(f"{USERNAME} exists; its password stays.")
            return
        password = os.environ.get("PILOTHOUSE_ADMIN_PASSWORD")
        if not password:
            raise CommandError("PILOTHOUSE_ADMIN_PASSWORD is not set.")
        users.create_superuser(username=USERNAME, email="", password=password)
        self.stdout.write(f"{USERNAME} created.")
