"""What a page gets before its first delta: the same projections that its deltas carry."""

from collections.abc import Callable
from typing import Any

from django.utils import timezone

from deploy.models import Rollout
from deploy.projections import rollout_projection
from fleet.models import ObservedObject, Placement
from portal.live.consumer import in_thread
from tests import factories
from tests.live.conftest import member_of_new_team

OpenTab = Callable[..., Any]


def _observe(placement: Placement, kind: str, name: str) -> None:
    ObservedObject.objects.create(
        cluster=placement.cluster, placement=None if kind == "Node" else placement, kind=kind,
        name=name, uid=f"uid-{name}", seen_at=timezone.now(), projection={"ready": True},
    )  # fmt: skip


def _running_service() -> tuple[Any, Placement, Rollout]:
    user, placement = member_of_new_team()
    for kind, name in (("Pod", "p"), ("Deployment", "d"), ("ReplicaSet", "r"), ("Node", "n")):
        _observe(placement, kind, name)
    _observe(placement, "Event", "not shown")
    old = factories.make_rollout(placement, state="succeeded")
    rollout = factories.make_rollout(placement, old.release, state="progressing")
    return user, placement, rollout


async def test_each_topic_shows_what_its_events_are_about(tab: OpenTab) -> None:
    user, placement, rollout = await in_thread(_running_service)
    page = await tab(user)
    cluster, newest = f"cluster:{placement.cluster_id}", f"rollout:{rollout.pk}"
    workloads = {"workload:uid-d", "workload:uid-r"}
    expected = {
        "fleet": ({"cluster"}, {cluster}),
        placement.cluster.topic: ({"cluster", "node"}, {cluster, "node:uid-n"}),
        placement.topic: ({"pod", "workload"}, {"pod:uid-p", newest, *workloads}),
        rollout.topic: ({"rollout"}, {newest}),
        placement.service.topic: (set(), {newest}),
        f"team:{placement.service.team_id}": (set(), {newest}),
    }
    for topic, (kinds, objects) in expected.items():
        snapshot = await page.subscribe(topic)
        assert (set(snapshot["kinds"]), set(snapshot["objects"])) == (kinds, objects), topic


async def test_the_payloads_are_the_projections_of_the_pages(tab: OpenTab) -> None:
    user, placement, rollout = await in_thread(_running_service)
    page = await tab(user)
    snapshot = await page.subscribe(placement.topic)
    pod = snapshot["objects"]["pod:uid-p"]
    assert (pod["name"], pod["ready"], pod["placement_id"]) == ("p", True, str(placement.pk))
    shown = snapshot["objects"][f"rollout:{rollout.pk}"]
    assert shown == await in_thread(lambda: rollout_projection(Rollout.objects.get(pk=rollout.pk)))
