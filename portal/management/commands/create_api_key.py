"""`manage.py create_api_key alice --scope write --days 90`: makes a key and shows it once."""

from argparse import ArgumentParser
from datetime import timedelta

from portal.base import api_keys
from portal.base.models import ApiKey, User
from portal.management.verb_command import VerbCommand, found


class Command(VerbCommand):
    help = "Makes an API key for a user and prints it. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("username", help="whose rights the key has")
        parser.add_argument("--name", default="command line", help="what the key is for")
        parser.add_argument("--scope", choices=ApiKey.Scope.values, default=ApiKey.Scope.READ)
        parser.add_argument("--days", type=float, default=90, help="lifetime, at most 365")
        parser.add_argument("--quiet", action="store_true", help="print the key and nothing else")

    def run(
        self,
        actor: User | None,
        *,
        username: str,
        name: str,
        scope: str,
        days: float,
        quiet: bool,
        **_: object,
    ) -> None:
        owner = found(User.objects, "user", username=username)
        lifetime = timedelta(days=min(days, 10_000))
        key, token = api_keys.create(
            owner=owner, name=name, scope=scope, lifetime=lifetime, actor=actor
        )
        if quiet:
            self.say(token)
            return
        self.say(f"Key {key.key_id} of {owner} ({scope}), until {key.expires_at:%Y-%m-%d}:")
        self.say(f"\n    {token}\n\nKeep it now; only a digest of it is stored.")
        self.say(f"Send it as: Authorization: Bearer {token[:6]}…")
