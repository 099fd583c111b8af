"""`manage.py roll_out asr --release 1.5.0 --cluster us-east [--watch]`: starts a rollout."""

from argparse import ArgumentParser
from typing import Any

from deploy import rollouts
from fleet.models import Service
from portal.base.models import User
from portal.management.commands.release import release_of
from portal.management.follow import follow
from portal.management.verb_command import VerbCommand, found, place_arguments, placement_of


class Command(VerbCommand):
    help = "Starts to bring a release of a service to a cluster."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        place_arguments(parser)
        parser.add_argument("--release", required=True, help="the version")
        parser.add_argument("--reason", default="")
        parser.add_argument("--deadline", type=int, metavar="SECONDS", help="without progress")
        parser.add_argument("--watch", action="store_true", help="stay until it has ended")

    def run(self, actor: User | None, *, service: str, release: str, **given: Any) -> None:
        row = found(Service.objects, "service", name=service)
        deadline = given["deadline"]
        rollout = rollouts.start(
            release=release_of(row, release),
            placement=placement_of(row, given["cluster"], given["namespace"]),
            actor=actor,
            reason=given["reason"],
            parameters={"progress_deadline_seconds": deadline} if deadline is not None else {},
        )
        self.say(f"Rollout {rollout.pk} of {rollout} is {rollout.get_state_display().lower()}.")
        if given["watch"]:
            follow(rollout, self.say)
