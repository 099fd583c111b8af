"""Loaded once by the fork server: Django and the engine, without a database connection."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

import django  # noqa: E402

django.setup()

import deploy.engine  # noqa: E402, F401
