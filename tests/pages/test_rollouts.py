"""Rolling out, steering, rolling back and looking on, without any JavaScript."""

from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from deploy.models import Intent, Rollout
from portal.dashboard.queries import pods
from tests.factories import make_cluster, make_placement, make_rollout
from tests.pages.conftest import World, pod


def act(world: World, verb: str, rollout: Rollout | None = None, **given: Any):
    url = reverse("rollout_act", kwargs={"pk": (rollout or world.live).pk, "verb": verb})
    return world.browser(world.operator).post(url, given)


def start(world: World, **given: Any):
    url = reverse("roll_out", kwargs={"name": "asr"})
    return world.browser(world.operator).post(url, {"release": world.second.pk} | given)


def test_buttons_name_their_effect(world: World) -> None:
    html = show(world)
    assert "Abort, return to 1.1.0" in html
    assert "asr 1.1.0 → 1.2.0" in html


def show(world: World, rollout: Rollout | None = None, user: Any = None) -> str:
    url = reverse("rollout", kwargs={"pk": (rollout or world.live).pk})
    return world.browser(user or world.operator).get(url).content.decode()


def test_a_viewer_sees_the_buttons_shut_and_why(world: World) -> None:
    html = show(world, user=world.viewer)
    assert 'aria-disabled="true"' in html
    assert "this needs the operator role in speech" in html
    assert reverse("rollout_act", kwargs={"pk": world.live.pk, "verb": "abort"}) not in html


def test_aborting_asks_first_and_shows_what_would_be_hit(world: World) -> None:
    url = reverse("rollout_act", kwargs={"pk": world.live.pk, "verb": "abort"})
    html = world.browser(world.operator).get(url).content.decode()
    assert "2, 1 of them ready, 2 GPUs" in html
    assert not Intent.objects.exists()


def test_aborting_leaves_an_intent_with_who_and_why(world: World) -> None:
    answer = act(world, "abort", reason="wrong model")
    assert answer.url == reverse("rollout", kwargs={"pk": world.live.pk})
    intent = Intent.objects.get()
    assert (intent.verb, intent.actor, intent.reason) == ("abort", world.operator, "wrong model")


def test_aborting_twice_is_a_conflict_that_says_so(world: World) -> None:
    act(world, "abort")
    answer = act(world, "abort")
    assert answer.status_code == 409
    assert "already" in answer.content.decode()


def test_in_production_aborting_takes_the_name_of_the_service(world: World) -> None:
    world.cluster.environment = "production"
    world.cluster.save()
    assert act(world, "abort").status_code == 422
    assert act(world, "abort", confirm="asr-x").status_code == 422
    assert not Intent.objects.exists()
    assert act(world, "abort", confirm="asr").status_code == 302


def test_a_verb_that_does_not_fit_the_state_is_refused_calmly(world: World) -> None:
    answer = act(world, "pause", world.done)
    assert answer.status_code == 409
    assert "cannot be asked to pause" in answer.content.decode()


def test_an_unknown_verb_is_no_page(world: World) -> None:
    assert act(world, "explode").status_code == 404


def test_a_release_starts_on_the_chosen_placement(world: World) -> None:
    placement = make_placement(world.service, make_cluster())
    answer = start(world, placements=[placement.pk], reason="go")
    started = placement.rollouts.get()
    assert answer.url == reverse("rollout", kwargs={"pk": started.pk})
    assert started.release == world.second


def test_a_release_to_several_placements_leads_to_the_service(world: World) -> None:
    placements = [make_placement(world.service, make_cluster()) for _ in range(2)]
    answer = start(world, placements=[p.pk for p in placements])
    assert answer.url == reverse("service", kwargs={"name": "asr"})
    assert all(p.rollouts.count() == 1 for p in placements)


def test_one_refused_placement_does_not_stop_the_others(world: World) -> None:
    busy = make_placement(world.service, make_cluster("busy"))
    make_rollout(busy, world.second, state="queued")
    free = make_placement(world.service, make_cluster())
    url = reverse("roll_out", kwargs={"name": "asr"})
    given = {"release": world.second.pk, "placements": [busy.pk, free.pk]}
    answer = world.browser(world.operator).post(url, given, follow=True)
    assert "busy: 1.2.0 waits here already" in answer.content.decode()
    assert free.rollouts.count() == 1


def test_the_plan_shows_what_changes_before_anything_starts(world: World) -> None:
    url = reverse("roll_out", kwargs={"name": "asr"})
    asked = f"?release=2&placements={world.placement.pk}"
    answer = world.browser(world.operator).get(url + asked)
    (row,) = answer.context["rows"]
    assert [change["path"] for change in row["difference"]] == ["/images/web"]
    assert "is aborted first" in answer.content.decode()
    assert world.placement.rollouts.count() == 2


def test_the_only_placement_is_chosen_already(world: World) -> None:
    url = reverse("roll_out", kwargs={"name": "asr"})
    (row,) = world.browser(world.operator).get(url).context["rows"]
    assert row["chosen"]
    make_placement(world.service, make_cluster())
    rows = world.browser(world.operator).get(url).context["rows"]
    assert not any(row["chosen"] for row in rows)


def test_a_production_release_takes_the_name(world: World) -> None:
    placement = make_placement(world.service, make_cluster(environment="production"))
    assert start(world, placements=[placement.pk]).status_code == 422
    assert not placement.rollouts.exists()
    assert start(world, placements=[placement.pk], confirm="asr").status_code == 302


def test_a_placement_of_another_service_cannot_be_chosen(world: World) -> None:
    foreign = make_placement()
    assert start(world, placements=[foreign.pk]).status_code == 422
    assert not foreign.rollouts.exists()


def test_without_an_earlier_release_there_is_nothing_to_go_back_to(world: World) -> None:
    url = reverse("placement_roll_back", kwargs={"pk": world.placement.pk})
    answer = world.browser(world.operator).get(url)
    assert answer.context["target"] is None
    assert "nothing to go back to" in answer.content.decode()


def test_rolling_back_starts_a_rollout_of_the_older_release(world: World) -> None:
    Rollout.objects.filter(pk=world.live.pk).update(state="succeeded", finished_at=timezone.now())
    url = reverse("placement_roll_back", kwargs={"pk": world.placement.pk})
    world.browser(world.operator).post(url, {"release": world.first.pk, "reason": "worse"})
    newest = world.placement.rollouts.first()
    assert (newest.kind, newest.release) == ("rollback", world.first)


def test_htmx_gets_the_parts_that_change_each_marked_for_its_place(world: World) -> None:
    url = reverse("rollout", kwargs={"pk": world.live.pk}) + "?part=live"
    part = world.browser(world.viewer).get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    whole = show(world)
    for name in ("head", "plan", "traffic", "next", "pods", "record"):
        assert f'id="rollout-{name}"' in part
        assert f'id="rollout-{name}"' in whole
    assert part.count('hx-swap-oob="true"') == 8


def test_a_log_that_cannot_be_read_says_why(world: World) -> None:
    url = reverse("rollout_logs", kwargs={"pk": world.live.pk})
    html = world.browser(world.viewer).get(url + "?pod=asr-old1-aaaaa").content.decode()
    assert "The log cannot be read" in html


def test_logs_of_pods_elsewhere_cannot_be_read(world: World) -> None:
    url = reverse("rollout_logs", kwargs={"pk": world.live.pk})
    html = world.browser(world.viewer).get(url + "?pod=etcd-0").content.decode()
    assert "is gone, or is not a pod of asr" in html


def tile(**given: Any) -> dict[str, Any]:
    seen = {"name": "asr-h-x", "uid": "u", **pod("h", **given)}
    (made,) = pods.tiles([seen], lambda seen: seen["template_hash"] == "h")
    return made


def test_a_pod_is_told_by_colour_word_and_reason() -> None:
    assert (tile(ready=True)["tone"], tile(ready=True)["word"]) == ("good", "ready")
    assert tile(reason="ContainerCreating")["tone"] == "warn"
    assert tile(reason="CrashLoopBackOff", restarts=3)["told"] == (
        "asr-h-x: new, failed, CrashLoopBackOff, 3 restarts"
    )
    assert tile(reason="ImagePullBackOff")["tone"] == "bad"
    assert tile(reason="Unschedulable")["word"] == "unschedulable"
    assert tile(ready=True, deleting="2026-01-01T00:00:00Z")["word"] == "stopping"


def test_the_bar_counts_ready_pods_alone() -> None:
    projection = {"from_release": {"version": "1"}, "release": {"version": "2"}}
    tiles = [tile(ready=True), {**tile(ready=True), "new": False}, tile(reason="Pending")]
    shares = pods.shares(projection, tiles)
    assert (shares["old"], shares["new"], shares["new_percent"]) == (1, 1, 50)
    assert pods.shares(projection, []) is None


def test_the_list_can_be_filtered_by_state_service_and_cluster(world: World) -> None:
    browser = world.browser(world.viewer)

    def versions(query: str) -> list[str]:
        rows = browser.get(reverse("rollouts") + query).context["rows"]
        return [row["release"]["version"] for row in rows]

    assert versions("?state=live") == ["1.2.0"]
    assert versions("?state=succeeded") == ["1.1.0"]
    assert versions("?service=tts") == []
    assert versions("?q=1.1&cluster=eu-west-1") == ["1.1.0"]
    assert versions("?sort=created") == ["1.1.0", "1.2.0"]


def test_after_an_abort_the_older_releases_pods_are_not_called_new(world: World) -> None:
    """The hashes an ended abort noted are those of what it restored."""
    rollout = make_rollout(make_placement(world.service), world.first, state="aborted")
    rollout.stable = world.done  # the same images: only the configuration differed
    rollout.memory = {"template_hashes": ["restored"]}
    new = pods.is_new(rollout)
    assert not new(pod("restored"))
    assert new(pod("crashed"))


def test_where_images_differ_they_tell_new_pods_from_old_ones(world: World) -> None:
    new = pods.is_new(world.live)
    assert new(pod("any", images=list(world.second.images.values())))
    assert not new(pod("any", images=list(world.first.images.values())))


def test_an_ended_rollout_points_to_the_one_that_took_over(world: World) -> None:
    html = show(world, world.done)
    assert "A later rollout took over" in html
    assert reverse("rollout", kwargs={"pk": world.live.pk}) in html


def test_what_others_changed_and_what_stands_still_is_said(world: World) -> None:
    world.live.drift = [
        {"object": "Deployment/asr", "manager": "kubectl-set", "fields": [".spec.replicas"]}
    ]
    world.live.stalled_since = timezone.now()
    world.live.explanation = {
        "waiting_for": "1 of 2 pods",
        "until": (timezone.now() + timedelta(minutes=3, seconds=5)).isoformat(),
        "on_failure": "it returns to 1.1.0",
    }
    world.live.save()
    html = show(world)
    assert "kubectl-set owns .spec.replicas" in html
    assert "the deadline's clock stands still" in html
    assert "1 of 2 pods" in html
    assert "in 3 min" in html
    assert "it returns to 1.1.0" in html


def test_the_record_tells_who_did_what(world: World) -> None:
    act(world, "abort", reason="wrong model")
    lines = (
        world.browser(world.viewer)
        .get(reverse("rollout", kwargs={"pk": world.live.pk}))
        .context["record"]
    )
    assert (lines[0]["who"], lines[0]["what"], lines[0]["detail"]) == (
        "olga", "abort asked for", "wrong model"
    )  # fmt: skip
