"""`manage.py revoke_api_key 0123456789abcdef`: ends a key at once."""

from argparse import ArgumentParser

from portal.base import api_keys
from portal.base.models import ApiKey, User
from portal.management.verb_command import VerbCommand, found


class Command(VerbCommand):
    help = "Ends an API key at once. Revoking twice is harmless."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("key", help="the key's id: what stands between ph_ and the dot")
        parser.add_argument("--reason", default="")

    def run(self, actor: User | None, *, key: str, reason: str, **_: object) -> None:
        # A whole key works too, so that nobody has to cut a leaked one into pieces.
        key_id = key.removeprefix("ph_").partition(".")[0]
        row = found(ApiKey.objects.select_related("owner"), "API key", key_id=key_id)
        api_keys.revoke(key=row, actor=actor, reason=reason)
        self.say(f"Key {row.key_id} ({row.name}) of {row.owner} is revoked.")
