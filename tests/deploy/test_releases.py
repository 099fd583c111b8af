"""Releases: numbered per service, frozen, and comparable."""

import pytest
from django.db import DatabaseError, transaction

from deploy import releases
from deploy.models import Release
from portal.base.models import AuditEntry
from portal.base.problems import Conflict, Invalid, NotAllowed
from tests.factories import digest, make_deployment, make_release, make_service, make_user


def create(service, version="1.0", **changes):
    values = {
        "manifests": [make_deployment(image="web")],
        "images": {"web": f"registry.example/web@{digest(version)}"},
        "config": {},
        "actor": None,
    }
    return releases.create(service=service, version=version, **{**values, **changes})


@pytest.mark.django_db
class TestCreate:
    def test_numbers_count_per_service(self):
        one, other = make_service(), make_service()
        assert [create(one, v).number for v in ("1.0", "1.1")] == [1, 2]
        assert create(other).number == 1

    def test_a_version_exists_once(self):
        service = make_service()
        create(service)
        with pytest.raises(Conflict) as refusal:
            create(service)
        assert refusal.value.code == "version_exists"

    def test_it_is_audited_and_told_to_the_team(self, emitted):
        release = create(make_service())
        assert AuditEntry.objects.get(object_id=str(release.pk)).verb == "release.create"
        [event] = emitted("release.created")
        assert event.topics == [release.service.topic, f"team:{release.service.team_id}"]

    def test_an_unpinned_image_leaves_nothing_behind(self):
        service = make_service()
        with pytest.raises(Invalid):
            create(service, images={"web": "registry.example/web:latest"})
        assert not service.releases.exists()

    @pytest.mark.parametrize("role", ["viewer", None])
    def test_it_needs_an_operator_of_the_owning_team(self, role):
        service = make_service()
        person = make_user(team=service.team if role else None, role=role)
        with pytest.raises(NotAllowed):
            create(service, actor=person)
        operator = make_user(team=service.team, role="operator")
        assert create(service, actor=operator).created_by == operator

    def test_an_empty_version_is_refused(self):
        with pytest.raises(Invalid):
            create(make_service(), "  ")


@pytest.mark.django_db
def test_a_release_never_changes_not_even_by_an_update_statement():
    release = make_release()
    with pytest.raises(Conflict):
        release.save()
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        Release.objects.filter(pk=release.pk).update(version="2.0")


@pytest.mark.django_db
def test_the_difference_names_what_a_person_would_look_for():
    service = make_service()
    before = create(service, "1.0", config={"web-config": {"LIMIT": "500"}})
    after = create(
        service,
        "1.1",
        config={"web-config": {"LIMIT": "900"}},
        manifests=[make_deployment(image="web", replicas=3)],
    )
    found = {row["path"]: (row["before"], row["after"]) for row in difference(before, after)}
    assert found["/config/web-config/LIMIT"] == ("500", "900")
    assert found["/objects/Deployment/web/spec/replicas"] == (2, 3)
    assert set(found) == {
        "/config/web-config/LIMIT",
        "/objects/Deployment/web/spec/replicas",
        "/images/web",
    }
    assert difference(after, after) == []


def difference(before, after):
    return releases.difference(before=before, after=after)
