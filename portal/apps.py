"""The portal's own Django app: pages, static files and commands."""

from django.apps import AppConfig

# Without it, shared tasks belong to Celery's default application, which knows no broker of ours.
from portal.celery import app as celery_app  # noqa: F401


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Pilothouse"
