"""Where things lie below `var/`, and how private files are written there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from portal.launcher.errors import REFUSED, LaunchError

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Layout:
    """The folders and files of one installation, all below `var`."""

    var: Path

    @classmethod
    def from_environment(cls) -> Layout:
        return cls(Path(os.environ.get("PILOTHOUSE_VAR") or REPOSITORY / "var").resolve())

    def create(self) -> None:
        """Make the folders. Raises LaunchError when this user may not write there."""
        try:
            for folder in (self.var, self.run, self.secrets):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.run, os.W_OK):
                raise PermissionError(13, "Permission denied", str(self.run))
        except OSError as error:
            raise LaunchError(
                f"Cannot write to {error.filename}: {error.strerror}. Run as the user who owns it, "
                "or set PILOTHOUSE_VAR to a folder of your own.",
                exit_code=REFUSED,
            ) from error

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def secrets(self) -> Path:
        return self.var / "secrets"

    @property
    def postgres(self) -> Path:
        return self.var / "postgres"

    @property
    def valkey(self) -> Path:
        return self.var / "valkey"

    @property
    def sandbox(self) -> Path:
        return self.var / "sandbox"

    @property
    def kubeconfigs(self) -> Path:
        return self.var / "kubeconfigs"

    @property
    def ports(self) -> Path:
        return self.var / "ports.json"

    @property
    def embedded(self) -> Path:
        return self.var / "embedded.json"

    @property
    def admin_password(self) -> Path:
        return self.var / "admin-password"

    @property
    def seeded(self) -> Path:
        return self.var / "seeded"


def write_private(path: Path, text: str) -> None:
    """Write `text` so that only this user can read it and no reader sees half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
