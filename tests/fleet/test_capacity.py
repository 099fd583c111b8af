"""Will the pods fit? Cases with hand-counted answers."""

from typing import Any

import pytest

from fleet import capacity
from fleet.capacity import Demand
from tests import factories

T4 = {"cpu_cores": 4.0, "memory_bytes": 16 * 2**30, "gpus": 1}
ASR = {"cpu_cores": 2.0, "memory_bytes": 8 * 2**30, "gpus": 1}
SPOT = {"key": "spot", "value": "true", "effect": "NoSchedule"}
TOLERATES_SPOT = [{"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}]


def a_node(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "ready": True, "unschedulable": False, "allocatable": T4,
            "labels": {}, "taints": [], **values}  # fmt: skip


def a_pod(node: str, deployment: str = "asr", **values: Any) -> dict[str, Any]:
    owner = {"kind": "ReplicaSet", "name": f"{deployment}-abc"}
    return {"name": "p", "node": node, "phase": "Running", "requests": ASR, "owner": owner,
            "template_hash": "abc", "placement": "one", "deleting": "", **values}  # fmt: skip


THREE = [a_node("a"), a_node("b"), a_node("c")]
TWO_RUN = [a_pod("a"), a_pod("b")]


def test_one_gpu_to_spare_takes_the_surge_of_a_rolling_update() -> None:
    finding = capacity.preflight(THREE, TWO_RUN, [("asr", 2, 1, ASR)])
    assert (finding.ok, finding.impossible) == (True, False)


def test_a_pod_that_asks_more_gpus_than_any_node_has_is_impossible() -> None:
    finding = capacity.preflight(THREE, TWO_RUN, [("asr", 2, 1, ASR | {"gpus": 2})])
    assert (finding.ok, finding.impossible) == (False, True)
    assert finding.message == "Each pod of asr asks 2 GPUs; the largest node has 1 GPU."


def test_without_a_spare_gpu_the_surge_has_to_wait_and_surge_0_is_offered() -> None:
    finding = capacity.preflight(THREE[:2], TWO_RUN, [("asr", 2, 1, ASR)])
    assert (finding.ok, finding.impossible) == (False, False)
    assert "1 more pods (1 GPU, 2 CPU, 8 GiB each), 0 fit now" in finding.message
    assert "surge 0" in finding.message


def test_with_surge_0_old_pods_make_the_room() -> None:
    assert capacity.preflight(THREE[:2], TWO_RUN, [("asr", 2, 0, ASR)]).ok


def test_a_first_deployment_needs_its_replicas_and_no_surge() -> None:
    finding = capacity.preflight(THREE, [], [("asr", 3, 1, ASR)])
    assert finding.ok
    assert finding.details[0]["needed"] == 3


def test_several_deployments_share_the_same_room() -> None:
    both = [("asr", 2, 0, ASR), ("tts", 2, 0, ASR)]
    finding = capacity.preflight(THREE, [], both)
    assert not finding.ok
    assert [entry["fitting"] for entry in finding.details] == [2, 1]


def test_pods_of_another_placement_do_not_count_as_running() -> None:
    wanted = Demand("asr", 2, 0, ASR, placement="two")
    assert capacity.preflight(THREE, TWO_RUN, [wanted]).details[0]["needed"] == 2


@pytest.mark.parametrize("ended", [{"phase": "Succeeded"}, {"phase": "Failed"}])
def test_ended_pods_hold_no_room(ended: dict[str, str]) -> None:
    pods = [a_pod(node, "old", **ended) for node in "abc"]
    assert capacity.preflight(THREE, pods, [("asr", 3, 0, ASR)]).ok


def test_a_taint_nobody_tolerates_shuts_the_node() -> None:
    nodes = [a_node("a", taints=[SPOT])]
    refused = capacity.preflight(nodes, [], [Demand("asr", 1, 0, ASR)])
    assert refused.impossible and "selector and taints" in refused.message
    assert capacity.preflight(nodes, [], [Demand("asr", 1, 0, ASR, {}, TOLERATES_SPOT)]).ok


@pytest.mark.parametrize(
    ("toleration", "goes"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "spot", "operator": "Exists"}, True),
        ({"key": "spot", "value": "true"}, True),
        ({"key": "spot", "value": "false"}, False),
        ({"key": "gpu", "operator": "Exists"}, False),
        ({"key": "spot", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"value": "true"}, False),
    ],
)
def test_tolerations_are_read_as_the_scheduler_reads_them(toleration: dict, goes: bool) -> None:
    verdict = capacity.fit(ASR, [a_node("a", taints=[SPOT])], tolerations=[toleration])
    assert verdict.ever is goes


def test_a_node_selector_leaves_only_its_nodes() -> None:
    nodes = [a_node("a", labels={"pilothouse.io/pool": "general"}, allocatable=T4 | {"gpus": 0}),
             a_node("b", labels={"pilothouse.io/pool": "gpu"})]  # fmt: skip
    assert capacity.fit(ASR, nodes, node_selector={"pilothouse.io/pool": "gpu"}).now == 1
    assert not capacity.fit(ASR, nodes, node_selector={"pilothouse.io/pool": "general"}).ever


def test_a_selector_on_a_label_no_projection_keeps_is_left_to_the_scheduler() -> None:
    assert capacity.fit(ASR, THREE, node_selector={"disk": "ssd"}).now == 3


def test_cordoned_and_unready_nodes_take_nothing_now_but_may_later() -> None:
    nodes = [a_node("a", unschedulable=True), a_node("b", ready=False)]
    verdict = capacity.fit(ASR, nodes)
    assert (verdict.ever, verdict.now) == (True, 0)


def test_a_credential_that_sees_no_nodes_blocks_nothing() -> None:
    finding = capacity.preflight([], [], [("asr", 2, 1, ASR)])
    assert finding.ok and "unchecked" in finding.message


def test_fractions_of_a_core_add_up() -> None:
    node = a_node("a", allocatable={"cpu_cores": 0.3, "memory_bytes": 0, "gpus": 0})
    assert capacity.fit({"cpu_cores": 0.1}, [node]).now == 3


def test_memory_shortage_is_told_in_gibibytes() -> None:
    verdict = capacity.fit(ASR | {"memory_bytes": 32 * 2**30}, THREE, name="asr")
    assert verdict.message == "Each pod of asr asks 32 GiB; the largest node has 16 GiB."


@pytest.mark.parametrize(
    ("strategy", "surge"),
    [
        ({}, 1),
        ({"rollingUpdate": {"maxSurge": "50%"}}, 2),
        ({"rollingUpdate": {"maxSurge": 0}}, 0),
        ({"type": "Recreate"}, 0),
    ],
)
def test_demand_is_read_from_a_manifest(strategy: dict[str, Any], surge: int) -> None:
    manifest = factories.make_deployment(
        "asr", replicas=3, resources={"limits": {"nvidia.com/gpu": "1"}, "requests": {"cpu": "2"}}
    )
    manifest["spec"]["strategy"] = strategy
    demand = capacity.demand_of(manifest)
    assert (demand.name, demand.replicas, demand.surge) == ("asr", 3, surge)
    assert demand.pod_requests == {"cpu_cores": 2.0, "memory_bytes": 0, "gpus": 1}
