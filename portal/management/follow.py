"""Tells a rollout's progress line by line, the words those of the pages."""

import time
from collections.abc import Callable

from django.core.management.base import CommandError

from deploy.models import Rollout
from deploy.models.rollout import State
from deploy.projections import rollout_projection

POLL_SECONDS = 0.5


def tell(rollout: Rollout, say: Callable[[str], None]) -> None:
    """One paragraph: state, pods, and what happens next."""
    for line in _lines(rollout):
        say(line)


def follow(rollout: Rollout, say: Callable[[str], None]) -> None:
    """Says what changes until the rollout has ended. Raises CommandError unless it succeeded."""
    said: list[str] = []
    while True:
        rollout = Rollout.objects.get(pk=rollout.pk)
        lines = _lines(rollout)
        for line in lines:
            if line not in said:
                say(line)
        said = lines
        if rollout.is_terminal:
            break
        time.sleep(POLL_SECONDS)
    if rollout.state != State.SUCCEEDED:
        raise CommandError(f"The rollout is {rollout.get_state_display().lower()}")


def _lines(rollout: Rollout) -> list[str]:
    seen = rollout_projection(rollout)
    before = f"{seen['from_release']['version']} -> " if seen["from_release"] else ""
    lines = [
        f"{seen['service']['name']} {before}{seen['release']['version']} "
        f"on {seen['cluster']['name']}/{seen['namespace']}: {seen['state_label']}"
    ]
    lines += [
        f"  {w['name']}: {w['updated']} of {w['desired']} new, {w['ready']} ready, {w['old']} old"
        for w in seen["workloads"]
    ]
    if seen["explanation"]["waiting_for"] and not rollout.is_terminal:
        lines.append(f"  Waiting for {seen['explanation']['waiting_for']}")
    if rollout.is_terminal and seen["reason"]:
        lines.append(f"  {seen['reason']}")
    return lines
