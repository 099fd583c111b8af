"""The portal's own Django app: pages, static files and commands."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Pilothouse"
