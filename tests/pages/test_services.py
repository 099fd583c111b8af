"""Services, placements, releases: forms that keep what was typed and say what is wrong where."""

from django.urls import reverse

from deploy.models import Release
from fleet.models import Placement, Service
from tests.factories import DIGEST, make_cluster, make_placement, make_service
from tests.pages.conftest import World

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: asr}
spec:
  replicas: 2
  selector: {matchLabels: {app: asr}}
  template:
    metadata: {labels: {app: asr}}
    spec:
      containers: [{name: asr, image: asr}]
"""
RELEASE = {
    "version": "2.0.0",
    "images": f"asr: registry.example/asr@{DIGEST}",
    "manifests": MANIFEST,
    "config": "asr-config:\n  LIMIT: '10'\n",
}


def release(world: World, **changes: str):
    url = reverse("release_new", kwargs={"name": "asr"})
    return world.browser(world.operator).post(url, RELEASE | changes)


def test_a_release_is_made_from_yaml(world: World) -> None:
    answer = release(world)
    made = Release.objects.get(version="2.0.0")
    assert answer.url == reverse("release", kwargs={"name": "asr", "number": made.number})
    assert made.config == {"asr-config": {"LIMIT": "10"}}
    assert made.manifests[0]["spec"]["replicas"] == 2


def test_the_form_is_filled_in_from_the_newest_release(world: World) -> None:
    release(world)
    url = reverse("release_new", kwargs={"name": "asr"})
    html = world.browser(world.operator).get(url).content.decode()
    assert "registry.example/asr@sha256" in html
    form = world.browser(world.operator).get(url).context["form"]
    assert form.initial["manifests"].startswith("apiVersion: apps/v1\nkind: Deployment\nmetadata:")


def test_an_unpinned_image_is_told_at_its_field(world: World) -> None:
    answer = release(world, images="asr: registry.example/asr:latest")
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert list(errors) == ["images"]
    assert "/images/asr" in errors["images"][0]


def test_yaml_that_cannot_be_read_is_told_with_its_line(world: World) -> None:
    answer = release(world, manifests="a: [1\nb: 2")
    assert "line 2" in answer.context["form"].errors["manifests"][0]


def test_yaml_that_json_cannot_hold_is_refused(world: World) -> None:
    cases = {
        "a: &x [1]\nb: *x": "aliases",
        "a: .nan": "NaN",
        'a: "\\0"': "NUL",
        "a: !!binary aGk=": "binary",
        "? [1, 2]\n: 3": "plain text",
        "a: !!python/object:os.system {}": "not YAML",
    }
    for text, word in cases.items():
        answer = release(world, config=text)
        assert answer.status_code == 422, text
        assert word in str(answer.context["form"].errors["config"]), text


def test_keys_and_dates_stay_text(world: World) -> None:
    release(world, config="asr-config:\n  on: 'yes'\n  8080: '1'\n  day: '2026-01-01'\n")
    config = Release.objects.get(version="2.0.0").config
    assert config == {"asr-config": {"on": "yes", "8080": "1", "day": "2026-01-01"}}


def test_deeply_nested_yaml_is_refused(world: World) -> None:
    assert release(world, config="[" * 3000).status_code == 422


def test_a_version_that_exists_is_a_conflict(world: World) -> None:
    assert release(world, version="1.1.0").status_code == 409


def test_a_release_shows_its_difference_to_the_one_before(world: World) -> None:
    url = reverse("release", kwargs={"name": "asr", "number": 2})
    rows = world.browser(world.viewer).get(url).context["difference"]
    assert [row["path"] for row in rows] == ["/images/web"]


def test_a_service_is_declared_and_placed(world: World) -> None:
    browser = world.browser(world.admin)
    about = {"team": world.team.pk, "name": "tts", "description": "", "runbook_url": ""}
    assert browser.post(reverse("service_new"), about).url == "/services/tts/"
    place = {"cluster": world.cluster.pk, "namespace": "speech", "overrides": "replicas: {tts: 3}"}
    browser.post(reverse("placement_new", kwargs={"name": "tts"}), place)
    assert Placement.objects.get(service__name="tts").overrides == {"replicas": {"tts": 3}}


def test_a_bad_name_and_bad_overrides_are_told_at_their_fields(world: World) -> None:
    browser = world.browser(world.admin)
    about = {"team": world.team.pk, "name": "Bad Name"}
    answer = browser.post(reverse("service_new"), about)
    assert list(answer.context["form"].errors) == ["name"]
    place = {"cluster": make_cluster().pk, "namespace": "x", "overrides": "replicas: {web: many}"}
    answer = browser.post(reverse("placement_new", kwargs={"name": "asr"}), place)
    assert list(answer.context["form"].errors) == ["overrides"]
    assert answer.status_code == 422


def test_a_service_is_edited(world: World) -> None:
    url = reverse("service_edit", kwargs={"name": "asr"})
    world.browser(world.admin).post(url, {"description": "Speech", "runbook_url": ""})
    assert Service.objects.get(name="asr").description == "Speech"


def test_what_differs_on_a_placement_is_edited_as_yaml(world: World) -> None:
    url = reverse("placement_edit", kwargs={"pk": world.placement.pk})
    browser = world.browser(world.admin)
    browser.post(url, {"overrides": "replicas:\n  web: 4\n"})
    world.placement.refresh_from_db()
    assert world.placement.overrides == {"replicas": {"web": 4}}
    assert "web: 4" in browser.get(url).content.decode()
    assert browser.post(url, {"overrides": "colour: red"}).status_code == 422


def test_a_service_cannot_be_made_for_a_team_one_does_not_administer(world: World) -> None:
    about = {"team": world.team.pk, "name": "mine"}
    answer = world.browser(world.stranger).post(reverse("service_new"), about)
    assert answer.status_code == 422
    assert not Service.objects.filter(name="mine").exists()


def test_a_placement_with_history_stays(world: World) -> None:
    url = reverse("placement_remove", kwargs={"pk": world.placement.pk})
    answer = world.browser(world.admin).post(url, {"confirm": "asr"})
    assert answer.status_code == 409
    assert "history is kept" in answer.content.decode()


def test_the_matrix_tells_what_runs_and_what_was_tried(world: World) -> None:
    url = reverse("service", kwargs={"name": "asr"})
    (row,) = world.browser(world.viewer).get(url).context["matrix"]
    assert row["current"].release.version == "1.1.0"
    assert row["last"].release.version == "1.2.0"


def test_empty_pages_say_what_to_do_first(world: World) -> None:
    make_service("empty", world.team)
    browser = world.browser(world.admin)
    html = browser.get(reverse("service", kwargs={"name": "empty"})).content.decode()
    assert "Add a placement" in html
    assert "Make the first release" in html


def test_the_list_counts_placements_and_live_rollouts(world: World) -> None:
    make_placement(world.service, make_cluster())
    (row,) = world.browser(world.viewer).get(reverse("services")).context["page"].object_list
    assert (row.placement_count, row.live_count, row.newest_version) == (2, 1, "1.2.0")
