"""The admin: every model is there, states are to read, and changes go through the verbs."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deploy.models import Attempt, Intent, Release, Rollout
from fleet.models import Cluster, ObservedObject, Placement, Service, WatchCursor
from portal.base import api_keys
from portal.base.models import AuditEntry, IdempotencyKey, User
from tests import factories as make

pytestmark = pytest.mark.usefixtures("loopback_clusters", "quick_passwords")
admin.autodiscover()  # the portal does so with its addresses
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
READ_ONLY = (
    "base.apikey", "base.auditentry", "base.event", "base.idempotencykey", "deploy.attempt",
    "deploy.intent", "deploy.rolloutstep", "fleet.observedobject", "fleet.watchcursor",
)  # fmt: skip


@pytest.fixture
def quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def world(db: None) -> SimpleNamespace:
    service = make.make_service("asr", make.make_team("speech"))
    placement = make.make_placement(service, make.make_cluster("us-east"))
    release = make.make_release(service)
    return SimpleNamespace(service=service, placement=placement, release=release,
                           cluster=placement.cluster)  # fmt: skip


@pytest.fixture
def boss(db: None) -> Client:
    client = Client()
    client.force_login(make.make_admin("boss"))
    return client


def page(model: type, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def said(response: Any) -> str:
    """The messages shown after an action."""
    return " ".join(str(message) for message in response.context["messages"])


def act(client: Client, action: str, *rows: Any) -> Any:
    body = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(page(type(rows[0]), "changelist"), body, follow=True)


def fill() -> None:
    """One row more of every model."""
    rollout = make.make_rollout(created_by=make.make_user(role="viewer"))
    cluster = rollout.placement.cluster
    rollout.steps.create(index=0, kind="apply", title="Apply")
    Attempt.objects.create(rollout=rollout, step_index=0, action="apply", fence=1, outcome="ok",
                           at=rollout.created_at)  # fmt: skip
    Intent.objects.create(rollout=rollout, verb="pause", actor=rollout.created_by)
    make.make_node_pool(cluster)
    WatchCursor.objects.create(cluster=cluster, kind="Pod")
    ObservedObject.objects.create(cluster=cluster, placement=rollout.placement, kind="Pod",
                                  name="p", uid="u", seen_at=rollout.created_at)  # fmt: skip
    key, _ = make.make_api_key(rollout.created_by)
    IdempotencyKey.objects.create(
        principal=key.owner, key="k", request_digest="", response_status=1
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_every_model_can_be_listed_searched_and_opened(boss: Client, model: type) -> None:
    fill()
    listed = boss.get(page(model, "changelist"))
    assert listed.status_code == 200
    assert boss.get(page(model, "changelist") + "?q=nothing+is+called+so").status_code == 200
    row = model._default_manager.first()
    assert row is not None or model._meta.label == "auth.Group" or "Event" in model.__name__
    if row is not None:
        assert boss.get(page(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_long_lists_cost_no_more_queries_than_short_ones(boss: Client, model: type) -> None:
    counts = []
    for rows in (1, 4):
        for _ in range(rows):
            fill()
        boss.get(page(model, "changelist"))
        with CaptureQueriesContext(connection) as queries:
            boss.get(page(model, "changelist"))
        counts.append(len(queries))
    assert counts[1] <= counts[0]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_pages_hold_nothing_that_the_content_policy_forbids(boss: Client, model: type) -> None:
    fill()
    row = model._default_manager.first()
    addresses = [page(model, "changelist"), page(model, "add")]
    addresses += [page(model, "change", row.pk)] if row else []
    for address in addresses:
        text = boss.get(address).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", text)
        assert not re.search(r"\s(style|on[a-z]+)=", text), re.search(r"\s(style|on[a-z]+)=", text)


@pytest.mark.parametrize("label", READ_ONLY)
def test_records_are_to_read_for_the_superuser_too(boss: Client, label: str) -> None:
    fill()
    model = next(model for model in MODELS if model._meta.label_lower == label)
    row = model._default_manager.first()
    assert boss.get(page(model, "add")).status_code == 403
    if row is not None:
        assert boss.post(page(model, "change", row.pk), {}).status_code == 403
        assert boss.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_what_the_engine_writes_cannot_be_typed_in(boss: Client, world: SimpleNamespace) -> None:
    rollout = make.make_rollout(world.placement, world.release, state="progressing")
    text = boss.get(page(Rollout, "change", rollout.pk)).content.decode()
    assert "Progressing" in text
    assert 'name="state"' not in text
    answer = boss.post(page(Rollout, "change", rollout.pk), {"state": "succeeded", "fence": 9})
    assert answer.status_code == 403
    rollout.refresh_from_db()
    assert (rollout.state, rollout.fence) == ("progressing", 0)


def test_contact_with_a_cluster_cannot_be_typed_in(boss: Client, world: SimpleNamespace) -> None:
    body = {"region": "eu", "provider": "edge", "environment": "dr", "connection": "connected"}
    answer = boss.post(page(Cluster, "change", world.cluster.pk), body)
    assert answer.status_code == 302
    cluster = Cluster.objects.get()
    assert (cluster.region, cluster.connection) == ("eu", "unknown")
    assert AuditEntry.objects.filter(verb="cluster.change", actor="boss").exists()


# --- Adding -----------------------------------------------------------------------------------


def test_adding_a_rollout_starts_it(boss: Client, world: SimpleNamespace, emitted: Any) -> None:
    body = {"release": world.release.pk, "placement": world.placement.pk, "reason": "Now"}
    answer = boss.post(page(Rollout, "add"), body, follow=True)
    rollout = Rollout.objects.get()
    assert f"{rollout}" in said(answer)
    assert (rollout.state, rollout.created_by.username) == ("queued", "boss")
    assert rollout.plan["objects"], "the plan was rendered by the verb"
    assert rollout.steps.exists()
    assert emitted("rollout.changed")


def test_a_refused_start_shows_why_and_keeps_what_was_typed(
    boss: Client, world: SimpleNamespace
) -> None:
    make.make_rollout(world.placement, world.release)
    body = {"release": world.release.pk, "placement": world.placement.pk, "reason": "My reason"}
    answer = boss.post(page(Rollout, "add"), body)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "waits here already" in text
    assert "My reason" in text
    assert Rollout.objects.count() == 1


def test_adding_a_release_freezes_it_through_the_verb(boss: Client, world: SimpleNamespace) -> None:
    images = {"web": f"registry.example/web@{make.DIGEST}"}
    body = {"service": world.service.pk, "version": "7", "config": "{}", "provenance": "{}"}
    body |= {"manifests": json.dumps([make.make_deployment()]), "images": json.dumps(images)}
    answer = boss.post(page(Release, "add"), body, follow=True)
    assert answer.status_code == 200
    release = Release.objects.get(version="7")
    assert (release.number, release.created_by.username) == (2, "boss")
    assert release.digest.startswith("sha256:")


def test_an_unpinned_image_is_shown_at_its_field(boss: Client, world: SimpleNamespace) -> None:
    body = {"service": world.service.pk, "version": "7", "config": "{}", "provenance": "{}"}
    body |= {"manifests": json.dumps([make.make_deployment()]), "images": '{"web": "web:latest"}'}
    answer = boss.post(page(Release, "add"), body)
    assert "/images/web" in str(answer.context["adminform"].form.errors["images"])
    assert Release.objects.count() == 1


def test_a_release_never_changes(boss: Client, world: SimpleNamespace) -> None:
    assert boss.post(page(Release, "change", world.release.pk), {}).status_code == 403
    assert boss.post(page(Release, "delete", world.release.pk)).status_code == 403


def test_a_cluster_is_added_by_its_kubeconfig_and_refused_at_the_place(boss: Client) -> None:
    body = {"name": "edge", "region": "", "provider": "edge", "environment": "staging"}
    config = json.dumps({"users": [{"name": "u", "user": {"exec": {"command": "touch"}}}]})
    answer = boss.post(page(Cluster, "add"), body | {"kubeconfig": config})
    assert "/kubeconfig/users/0/user/exec" in answer.content.decode()
    assert not Cluster.objects.exists()


def test_services_and_placements_are_added_changed_and_removed_by_verbs(
    boss: Client, world: SimpleNamespace
) -> None:
    body = {"team": world.service.team_id, "name": "tts", "description": "", "runbook_url": ""}
    boss.post(page(Service, "add"), body)
    service = Service.objects.get(name="tts")
    boss.post(page(Service, "change", service.pk), {"description": "Voices", "runbook_url": ""})
    place = {"service": service.pk, "cluster": world.cluster.pk, "namespace": "speech"}
    boss.post(page(Placement, "add"), place | {"overrides": "{}"})
    placement = Placement.objects.get(service=service)
    wrong = boss.post(page(Placement, "change", placement.pk), {"overrides": '{"speed": 3}'})
    assert "/overrides/speed" in wrong.content.decode()
    boss.post(page(Placement, "change", placement.pk), {"overrides": '{"replicas": {"a": 2}}'})
    assert Placement.objects.get(pk=placement.pk).overrides == {"replicas": {"a": 2}}
    refused = boss.post(page(Service, "delete", service.pk), {"post": "yes"}, follow=True)
    assert "still placed" in said(refused)
    boss.post(page(Placement, "delete", placement.pk), {"post": "yes"})
    boss.post(page(Service, "delete", service.pk), {"post": "yes"})
    assert not Service.objects.filter(name="tts").exists()
    verbs = set(AuditEntry.objects.filter(actor="boss").values_list("verb", flat=True))
    assert verbs == {
        "service.create", "service.change", "service.remove", "placement.create",
        "placement.change", "placement.remove",
    }  # fmt: skip


def test_deleting_asks_first(boss: Client, world: SimpleNamespace) -> None:
    spare = make.make_cluster("spare")
    asked = boss.get(page(Cluster, "delete", spare.pk))
    assert "Are you sure" in asked.content.decode()
    assert Cluster.objects.filter(name="spare").exists()
    boss.post(page(Cluster, "delete", spare.pk), {"post": "yes"})
    assert not Cluster.objects.filter(name="spare").exists()
    refused = boss.post(page(Cluster, "delete", world.cluster.pk), {"post": "yes"}, follow=True)
    assert refused.status_code in (200, 403)
    assert Cluster.objects.filter(name="us-east").exists()


# --- Actions ----------------------------------------------------------------------------------


def test_rollouts_are_steered_and_refusals_told(boss: Client, world: SimpleNamespace) -> None:
    going = make.make_rollout(world.placement, world.release, state="progressing")
    assert "will pause" in said(act(boss, "pause", going))
    assert "already" in said(act(boss, "pause", going))
    assert "cannot be asked to resume" in said(act(boss, "resume", going))
    assert "will be aborted" in said(act(boss, "abort", going))
    assert set(going.intents.values_list("verb", "actor__username")) == {
        ("pause", "boss"), ("abort", "boss")
    }  # fmt: skip


def test_a_release_leads_to_its_start(boss: Client, world: SimpleNamespace) -> None:
    answer = act(boss, "start", world.release)
    assert answer.redirect_chain[-1][0].endswith(f"add/?release={world.release.pk}")
    assert str(world.release.pk) in answer.content.decode()
    other = make.make_release(world.service)
    assert "Select one release" in said(act(boss, "start", world.release, other))


def test_keys_are_revoked(boss: Client, db: None) -> None:
    key, token = make.make_api_key()
    assert "revoked" in said(act(boss, "revoke", key))
    assert api_keys.find(token) is None


def test_connections_are_checked(boss: Client, world: SimpleNamespace) -> None:
    assert "us-east: Address" in said(act(boss, "check_connection", world.cluster))
    assert Cluster.objects.get().connection == "unreachable"


def test_staff_with_the_right_to_look_cannot_act(world: SimpleNamespace) -> None:
    staff = make.make_user(is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(staff)
    going = make.make_rollout(world.placement, world.release, state="progressing")
    listed = client.get(page(Rollout, "changelist"))
    assert listed.status_code == 200
    assert 'value="abort"' not in listed.content.decode()
    act(client, "abort", going)
    assert not going.intents.exists()
    assert client.get(page(Rollout, "add")).status_code == 403


def test_people_changes_are_audited(boss: Client, db: None) -> None:
    team = make.make_team()
    empty = {f"memberships-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    boss.post(page(type(team), "change", team.pk), {"name": "Voice", "slug": "voice", **empty})
    entry = AuditEntry.objects.get(verb="team.change")
    assert (entry.actor, entry.change) == ("boss", {"fields": ["name", "slug"]})
    assert User.objects.filter(username="boss").exists()


def test_only_staff_comes_in(db: None) -> None:
    client = Client()
    client.force_login(make.make_user())
    assert client.get("/admin/").status_code == 302
