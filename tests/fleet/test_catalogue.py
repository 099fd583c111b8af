"""Services and placements: who may change them, what is refused, what is told."""

from typing import Any

import pytest

from fleet import catalogue
from fleet.models import Placement, Service
from portal.base.models import AuditEntry, Role
from portal.base.problems import Conflict, Invalid, NotAllowed
from tests import factories
from tests.conftest import Emitted

pytestmark = pytest.mark.django_db


def test_a_team_admin_creates_a_service(emitted: Emitted) -> None:
    team = factories.make_team()
    admin = factories.make_user(team=team, role=Role.ADMIN)
    service = catalogue.create_service(team=team, name="asr", actor=admin)
    [event] = emitted("service.changed")
    assert event.topics == [service.topic, f"team:{team.pk}"]
    assert (event.payload["name"], event.actor) == ("asr", admin.username)
    assert AuditEntry.objects.get().verb == "service.create"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_others_change_nothing_in_the_catalogue(role: str) -> None:
    placement = factories.make_placement()
    service = placement.service
    somebody = factories.make_user(team=service.team, role=role)
    cluster = factories.make_cluster()
    refused = [
        lambda: catalogue.create_service(team=service.team, name="x", actor=somebody),
        lambda: catalogue.change_service(
            service=service, actor=somebody, description="x", runbook_url=""
        ),
        lambda: catalogue.remove_service(service=service, actor=somebody, confirm=service.name),
        lambda: catalogue.place(service=service, cluster=cluster, namespace="x", actor=somebody),
        lambda: catalogue.change_overrides(placement=placement, overrides={}, actor=somebody),
        lambda: catalogue.remove_placement(
            placement=placement, actor=somebody, confirm=service.name
        ),
    ]
    for verb in refused:
        with pytest.raises(NotAllowed):
            verb()
    assert (Service.objects.count(), Placement.objects.count()) == (1, 1)


def test_an_admin_of_another_team_is_a_stranger() -> None:
    stranger = factories.make_user(role=Role.ADMIN)
    with pytest.raises(NotAllowed):
        catalogue.create_service(team=factories.make_team(), name="asr", actor=stranger)


@pytest.mark.parametrize(
    ("field", "value"), [("name", "Not A Label"), ("name", "x" * 64), ("runbook_url", "no url")]
)
def test_fields_keep_their_rules(field: str, value: str) -> None:
    given = {"team": factories.make_team(), "name": "asr", "actor": None, field: value}
    with pytest.raises(Invalid) as refused:
        catalogue.create_service(**given)
    assert {problem.pointer for problem in refused.value.errors} == {f"/{field}"}


def test_a_service_name_is_given_once() -> None:
    service = factories.make_service("asr")
    with pytest.raises(Conflict) as refused:
        catalogue.create_service(team=service.team, name="asr", actor=None)
    assert refused.value.code == "duplicate"


def test_a_change_is_audited_field_by_field() -> None:
    service = factories.make_service(description="old")
    catalogue.change_service(service=service, actor=None, description="new", runbook_url="")
    assert AuditEntry.objects.get().change == {"description": ["old", "new"]}
    assert Service.objects.get().description == "new"


def test_a_service_is_placed_once_per_namespace(emitted: Emitted) -> None:
    service, cluster = factories.make_service(), factories.make_cluster()
    where = {"service": service, "cluster": cluster, "actor": None}
    placement = catalogue.place(**where, namespace="speech")
    catalogue.place(**where, namespace="other")
    with pytest.raises(Conflict):
        catalogue.place(**where, namespace="speech")
    told = emitted("placement.changed")[0]
    assert told.topics == [placement.topic, service.topic, f"team:{service.team_id}"]


def test_overrides_of_the_documented_shape_are_kept() -> None:
    overrides = {
        "replicas": {"web": 3},
        "resources": {"web/web": {"requests": {"cpu": "1"}, "limits": {}}},
        "patches": [{"kind": "Deployment", "name": "web", "patch": {"spec": {}}}],
    }
    placement = catalogue.place(
        service=factories.make_service(), cluster=factories.make_cluster(),
        namespace="x", overrides=overrides, actor=None,
    )  # fmt: skip
    placement.refresh_from_db()
    assert placement.overrides == overrides


@pytest.mark.parametrize(
    ("overrides", "pointer"),
    [
        ({"replica": {}}, "/overrides/replica"),
        ({"replicas": 3}, "/overrides/replicas"),
        ({"replicas": {"web": -1}}, "/overrides/replicas/web"),
        ({"replicas": {"web": True}}, "/overrides/replicas/web"),
        ({"resources": {"web": {}}}, "/overrides/resources/web"),
        ({"resources": {"web/web": {"cpu": "1"}}}, "/overrides/resources/web~1web"),
        ({"patches": {}}, "/overrides/patches"),
        ({"patches": [{"kind": "Deployment"}]}, "/overrides/patches/0"),
        ([], "/overrides"),
    ],
)
def test_other_overrides_are_refused_by_their_place(overrides: Any, pointer: str) -> None:
    placement = factories.make_placement()
    with pytest.raises(Invalid) as refused:
        catalogue.change_overrides(placement=placement, overrides=overrides, actor=None)
    assert [problem.pointer for problem in refused.value.errors] == [pointer]


def test_removing_takes_the_name_typed(emitted: Emitted) -> None:
    placement = factories.make_placement(factories.make_service("asr"))
    with pytest.raises(Invalid):
        catalogue.remove_placement(placement=placement, actor=None, confirm="tts")
    catalogue.remove_placement(placement=placement, actor=None, confirm="asr")
    assert not Placement.objects.exists()
    assert len(emitted("placement.gone")) == 1


def test_history_protects_placements_and_services(emitted: Emitted) -> None:
    rollout = factories.make_rollout(state="succeeded")
    placement, service = rollout.placement, rollout.placement.service
    emitted.forget()
    with pytest.raises(Conflict):
        catalogue.remove_placement(placement=placement, actor=None, confirm=service.name)
    with pytest.raises(Conflict):
        catalogue.remove_service(service=service, actor=None, confirm=service.name)
    assert Placement.objects.exists() and Service.objects.exists()
    assert emitted() == []


def test_a_service_with_releases_stays_even_without_placements() -> None:
    service = factories.make_release().service
    with pytest.raises(Conflict):
        catalogue.remove_service(service=service, actor=None, confirm=service.name)
    assert Service.objects.exists() and not AuditEntry.objects.exists()


def test_a_lost_race_for_a_name_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    team = factories.make_team()
    monkeypatch.setattr(catalogue, "validated", lambda row: factories.make_service(row.name, team))
    with pytest.raises(Conflict) as refused:
        catalogue.create_service(team=team, name="asr", actor=None)
    assert refused.value.code == "duplicate"
