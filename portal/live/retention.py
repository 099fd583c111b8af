"""Forgetting events nobody can resume from any more. The audit trail is another table."""

from datetime import timedelta

from django.utils import timezone

from portal.base.models import Event

BATCH = 5_000


def forget_events(*, older_than: timedelta) -> int:
    """Deletes every event up to the newest one that is too old; how many went.

    By seq and in batches, so what is left has no gaps at any moment and locks stay short.
    """
    old = Event.objects.filter(at__lt=timezone.now() - older_than)
    last = old.order_by("-seq").values_list("seq", flat=True).first()
    if last is None:
        return 0
    first = Event.objects.order_by("seq").values_list("seq", flat=True)[0]
    return sum(
        Event.objects.filter(seq__lte=min(end, last)).delete()[0]
        for end in range(first + BATCH - 1, last + BATCH, BATCH)
    )
