"""The floor as a Django app; it imports no room."""

from django.apps import AppConfig


class BaseConfig(AppConfig):
    name = "portal.base"
    label = "base"
    verbose_name = "People, access and records"
