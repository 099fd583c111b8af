"""Celery's door to the engine. A message is a hint: lost, late or doubled ones do no harm."""

from uuid import UUID

from celery import shared_task

from deploy import engine


@shared_task(name="deploy.tick", ignore_result=True)
def tick(rollout_id: str) -> int:
    """Advances one rollout as far as it goes now."""
    return engine.advance(UUID(rollout_id))
