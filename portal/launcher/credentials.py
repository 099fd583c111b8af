"""Secrets an installation makes for itself at its first start and keeps below `var/`, mode 0600."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from portal.launcher.layout import Layout, write_private


def keep(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made and written at the first call."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        write_private(path, make() + "\n")
        return path.read_text(encoding="utf-8").strip()


def random_token() -> str:
    """32 URL-safe random bytes as text."""
    return secrets.token_urlsafe(32)


def encryption_key() -> str:
    """32 random bytes, URL-safe base64 with padding: a Fernet key."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def readable_password() -> str:
    """About 80 random bits in four groups that a person can type."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def application_secrets(layout: Layout) -> dict[str, str]:
    """The settings of this installation that must stay secret, by environment variable."""
    return {
        "SECRET_KEY": keep(layout.secrets / "secret-key", random_token),
        "FIELD_ENCRYPTION_KEYS": keep(layout.secrets / "field-encryption-key", encryption_key),
        "API_KEY_PEPPER": keep(layout.secrets / "api-key-pepper", random_token),
    }
