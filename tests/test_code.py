"""What is true of all code: every model can be administered, asked for and made in a test."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command
from django.db.models import Model

from portal.api import router
from tests import factories

admin.autodiscover()  # the portal does so with its addresses

ROOMS = ("portal", "base", "fleet", "deploy", "inference")
MODELS = [model for model in apps.get_models() if model._meta.app_label in ROOMS]

NO_ADMIN = {"base.eventcounter": "one row with one number; only the bus writes it"}
NO_API = {
    "base.user": "people are administered in the admin; /me shows the asking one",
    "base.team": "administered in the admin; /me lists the asking user's teams",
    "base.membership": "administered in the admin; /me lists the asking user's roles",
    "base.apikey": "made on the command line, which shows the secret once",
    "base.event": "served by the live bus at /api/v1/events",
    "base.eventcounter": "one row with one number",
    "base.idempotencykey": "the memory of the API itself",
    "fleet.observedobject": "travels as events and as counts in clusters",
    "fleet.watchcursor": "part of a cluster, as its freshness",
    "deploy.rolloutstep": "part of its rollout",
    "deploy.attempt": "part of its rollout",
    "deploy.intent": "part of its rollout",
}
NO_FACTORY = {
    "base.membership": "make_user(team=…, role=…)",
    "base.event": "only the bus writes events",
    "base.eventcounter": "only the bus writes it",
    "base.auditentry": "only verbs write entries",
    "base.idempotencykey": "written by sending a request twice",
    "fleet.observedobject": "only the watcher writes what it saw",
    "fleet.watchcursor": "only the watcher writes where it stands",
    "deploy.rolloutstep": "written with its rollout by the verb",
    "deploy.attempt": "written by the engine",
    "deploy.intent": "written by the verbs",
}
SERVED = {view.queryset.model for _, view, _ in router.registry}
FACTORIES = {name for name, _ in inspect.getmembers(factories, inspect.isfunction)}


def snake(model: type[Model]) -> str:
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in model.__name__)
    return f"make{words}"


@pytest.mark.parametrize(
    ("has", "exempt"),
    [
        (lambda model: model in admin.site._registry, NO_ADMIN),
        (lambda model: model in SERVED, NO_API),
        (lambda model: snake(model) in FACTORIES, NO_FACTORY),
    ],
    ids=["admin", "API", "factory"],
)  # fmt: skip
def test_every_model_has_its_door_or_a_reason_not_to(has: object, exempt: dict[str, str]) -> None:
    without = {model._meta.label_lower for model in MODELS if not has(model)}
    assert without == set(exempt), "add it, or say why not; and strike what is there by now"


def test_every_list_declares_its_queries_search_and_order() -> None:
    for prefix, view, _ in router.registry:
        assert view.list_queries > 0, prefix
        assert view.search_fields, prefix
        assert view.ordering_fields, prefix
        assert view.filterset_class, prefix


@pytest.mark.django_db
def test_the_migrations_say_what_the_models_say() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_migrations_have_names() -> None:
    root = Path(__file__).parent.parent
    names = [path.stem for path in root.glob("*/**/migrations/0*.py") if ".venv" not in path.parts]
    assert len(names) >= 6
    assert [name for name in names if "_auto_" in name or name.endswith("initial")] == []


def test_importing_the_settings_and_the_urls_needs_no_database() -> None:
    program = "import django; django.setup(); import portal.urls"
    environment = {"DJANGO_SETTINGS_MODULE": "portal.settings", "DATABASE_URL": "postgres://none/x",
                   "PILOTHOUSE_VAR": "/nonexistent", "REDIS_URL": "redis://none"}  # fmt: skip
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
