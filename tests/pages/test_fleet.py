"""The first page: what is healthy, what is not, and what needs a person first."""

from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from fleet.models import Cluster
from tests.factories import make_cluster, make_placement, make_rollout
from tests.pages.conftest import World


def overview(world: World, user: Any = None) -> dict[str, Any]:
    return world.browser(user or world.viewer).get(reverse("fleet")).context


def titles(context: Any) -> list[str]:
    return [f"{item.word}: {item.title}" for item in context["attention"]]


def test_an_empty_fleet_says_what_to_do_first(world: World) -> None:
    Cluster.objects.all().filter(placements=None).delete()
    world.live.delete()
    world.done.delete()
    world.placement.delete()
    world.cluster.delete()
    html = world.browser(world.admin).get(reverse("fleet")).content.decode()
    assert "Register your first cluster" in html
    assert reverse("cluster_new") in html
    assert reverse("cluster_new") not in world.browser(world.viewer).get("/").content.decode()


def test_the_tiles_count_the_fleet(world: World) -> None:
    make_cluster("dead", connection="unreachable")
    tiles = overview(world)["tiles"]
    assert (tiles["healthy"], tiles["clusters"]) == (1, 2)
    assert (tiles["gpus_requested"], tiles["gpus_allocatable"]) == (2, 2)
    assert (tiles["active"], tiles["incidents"]) == (1, 1)


def test_what_hurts_most_comes_first(world: World) -> None:
    placement = make_placement(world.service, make_cluster("ap-1", connection="connected"))
    make_rollout(placement, world.second, state="failed", finished_at=timezone.now())
    make_cluster("dead", connection="unreachable", connection_detail="no route")
    found = titles(overview(world))
    assert found[0] == "unreachable: dead"
    assert "failed: asr 1.2.0 on ap-1" in found[1]


def test_a_later_success_ends_the_incident(world: World) -> None:
    placement = make_placement(world.service, make_cluster("ap-1", connection="connected"))
    make_rollout(placement, world.second, state="aborted", finished_at=timezone.now())
    make_rollout(placement, world.first, state="succeeded", finished_at=timezone.now())
    assert titles(overview(world)) == []


def test_a_paused_rollout_waits_for_a_person(world: World) -> None:
    world.live.state = "paused"
    world.live.save()
    assert "paused: asr 1.2.0 on eu-west-1" in titles(overview(world))


def test_other_teams_troubles_are_not_shown(world: World) -> None:
    world.live.state = "paused"
    world.live.save()
    assert titles(overview(world, world.stranger)) == []
    assert overview(world, world.stranger)["active"] == []


def test_a_placement_that_is_not_ready_outside_of_a_rollout_needs_attention(world: World) -> None:
    world.live.delete()
    assert "not ready: asr on eu-west-1" in titles(overview(world))


def test_a_stale_watch_is_hatched_and_said(world: World) -> None:
    world.cluster.cursors.update(heard_at=timezone.now() - timedelta(minutes=5))
    context = overview(world)
    assert "stale: eu-west-1" in titles(context)


def test_searching_finds_what_the_user_may_see(world: World) -> None:
    url = reverse("search") + "?q=as"
    html = world.browser(world.viewer).get(url).content.decode()
    assert 'href="/services/asr/"' in html
    assert "Nothing found" in world.browser(world.stranger).get(url).content.decode()


def test_the_audit_log_shows_a_team_its_own_entries(world: World) -> None:
    url = reverse("rollout_act", kwargs={"pk": world.live.pk, "verb": "pause"})
    world.browser(world.operator).post(url, {"reason": "lunch"})
    assert "lunch" in world.browser(world.viewer).get(reverse("audit")).content.decode()
    assert "lunch" not in world.browser(world.stranger).get(reverse("audit")).content.decode()
    filtered = world.browser(world.admin).get(reverse("audit") + "?actor=olga&q=lunch")
    assert len(filtered.context["page"].object_list) == 1
