"""Under which account a server runs that refuses to run as root (PostgreSQL does).

An ordinary user runs it as himself. Root shows it a user namespace in which root's files belong to
uid 65534: PostgreSQL sees an ordinary user, the kernel still grants root's access, so data and
binaries may lie below a 0700 home. Where namespaces are refused, root drops to uid 65534.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOBODY = 65534


@dataclass(frozen=True)
class Account:
    """How to start a program: `prefix` goes before its command, `uid` is dropped to when given."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None

    def popen_options(self) -> dict[str, Any]:
        """Keyword arguments for subprocess.Popen."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def can_read(self, path: Path) -> bool:
        """Whether a program under this account reaches `path`."""
        probe = ["test", "-r", str(path)]
        return subprocess.run(probe, timeout=10, **self.popen_options()).returncode == 0


SELF = Account()
NAMESPACE = Account(
    prefix=("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
)
DROPPED = Account(uid=NOBODY)


def pick_account() -> Account:
    """The account for PostgreSQL on this machine, for whoever runs this."""
    if os.geteuid() != 0:
        return SELF
    return NAMESPACE if _namespaces_work() else DROPPED


def _namespaces_work() -> bool:
    if shutil.which(NAMESPACE.prefix[0]) is None:
        return False
    probe = subprocess.run([*NAMESPACE.prefix, "true"], capture_output=True, timeout=10)
    return probe.returncode == 0
