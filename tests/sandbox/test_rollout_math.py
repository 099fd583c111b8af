"""The arithmetic of rolling updates, with the cases of Kubernetes' own unit tests.

Source: pkg/controller/deployment/{sync_test,rolling_test}.go, util/deployment_util_test.go.
"""

from typing import Any

import pytest

from fleet.sandbox.controllers import rollout_math

NEW, OLD, OLDER = "2016-05-20T02:00:00Z", "2016-05-20T01:00:00Z", "2016-05-20T00:00:00Z"


def deployment(replicas: int, surge: int | str = 0, unavailable: int | str = 0) -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {
        "metadata": {"name": "foo", "generation": 1},
        "spec": {"replicas": replicas, "strategy": strategy},
    }


def replica_set(name: str, replicas: int, created: str, limit: int) -> dict[str, Any]:
    annotations = {rollout_math.MAX_REPLICAS: str(limit)}
    return {
        "metadata": {"name": name, "creationTimestamp": created, "annotations": annotations},
        "spec": {"replicas": replicas},
    }


@pytest.mark.parametrize(
    ("surge", "unavailable", "desired", "expected"),
    [
        ("0%", "0%", 0, (0, 1)),
        ("39%", "39%", 10, (4, 3)),
        (0, "39%", 10, (0, 3)),
        ("39%", 0, 10, (4, 0)),
        (0, 0, 10, (0, 1)),
        ("25%", "25%", 3, (1, 0)),
        ("1%", "1%", 4, (1, 0)),
    ],
)
def test_surge_rounds_up_and_unavailability_down(
    surge: int | str, unavailable: int | str, desired: int, expected: tuple[int, int]
) -> None:
    assert rollout_math.resolve_fenceposts(surge, unavailable, desired) == expected


@pytest.mark.parametrize(("surge", "unavailable"), [("oops", "39%"), ("55%", "urg")])
def test_what_is_no_percentage_is_an_error(surge: str, unavailable: str) -> None:
    with pytest.raises(ValueError, match="not a percentage"):
        rollout_math.resolve_fenceposts(surge, unavailable, 10)


@pytest.mark.parametrize(
    ("desired", "new", "surge", "expected"), [(1, 5, 1, 5), (6, 2, 10, 6), (10, 2, 3, 8)]
)
def test_the_new_set_grows_up_to_the_surge(
    desired: int, new: int, surge: int, expected: int
) -> None:
    new_set = replica_set("new", new, NEW, 0)
    every_set = [replica_set("old", 5, OLD, 0), *([new_set] if desired == 10 else [])]
    count = rollout_math.new_replica_count(deployment(desired, surge), every_set, new_set)
    assert count == expected


def test_recreate_wants_all_replicas_at_once() -> None:
    recreate = deployment(3)
    recreate["spec"]["strategy"] = {"type": "Recreate"}
    new_set = replica_set("new", 1, NEW, 0)
    assert rollout_math.new_replica_count(recreate, [new_set], new_set) == 3


@pytest.mark.parametrize(
    ("scaled", "limit_before", "surge", "before", "expected"),
    [
        pytest.param(10, 5, 0, [3, 2], [6, 4], id="5 to 10"),
        pytest.param(3, 5, 0, [3, 2], [2, 1], id="5 to 3"),
        pytest.param(4, 9, 0, [1, 8], [0, 4], id="9 to 4"),
        pytest.param(10, 7, 0, [2, 3, 2], [3, 4, 3], id="7 to 10"),
        pytest.param(8, 13, 0, [3, 8, 2], [2, 5, 1], id="13 to 8"),
        pytest.param(4, 3, 0, [1, 1, 1], [1, 1, 2], id="the leftover goes to the newest"),
        pytest.param(2, 3, 0, [1, 1, 1], [0, 1, 1], id="and is taken from the oldest"),
        pytest.param(5, 4, 0, [2, 2], [2, 3], id="equal sizes: the newer one first"),
        pytest.param(0, 6, 0, [1, 2, 3], [0, 0, 0], id="6 to 0"),
        pytest.param(20, 12, 2, [6, 6], [11, 11], id="surge pods count"),
        pytest.param(50, 13, 6, [8, 5], [34, 22], id="surge and size change together"),
        pytest.param(14, 10, 0, [3, 7], [4, 10], id="no new set yet"),
    ],
)
def test_scaling_in_the_middle_of_a_rollout_is_proportional(
    scaled: int, limit_before: int, surge: int, before: list[int], expected: list[int]
) -> None:
    """`before` and `expected` are sizes from the oldest set to the newest."""
    ages = [OLDER, OLD, NEW][-len(before) :]
    sets = [
        replica_set(f"v{place}", size, age, limit_before)
        for place, (size, age) in enumerate(zip(before, ages, strict=True))
    ]
    sizes = rollout_math.proportional_sizes(deployment(scaled, surge), sets)
    assert [sizes[f"v{place}"] for place in range(len(before))] == expected


@pytest.mark.parametrize(
    ("old", "new", "progressed"),
    [
        ({"replicas": 10, "updatedReplicas": 4}, {"replicas": 10, "updatedReplicas": 6}, True),
        ({"replicas": 10, "updatedReplicas": 4}, {"replicas": 10, "updatedReplicas": 4}, False),
        ({"replicas": 10, "updatedReplicas": 4}, {"replicas": 8, "updatedReplicas": 4}, True),
        ({"replicas": 10, "updatedReplicas": 7}, {"replicas": 10, "updatedReplicas": 3}, False),
        ({"readyReplicas": 1}, {"readyReplicas": 2}, True),
        ({"availableReplicas": 2}, {"availableReplicas": 1}, False),
    ],
)
def test_progress_is_more_of_the_new_or_less_of_the_old(
    old: dict[str, int], new: dict[str, int], progressed: bool
) -> None:
    assert rollout_math.has_progressed(old, new) is progressed


def test_complete_means_every_replica_is_new_and_available_and_observed() -> None:
    counts = {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}
    assert rollout_math.is_complete(deployment(2), counts | {"observedGeneration": 1})
    assert not rollout_math.is_complete(deployment(2), counts | {"observedGeneration": 0})
    assert not rollout_math.is_complete(
        deployment(2), counts | {"observedGeneration": 1, "replicas": 3}
    )
