"""`/healthz`: the process answers. `/readyz`: it can serve, with the reason when it cannot.

Both without sign-in and without secrets. `/readyz` opens a connection of its own with a short
time-out, so a slow database or a full pool shows as an answer and not as a hanging probe.
"""

import socket
from functools import cache
from typing import Any

import psycopg
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from kombu import Connection

from portal.celery import app
from portal.live import relay

DATABASE_SECONDS = 2
BROKER_SECONDS = 0.5


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process serves requests."""
    return JsonResponse({"status": "alive"})


@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and is migrated, else 503. Relay and broker only inform."""
    checks: dict[str, Any] = {"live_relay": relay.state(), "broker": {"state": _broker()}}
    checks |= _database()
    ready = checks["database"]["state"] == "ok" and checks["migrations"]["state"] == "applied"
    status = "ready" if ready else "not ready"
    return JsonResponse({"status": status, "checks": checks}, status=200 if ready else 503)


def _database() -> dict[str, dict[str, Any]]:
    try:
        applied = _applied_migrations()
    except psycopg.errors.UndefinedTable:
        applied = set()
    except psycopg.Error:
        return {"database": {"state": "unreachable"}, "migrations": {"state": "unknown"}}
    missing = len(_known_migrations() - applied)
    state = {"state": "pending", "count": missing} if missing else {"state": "applied"}
    return {"database": {"state": "ok"}, "migrations": state}


def _applied_migrations() -> set[tuple[str, str]]:
    parameters = relay.database_parameters() | {
        "connect_timeout": DATABASE_SECONDS,
        "options": f"-c statement_timeout={DATABASE_SECONDS}s",
    }
    with psycopg.connect(**parameters, autocommit=True) as connection:
        return set(connection.execute("SELECT app, name FROM django_migrations"))


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)


def _broker() -> str:
    """Whether the broker's port answers. Delivery goes on without it, only slower."""
    with Connection(app.conf.broker_url) as broker:
        address = broker.hostname or "127.0.0.1", broker.port or broker.transport.default_port
    try:
        socket.create_connection(address, timeout=BROKER_SECONDS).close()
    except OSError:
        return "unreachable"
    return "reachable"


urlpatterns = [path("healthz", healthz, name="healthz"), path("readyz", readyz, name="readyz")]
