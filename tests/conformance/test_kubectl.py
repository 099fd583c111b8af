"""kubectl against both targets: the same commands print the same and exit the same."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.objects import config_map, deployment, pod
from tests.conformance.pins import Pins
from tests.controlplane.fixtures import Target, require_binaries

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(target: Target, cluster: Cluster, tmp_path: Path) -> Kubectl:
    """Runs one command in the namespace; objects are handed over as a file named `-f`."""
    binaries = require_binaries()

    def run(*words: str, obj: dict | None = None) -> str:
        command = [str(binaries / "kubectl"), f"--kubeconfig={target.kubeconfig}"]
        command += [f"--namespace={cluster.namespace}", f"--cache-dir={tmp_path / 'cache'}", *words]
        if obj is not None:
            (tmp_path / "obj.json").write_text(json.dumps(obj))
            command += [f"--filename={tmp_path / 'obj.json'}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        printed = (done.stdout + done.stderr).replace(str(tmp_path), "<folder>")
        return f"{done.returncode}: {_without_ages(printed)}".strip()

    return run


def test_apply_by_the_client(kubectl: Kubectl, pinned: Pins) -> None:
    first = deployment(replicas=1)
    pinned(kubectl("apply", "--dry-run=server", obj=first))
    pinned(kubectl("get", "deployments"))
    pinned(kubectl("apply", obj=first))
    pinned(kubectl("apply", obj=first))
    changed = deployment(replicas=2)
    difference = kubectl("diff", obj=changed)
    pinned([difference[:2], re.findall(r"(?m)^[-+] +\w+: .*", difference)])
    pinned(kubectl("apply", obj=changed))
    _rolled_out(kubectl)
    pinned(kubectl("delete", "--wait=false", obj=changed))
    pinned(kubectl("get", "deployment", "web"))


def test_apply_by_the_server(kubectl: Kubectl, pinned: Pins) -> None:
    pinned(kubectl("apply", "--server-side", obj=config_map()))
    pinned(kubectl("apply", "--server-side", obj=config_map(data={"colour": "red"})))
    rival = config_map(data={"colour": "green"})
    pinned(kubectl("apply", "--server-side", "--field-manager=rival", obj=rival))
    pinned(
        kubectl("apply", "--server-side", "--field-manager=rival", "--force-conflicts", obj=rival)
    )
    pinned(kubectl("get", "configmap", "settings", "--output=jsonpath={.data}"))


def test_an_update_followed_and_taken_back(kubectl: Kubectl, pinned: Pins) -> None:
    pinned(kubectl("create", "deployment", "web", "--image=registry.example/app:1", "--replicas=2"))
    _rolled_out(kubectl)
    pinned(kubectl("set", "image", "deployment/web", "app=registry.example/app:2"))
    _rolled_out(kubectl)
    pinned(kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=second"))
    pinned(kubectl("rollout", "history", "deployment/web"))
    pinned(kubectl("rollout", "undo", "deployment/web"))
    _rolled_out(kubectl)
    pinned(kubectl("get", "deployment", "web", "--output=wide"))
    pinned(kubectl("scale", "deployment/web", "--replicas=3", "--current-replicas=7"))
    pinned(kubectl("scale", "deployment/web", "--replicas=3"))
    _rolled_out(kubectl)
    pinned(kubectl("rollout", "pause", "deployment/web"))
    pinned(kubectl("rollout", "resume", "deployment/web"))
    pinned(kubectl("rollout", "restart", "deployment/web"))
    _rolled_out(kubectl)
    wait = ("wait", "deployment/web", "--for=condition=Available", "--timeout=20s")
    pinned(kubectl(*wait))
    pinned(kubectl("label", "deployment/web", "tier=front"))
    pinned(kubectl("patch", "deployment/web", '--patch={"spec":{"replicas":1}}'))
    pinned(kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=20s"))


def test_reading(kubectl: Kubectl, cluster: Cluster, pinned: Pins) -> None:
    cluster.created(pod("worker", nodeSelector={"kubernetes.io/hostname": "general-1"}))
    cluster.eventually("running", lambda: _phase(cluster) == "Running")
    pinned(kubectl("get", "pods"))
    pinned(kubectl("get", "pod", "worker", "--output=jsonpath={.spec.nodeName} {.status.phase}"))
    pinned(kubectl("get", "pods", "--selector=app=none"))
    pinned(kubectl("get", "pods", "--field-selector=spec.nodeName=general-2"))
    pinned(kubectl("get", "pod", "none"))
    pinned(kubectl("get", "nonsense"))
    pinned(kubectl("get", "pods", "--output=name", "--show-managed-fields"))
    assert kubectl("logs", "worker").startswith("0: ")
    described = kubectl("describe", "pod", "worker")
    pinned(re.findall(r"(?m)^(?:Name|Status|Labels|QoS Class|Node-Selectors):.*", described[3:]))
    pinned(kubectl("auth", "can-i", "delete", "pods"))
    pinned(kubectl("explain", "deployment.spec.replicas").partition("DESCRIPTION")[0])


def _rolled_out(kubectl: Kubectl) -> None:
    printed = kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert printed.endswith('deployment "web" successfully rolled out'), printed


def _phase(cluster: Cluster) -> str:
    return cluster.get("Pod", "worker")["status"].get("phase", "")


def _without_ages(text: str) -> str:
    """Tables without the width and content of their AGE column."""
    return re.sub(r" +", " ", re.sub(r"(?m)\b\d+(m\d*)?s( |$)", "<age> ", text)).replace(
        " \n", "\n"
    )
