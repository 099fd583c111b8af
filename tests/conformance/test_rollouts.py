"""Deployments step by step: the test makes pods ready, the counts in between are pinned."""

import time

import pytest

from tests.conformance.cluster import REVISION, Cluster, condition
from tests.conformance.objects import deployment, image_patch
from tests.conformance.pins import Pins
from tests.controlplane.nodes import is_ready

BOUNDS = {
    "the defaults with four": (4, None, None),
    "one more at a time": (3, 1, 0),
    "one less at a time": (3, 0, 1),
    "all at once": (3, "100%", 0),
    "everything may be down": (3, 0, "100%"),
    "rounding with ten": (10, "25%", "25%"),
    "a third of seven": (7, "34%", "33%"),
    "a fraction of one": (1, "10%", "10%"),
}


def _started(cluster: Cluster, **options: object) -> None:
    """A Deployment with manual pods, all of them ready."""
    obj = deployment(manual=True, **options)
    cluster.created(obj)
    cluster.settled("web")
    cluster.make_ready(obj["spec"]["replicas"])
    cluster.settled("web")


def _newest(cluster: Cluster) -> str:
    """Selects the pods of the newest revision."""
    newest = cluster.replica_sets("web")[-1]
    return f"pod-template-hash={newest['metadata']['labels']['pod-template-hash']}"


@pytest.mark.parametrize("bounds", BOUNDS)
def test_a_rolling_update_keeps_its_bounds(cluster: Cluster, pinned: Pins, bounds: str) -> None:
    replicas, surge, unavailable = BOUNDS[bounds]
    _started(cluster, replicas=replicas, surge=surge, unavailable=unavailable)
    assert cluster.strategic("Deployment", "web", image_patch(2)).status == 200
    counts = cluster.settled("web")
    steps = [counts.pinned()]
    while counts.updated < replicas or counts.ready < replicas or counts.replicas > replicas:
        cluster.make_ready(1, selector=_newest(cluster))
        counts = cluster.settled("web")
        steps.append(counts.pinned())
        assert len(steps) < 3 * replicas + 3
    pinned(steps)


def test_a_rollover_abandons_the_half_done_update(cluster: Cluster, pinned: Pins) -> None:
    _started(cluster, replicas=4, surge=1, unavailable=1)
    time.sleep(1.1)  # old replica sets are shrunk by age, and creation counts in whole seconds
    cluster.strategic("Deployment", "web", image_patch(2))
    steps = [cluster.settled("web").pinned()]
    cluster.make_ready(1, selector=_newest(cluster))
    steps.append(cluster.settled("web").pinned())
    cluster.strategic("Deployment", "web", image_patch(3))
    counts = cluster.settled("web")
    steps.append(counts.pinned())
    while counts.ready < 4 or counts.updated < 4:
        cluster.make_ready(1, selector=_newest(cluster))
        counts = cluster.settled("web")
        steps.append(counts.pinned())
    pinned(steps)


def test_recreate_ends_the_old_before_the_new(cluster: Cluster, pinned: Pins) -> None:
    _started(cluster, replicas=2, strategy={"type": "Recreate"})
    cluster.strategic("Deployment", "web", image_patch(2))
    steps = [cluster.settled("web").pinned()]
    cluster.make_ready(2)
    steps.append(cluster.settled("web").pinned())
    pinned(steps)


def test_a_paused_deployment_scales_but_does_not_roll(cluster: Cluster, pinned: Pins) -> None:
    _started(cluster, replicas=2, surge=1, unavailable=0)
    cluster.merge("Deployment", "web", {"spec": {"paused": True}})
    cluster.strategic("Deployment", "web", image_patch(2))
    steps = [cluster.settled("web").pinned()]
    cluster.merge("Deployment", "web", {"spec": {"replicas": 3}})
    steps.append(cluster.settled("web").pinned())
    pinned(condition(cluster.get("Deployment", "web").body, "Progressing"))
    cluster.merge("Deployment", "web", {"spec": {"paused": None}})
    steps.append(cluster.settled("web").pinned())
    pinned(condition(cluster.get("Deployment", "web").body, "Progressing"))
    pinned(steps)


def test_scaling_in_the_middle_is_proportional(cluster: Cluster, pinned: Pins) -> None:
    _started(cluster, replicas=10, surge=3, unavailable=2)
    cluster.strategic("Deployment", "web", image_patch(2))
    steps = [cluster.settled("web").pinned()]
    cluster.merge("Deployment", "web", {"spec": {"replicas": 30}})
    steps.append(cluster.settled("web").pinned())
    cluster.merge("Deployment", "web", {"spec": {"replicas": 5}})
    steps.append(cluster.settled("web").pinned())
    pinned(steps)


def test_a_new_pod_that_fails_again_holds_the_update(cluster: Cluster, pinned: Pins) -> None:
    _started(cluster, replicas=3, surge=1, unavailable=0)
    cluster.strategic("Deployment", "web", image_patch(2))
    cluster.settled("web")
    cluster.make_ready(1, selector=_newest(cluster))
    steps = [cluster.settled("web").pinned()]
    cluster.make_unready(1, selector=_newest(cluster))
    steps.append(cluster.settled("web").pinned())
    pinned(steps)


def test_scaling_down_removes_pods_that_are_not_ready_first(cluster: Cluster) -> None:
    cluster.created(deployment(replicas=3, manual=True))
    cluster.settled("web")
    cluster.make_ready(1)
    (ready,) = (pod for pod in cluster.items("Pod") if is_ready(pod))
    cluster.merge("Deployment", "web", {"spec": {"replicas": 1}})
    cluster.settled("web")
    assert [pod["metadata"]["uid"] for pod in cluster.items("Pod")] == [ready["metadata"]["uid"]]


def test_missing_the_deadline_is_a_condition(cluster: Cluster, pinned: Pins) -> None:
    _started(cluster, replicas=1, progressDeadlineSeconds=1, surge=1, unavailable=0)
    pinned(cluster.get("Deployment", "web")["status"])
    cluster.strategic("Deployment", "web", image_patch(2))

    def late() -> bool:
        now = condition(cluster.get("Deployment", "web").body, "Progressing")
        return now.get("reason") == "ProgressDeadlineExceeded"

    cluster.eventually("deadline exceeded", late)
    pinned(cluster.replica_sets("web")[-1])
    pinned(cluster.get("Deployment", "web"), controlled=True)
    cluster.make_ready(1, selector=_newest(cluster))
    cluster.settled("web")
    pinned(cluster.get("Deployment", "web")["status"])


def test_a_settled_deployment_in_full(cluster: Cluster, pinned: Pins) -> None:
    _started(cluster, replicas=1)
    pinned(cluster.get("Deployment", "web"), controlled=True)
    pinned(cluster.replica_sets("web")[0])
    pinned(cluster.items("Pod")[0]["metadata"])
    pinned(cluster.items("Pod")[0]["spec"])


def test_revisions_count_and_return_to_an_old_template(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=1))
    for version in (2, 3, 1):
        cluster.settled("web")
        cause = {"metadata": {"annotations": {"kubernetes.io/change-cause": f"to {version}"}}}
        cluster.strategic("Deployment", "web", image_patch(version) | cause)
    cluster.settled("web")
    assert cluster.get("Deployment", "web")["metadata"]["annotations"][REVISION] == "4"
    pinned([item["metadata"]["annotations"] for item in cluster.replica_sets("web")])


def test_old_replica_sets_are_kept_up_to_the_limit(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=1, revisionHistoryLimit=1))
    for version in (2, 3, 4):
        cluster.settled("web")
        cluster.strategic("Deployment", "web", image_patch(version))
    cluster.settled("web")
    cluster.eventually("old sets gone", lambda: len(cluster.replica_sets("web")) == 2)
    pinned(cluster.settled("web").pinned())


def test_a_change_of_the_template_only_in_labels_is_a_revision(
    cluster: Cluster, pinned: Pins
) -> None:
    _started(cluster, replicas=2)
    patch = {"spec": {"template": {"metadata": {"annotations": {"restartedAt": "now"}}}}}
    cluster.merge("Deployment", "web", patch)
    pinned(cluster.settled("web").pinned())


def test_min_ready_seconds_delay_availability(cluster: Cluster, pinned: Pins) -> None:
    cluster.created(deployment(replicas=1, manual=True, minReadySeconds=2))
    cluster.settled("web")
    cluster.make_ready(1)
    cluster.eventually("ready", lambda: _status(cluster).get("readyReplicas") == 1)
    pinned(_status(cluster))
    cluster.eventually("available", lambda: _status(cluster).get("availableReplicas") == 1)
    pinned(_status(cluster))


def _status(cluster: Cluster) -> dict:
    return cluster.get("Deployment", "web")["status"]
