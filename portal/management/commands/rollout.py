"""`manage.py rollout status|pause|resume|abort|retry|roll_back asr --cluster us-east`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from deploy import rollouts
from deploy.models import Rollout
from fleet.models import Placement, Service
from portal.base.models import User
from portal.management.commands.release import release_of
from portal.management.follow import follow, tell
from portal.management.verb_command import VerbCommand, found, place_arguments, placement_of

VERBS = {
    "status": "where the newest rollout stands",
    "pause": "stop moving pods",
    "resume": "go on",
    "abort": "return to the release before",
    "retry": "start the ended rollout again",
    "roll_back": "bring back an earlier release",
}


class Command(VerbCommand):
    help = "Steers the newest rollout of a service on a cluster."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        does = parser.add_subparsers(dest="does", required=True)
        for verb, about in VERBS.items():
            one = does.add_parser(verb, help=about)
            place_arguments(one)
            one.add_argument("--reason", default="")
            one.add_argument("--watch", action="store_true", help="stay until it has ended")
            if verb == "roll_back":
                one.add_argument("--to", metavar="VERSION", help="default: the last other one")

    def run(self, actor: User | None, *, does: str, service: str, **given: Any) -> None:
        row = found(Service.objects, "service", name=service)
        place = placement_of(row, given["cluster"], given["namespace"])
        rollout = self._done(actor, does, row, place, given)
        tell(rollout, self.say)
        if given["watch"]:
            follow(rollout, self.say)

    def _done(
        self, actor: User | None, does: str, service: Service, place: Placement, given: Any
    ) -> Rollout:
        reason = given["reason"]
        if does == "roll_back":
            to = release_of(service, given["to"]) if given["to"] else None
            return rollouts.roll_back(placement=place, actor=actor, to_release=to, reason=reason)
        rollout = _newest(place)
        if does == "status":
            return rollout
        made = getattr(rollouts, does)(rollout=rollout, actor=actor, reason=reason)
        return made if does == "retry" else _newest(place)


def _newest(placement: Placement) -> Rollout:
    rollout = (
        rollouts.active_rollout(placement) or placement.rollouts.order_by("-created_at").first()
    )
    if rollout is None:
        raise CommandError(f"Nothing was ever rolled out to {placement}")
    return rollout
