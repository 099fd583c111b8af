"""What is kept of objects, and that heartbeats leave no trace in it."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kube import projections

NOW, LATER = "2026-11-20T20:00:00Z", "2026-11-20T21:00:00Z"

POD = {
    "metadata": {
        "name": "asr-1",
        "labels": {"pod-template-hash": "5d8", "pilothouse.io/placement": "p-1"},
        "creationTimestamp": NOW,
        "ownerReferences": [{"kind": "ReplicaSet", "name": "asr-5d8", "uid": "r", "controller": 1}],
    },
    "spec": {
        "nodeName": "node-1",
        "containers": [
            {
                "image": "asr@sha256:0",
                "resources": {
                    "requests": {"cpu": "1500m", "memory": "2Gi"},
                    "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "1"},
                },
            },
            {"image": "proxy@sha256:1", "resources": {"requests": {"cpu": "100m"}}},
        ],
    },
    "status": {
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True", "lastTransitionTime": LATER},
        ],
        "containerStatuses": [{"restartCount": 2, "state": {"running": {}}}, {"restartCount": 1}],
    },
}


def pod_with(**status: object) -> dict:
    return POD | {"status": status}


def waiting(reason: str, message: str = "", **more: object) -> dict:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


class TestPods:
    def test_a_running_one(self):
        assert projections.pod(POD) == {
            "phase": "Running",
            "ready": True,
            "restarts": 3,
            "node": "node-1",
            "reason": "",
            "message": "",
            "images": ["asr@sha256:0", "proxy@sha256:1"],
            "requests": {"cpu_cores": 1.6, "memory_bytes": 2 * 2**30, "gpus": 1},
            "owner": {"kind": "ReplicaSet", "name": "asr-5d8", "uid": "r"},
            "template_hash": "5d8",
            "placement": "p-1",
            "created": NOW,
            "ready_since": LATER,
            "deleting": "",
        }

    def test_a_crash_loop_tells_how_it_last_ended(self):
        ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
        seen = projections.pod(
            pod_with(containerStatuses=[waiting("CrashLoopBackOff", lastState=ended)])
        )
        assert seen["reason"] == "CrashLoopBackOff"
        assert seen["message"] == "last exit: OOMKilled (code 137)"

    def test_an_image_that_cannot_be_pulled(self):
        status = waiting("ImagePullBackOff", 'Back-off pulling image "x"')
        seen = projections.pod(pod_with(phase="Pending", containerStatuses=[status]))
        assert (seen["reason"], seen["message"]) == (
            "ImagePullBackOff",
            'Back-off pulling image "x"',
        )

    def test_one_that_fits_nowhere(self):
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/4 nodes are available: 4 Insufficient nvidia.com/gpu.",
        }
        seen = projections.pod(pod_with(phase="Pending", conditions=[condition]))
        assert seen["reason"] == "Unschedulable"
        assert "Insufficient nvidia.com/gpu" in seen["message"]

    def test_one_that_cannot_begin(self):
        seen = projections.pod(pod_with(initContainerStatuses=[waiting("ErrImagePull", "no")]))
        assert (seen["reason"], seen["message"]) == ("Init:ErrImagePull", "no")

    def test_one_that_leaves(self):
        leaving = copy.deepcopy(POD)
        leaving["metadata"]["deletionTimestamp"] = LATER
        seen = projections.pod(leaving)
        assert (seen["reason"], seen["deleting"]) == ("Terminating", LATER)

    def test_one_that_was_evicted(self):
        seen = projections.pod(pod_with(phase="Failed", reason="Evicted", message="low on memory"))
        assert (seen["reason"], seen["message"]) == ("Evicted", "low on memory")

    def test_one_that_ended(self):
        ended = {"state": {"terminated": {"exitCode": 3}}}
        assert projections.pod(pod_with(containerStatuses=[ended]))["reason"] == "ExitCode:3"


class TestNodes:
    NODE = {
        "metadata": {
            "labels": {
                "topology.kubernetes.io/zone": "eu-1a",
                "topology.kubernetes.io/region": "eu-1",
                "node.kubernetes.io/instance-type": "g6.xlarge",
                "nvidia.com/gpu.product": "NVIDIA-L4",
                "example.com/secret-note": "no",
            }
        },
        "spec": {
            "unschedulable": True,
            "taints": [{"key": "gpu", "effect": "NoSchedule", "timeAdded": NOW}],
        },
        "status": {
            "allocatable": {"cpu": "3920m", "memory": "15Gi", "nvidia.com/gpu": "4"},
            "capacity": {"cpu": "4", "memory": "16384Mi", "nvidia.com/gpu": "4"},
            "conditions": [
                {"type": "MemoryPressure", "status": "True"},
                {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "m"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
        },
    }

    def test_what_is_kept(self):
        seen = projections.node(self.NODE)
        assert seen["allocatable"] == {"cpu_cores": 3.92, "memory_bytes": 15 * 2**30, "gpus": 4}
        assert seen["capacity"]["memory_bytes"] == 16 * 2**30
        assert (seen["zone"], seen["region"], seen["instance_type"]) == (
            "eu-1a",
            "eu-1",
            "g6.xlarge",
        )
        assert seen["taints"] == [{"key": "gpu", "value": "", "effect": "NoSchedule"}]
        assert seen["unschedulable"] and not seen["ready"]
        assert (seen["reason"], seen["pressures"]) == ("KubeletNotReady", ["MemoryPressure"])
        assert "nvidia.com/gpu.product" in seen["labels"]
        assert "example.com/secret-note" not in seen["labels"]

    def test_heartbeats_leave_no_trace(self):
        later = copy.deepcopy(self.NODE)
        for condition in later["status"]["conditions"]:
            condition["lastHeartbeatTime"] = LATER
        later["metadata"]["resourceVersion"] = "999"
        later["metadata"]["managedFields"] = [{"time": LATER}]
        assert projections.node(later) == projections.node(self.NODE)


class TestWorkloads:
    def test_a_deployment_without_a_number_wants_one(self):
        assert projections.deployment({"spec": {}})["desired"] == 1

    def test_a_deployment_scaled_to_none_wants_none(self):
        assert projections.deployment({"spec": {"replicas": 0}})["desired"] == 0

    def test_the_fence_of_a_tick_leaves_no_trace(self):
        def fenced(number: str) -> dict:
            notes = {"pilothouse.io/rollout": "r-1", "pilothouse.io/fence": number}
            return {"metadata": {"annotations": notes}}

        assert projections.deployment(fenced("1")) == projections.deployment(fenced("2"))
        assert projections.deployment(fenced("1"))["rollout"] == "r-1"

    def test_an_autoscaler(self):
        def cpu(which: str, percent: int) -> dict:
            value = {"name": "cpu", which: {"averageUtilization": percent}}
            return {"type": "Resource", "resource": value}

        seen = projections.autoscaler(
            {
                "spec": {
                    "minReplicas": 2,
                    "maxReplicas": 9,
                    "metrics": [cpu("target", 70)],
                    "scaleTargetRef": {"kind": "Deployment", "name": "asr"},
                },
                "status": {
                    "currentMetrics": [cpu("current", 93)],
                    "currentReplicas": 3,
                    "desiredReplicas": 4,
                },
            }
        )
        assert seen["metrics"] == [{"name": "cpu", "current": "93%", "target": "70%"}]
        assert (seen["min"], seen["max"], seen["current"], seen["desired"]) == (2, 9, 3, 4)

    def test_events_of_both_apis(self):
        about = {"kind": "Pod", "namespace": "n", "name": "p", "uid": "u"}
        old = {"type": "Warning", "reason": "BackOff", "message": "m", "count": 4,
               "firstTimestamp": NOW, "lastTimestamp": LATER, "involvedObject": about,
               "source": {"component": "kubelet"}}  # fmt: skip
        new = {"type": "Warning", "reason": "BackOff", "note": "m", "eventTime": NOW,
               "series": {"count": 4, "lastObservedTime": LATER}, "regarding": about,
               "reportingController": "kubelet"}  # fmt: skip
        assert projections.event(old) == projections.event(new)
        assert projections.event(old)["regarding"] == about
        assert (projections.event(old)["count"], projections.event(old)["last"]) == (4, LATER)


@pytest.mark.parametrize("watched", projections.WATCHED, ids=lambda w: w.kind)
class TestEvery:
    def test_an_empty_object_is_no_trouble(self, watched):
        assert json.loads(json.dumps(watched.project({}))) == watched.project({})

    def test_empty_parts_are_no_trouble(self, watched):
        parts = dict.fromkeys(("metadata", "spec", "status", "involvedObject", "source"))
        assert watched.project(parts) == watched.project({})

    def test_secrets_are_never_watched(self, watched):
        assert watched.kind != "Secret"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12) | st.integers() | st.floats() | st.none())
def test_a_pods_odd_request_counts_as_nothing_or_something_but_never_raises(text):
    odd = {"spec": {"containers": [{"resources": {"requests": {"cpu": text}}}]}}
    json.dumps(projections.pod(odd))
