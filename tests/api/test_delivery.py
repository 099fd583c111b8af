"""A release on its way over REST: made, compared, rolled out, steered, explained."""

from types import SimpleNamespace
from typing import Any

from rest_framework.test import APIClient

from deploy.models import Attempt, Release, Rollout
from deploy.projections import rollout_projection
from tests import factories as make
from tests.api.conftest import V1, problem


def start(client: APIClient, world: SimpleNamespace, **more: Any) -> Any:
    body = {"release": str(world.new.pk), "placement": str(world.placement.pk), **more}
    return client.post(f"{V1}/rollouts", body)


def test_a_release_is_made_under_the_next_number(
    operator: APIClient, world: SimpleNamespace
) -> None:
    body = {
        "service": str(world.service.pk),
        "version": "2.0.0",
        "manifests": [make.make_deployment()],
        "images": {"web": f"registry.example/web@{make.DIGEST}"},
        "config": {},
        "model_id": "whisper-large-v3",
        "changelog": " New vocabulary\n",
    }
    response = operator.post(f"{V1}/releases", body)
    assert response.status_code == 201, response.content
    made = response.json()
    assert (made["number"], made["version"], made["created_by"]) == (3, "2.0.0", "olga")
    assert made["manifests"] == body["manifests"]
    assert operator.get(response["Location"]).json() == made
    problem(operator.post(f"{V1}/releases", body), 409, "version_exists")
    assert Release.objects.count() == 3


def test_lists_of_releases_leave_the_manifests_out(
    operator: APIClient, world: SimpleNamespace
) -> None:
    row = operator.get(f"{V1}/releases?service={world.service.pk}").json()["results"][0]
    assert "manifests" not in row
    assert row["service_name"] == "asr"


def test_the_difference_is_to_the_release_before_or_to_a_named_one(
    operator: APIClient, world: SimpleNamespace
) -> None:
    address = f"{V1}/releases/{world.new.pk}/difference"
    found = operator.get(address).json()
    assert (found["before"]["version"], found["after"]["version"]) == ("1.1.0", "1.2.0")
    assert [change["path"] for change in found["changes"]] == ["/images/web"]
    assert operator.get(f"{address}?against={world.old.pk}").json() == found
    assert operator.get(f"{address}?against={world.new.pk}").json()["changes"] == []
    problem(operator.get(f"{address}?against={make.make_release().pk}"), 404)
    problem(operator.get(f"{address}?against=1.1.0"), 400)
    assert operator.get(f"{V1}/releases/{world.old.pk}/difference").json()["before"] is None


def test_a_rollout_shows_what_pages_show_and_its_evidence(
    operator: APIClient, world: SimpleNamespace
) -> None:
    started = start(operator, world, reason="Better vocabulary")
    assert started.status_code == 201, started.content
    shown = operator.get(started["Location"]).json()
    row = Rollout.objects.get(pk=shown["id"])
    assert {name: shown[name] for name in rollout_projection(row)} == rollout_projection(row)
    assert shown["created_by"] == "olga"
    assert [step["title"] for step in shown["steps"]] == [s.title for s in row.steps.all()]
    assert shown["evidence"][0] == {"index": 0, "found": []}
    assert "abort" in {action["verb"] for action in shown["available_actions"]}


def test_attempts_and_wishes_are_part_of_the_evidence(
    operator: APIClient, world: SimpleNamespace
) -> None:
    going = make.make_rollout(world.placement, world.new, state="progressing")
    Attempt.objects.create(rollout=going, step_index=0, action="apply", fence=4, outcome="ok",
                           at=going.created_at)  # fmt: skip
    answer = operator.post(f"{V1}/rollouts/{going.pk}/pause", {"reason": "Lunch"})
    assert answer.status_code == 202
    shown = answer.json()
    assert [(a["action"], a["fence"]) for a in shown["attempts"]] == [("apply", 4)]
    assert [(i["verb"], i["actor"], i["reason"]) for i in shown["intents"]] == [
        ("pause", "olga", "Lunch")
    ]
    assert shown["pending_intents"] == [{"verb": "pause", "reason": "Lunch", "actor": "olga"}]


def test_wishes_that_make_no_sense_are_conflicts(
    operator: APIClient, world: SimpleNamespace
) -> None:
    for verb in ("pause", "resume", "abort"):
        address = f"{V1}/rollouts/{world.ended.pk}/{verb}"
        problem(operator.post(address, {}), 409, "illegal_transition")
    going = make.make_rollout(world.placement, world.new, state="progressing")
    problem(operator.post(f"{V1}/rollouts/{going.pk}/retry", {}), 409, "illegal_transition")
    operator.post(f"{V1}/rollouts/{going.pk}/abort", {})
    problem(operator.post(f"{V1}/rollouts/{going.pk}/abort", {}), 409, "illegal_transition")


def test_the_second_to_wait_is_a_conflict(operator: APIClient, world: SimpleNamespace) -> None:
    assert start(operator, world).status_code == 201
    problem(start(operator, world), 409, "already_queued")


def test_a_new_rollout_aborts_the_one_under_way(
    operator: APIClient, world: SimpleNamespace
) -> None:
    going = make.make_rollout(world.placement, world.old, state="progressing")
    assert start(operator, world).status_code == 201
    shown = operator.get(f"{V1}/rollouts/{going.pk}").json()
    assert [intent["verb"] for intent in shown["pending_intents"]] == ["abort"]


def test_the_deadline_keeps_its_bounds(operator: APIClient, world: SimpleNamespace) -> None:
    for seconds in (0, -1, 10**30):
        answer = start(operator, world, parameters={"progress_deadline_seconds": seconds})
        problem(answer, 422)
        assert answer.json()["errors"][0]["pointer"] == "/parameters/progress_deadline_seconds"
    answer = start(operator, world, parameters={"progress_deadline_seconds": 20})
    assert answer.json()["progress_deadline_seconds"] == 20


def test_a_release_of_another_service_does_not_fit(
    operator: APIClient, world: SimpleNamespace
) -> None:
    other = make.make_release(make.make_service(team=world.team))
    answer = start(operator, world, release=str(other.pk))
    problem(answer, 422, "other_service")


def test_rolling_back_brings_the_last_other_release(
    operator: APIClient, world: SimpleNamespace
) -> None:
    make.make_rollout(world.placement, world.new, state="succeeded")
    address = f"{V1}/placements/{world.placement.pk}/roll_back"
    answer = operator.post(address, {"to_release": str(world.old.pk), "reason": "Worse"})
    assert answer.status_code == 201, answer.content
    shown = operator.get(answer["Location"]).json()
    assert (shown["kind"], shown["release"]["version"]) == ("rollback", "1.1.0")
    never = make.make_release(world.service)
    problem(operator.post(address, {"to_release": str(never.pk)}), 422, "never_ran")


def test_an_ended_rollout_is_retried_as_a_new_one(
    operator: APIClient, world: SimpleNamespace
) -> None:
    answer = operator.post(f"{V1}/rollouts/{world.ended.pk}/retry", {"reason": "Once more"})
    assert answer.status_code == 201
    assert answer.json()["kind"] == "retry"
    assert answer.json()["id"] != str(world.ended.pk)
