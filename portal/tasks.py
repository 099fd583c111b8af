"""Housekeeping tasks of the portal, on the queue `notify`. Safe to run twice, or never."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from portal.live.retention import forget_events


@shared_task
def forget_old_events() -> int:
    """Applies EVENT_RETENTION_HOURS."""
    return forget_events(older_than=timedelta(hours=settings.EVENT_RETENTION_HOURS))
