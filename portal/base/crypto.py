"""Secrets at rest: Fernet (AES-128-CBC + HMAC-SHA256), newest key encrypts, all keys decrypt."""

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from portal.base.problems import Problem


class Locked(Problem):
    """The stored secret was encrypted under a key that is not configured any more."""

    status, code, title = 503, "secret_locked", "A stored secret cannot be opened"


def _cipher() -> MultiFernet:
    if not settings.FIELD_ENCRYPTION_KEYS:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS is empty: secrets cannot be stored")
    return MultiFernet([Fernet(key) for key in settings.FIELD_ENCRYPTION_KEYS])


def encrypt(value: Any) -> bytes:
    """Encrypts any JSON value."""
    return _cipher().encrypt(json.dumps(value).encode())


def decrypt(token: bytes) -> Any:
    """The JSON value behind a token. Raises Locked when no configured key opens it."""
    try:
        return json.loads(_cipher().decrypt(bytes(token)))
    except InvalidToken as error:
        raise Locked("No key in FIELD_ENCRYPTION_KEYS opens this secret") from error


class EncryptedJSONField(models.BinaryField):
    """A JSON value, encrypted in the database and never shown in forms or the admin."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: bytes | None, expression: Any, connection: Any) -> Any:
        return None if value is None else decrypt(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        token = None if value is None else encrypt(value)
        return super().get_db_prep_value(token, connection, prepared)

    def value_to_string(self, obj: models.Model) -> str:
        return ""
