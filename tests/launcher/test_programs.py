"""What the launcher's programs must have in common."""

from __future__ import annotations

import subprocess
import sys

from portal.launcher.layout import REPOSITORY


def test_every_management_command_hands_its_tasks_to_our_broker() -> None:
    ask = "from deploy.tasks import tick; print(tick.app.main, tick.app.conf.broker_url)"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", ask],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("pilothouse redis://"), done.stdout + done.stderr
