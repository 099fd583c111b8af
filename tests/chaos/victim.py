"""A worker process that kills or stops itself at a chosen point of a tick.

Children come from a fork server that has loaded Django but never touched the database, so each
costs milliseconds and none inherits a connection. Only the victim is changed; the code under test
in the surviving process is what runs in production.
"""

import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import UUID

LEASE_SECONDS = 1.0
PATIENCE_SECONDS = 30.0
# Name -> module, what in it holds the function ("" = the module), and the function.
# "…:after" strikes when the call has returned.
POINTS = {
    "claim": ("deploy.engine", "", "claim"),
    "look": ("deploy.engine.work", "", "look"),
    "perform": ("deploy.engine.work", "", "perform"),
    "apply": ("fleet.kube.gateway", "Gateway", "apply"),
    "delete": ("fleet.kube.gateway", "Gateway", "delete"),
    "write": ("deploy.engine.commit", "", "_write"),
    "commit": ("deploy.engine", "", "commit"),
}


def start(rollout_id: UUID, point: str, nth: int, blow: int = signal.SIGKILL) -> BaseProcess:
    """Starts a worker that is struck at the nth passing of a point, such as "apply:after"."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.chaos.preload"])
    from django.db import connection

    name = connection.settings_dict["NAME"]
    process = context.Process(target=_work, args=(rollout_id, point, nth, int(blow), name))
    process.start()
    return process


def _work(rollout_id: UUID, point: str, nth: int, blow: int, database: str) -> None:
    from django.conf import settings
    from django.db import connection

    settings.ENGINE_LEASE_SECONDS = LEASE_SECONDS
    connection.settings_dict["NAME"] = database
    from django.db.models.functions import Now

    from deploy import engine
    from deploy.models import Rollout

    _arm(point, nth, blow)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        Rollout.objects.filter(pk=rollout_id, next_due__isnull=False).update(next_due=Now())
        ticks = engine.advance(rollout_id)
        if Rollout.objects.get(pk=rollout_id).is_terminal or not ticks:
            return
        time.sleep(0.05)


def _arm(point: str, nth: int, blow: int) -> None:
    name, _, after = point.partition(":")
    module, owner, attribute = POINTS[name]
    holder: Any = importlib.import_module(module)
    holder = getattr(holder, owner) if owner else holder
    original: Callable = getattr(holder, attribute)
    passed = 0

    def struck(*args: Any, **kwargs: Any) -> Any:
        nonlocal passed
        passed += 1
        if passed == nth and not after:
            os.kill(os.getpid(), blow)
        result = original(*args, **kwargs)
        if passed == nth and after:
            os.kill(os.getpid(), blow)
        return result

    setattr(holder, attribute, struck)
