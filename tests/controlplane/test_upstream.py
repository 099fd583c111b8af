"""Kubernetes' own conformance tests, by name, against the real control plane and the sandbox.

What passes on the real plane and fails on the sandbox is a defect of the sandbox.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.controlplane.fixtures import MISSING, Target
from tests.controlplane.plane import binaries_directory

NAMES = [
    line
    for line in Path(__file__).with_name("upstream.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
TIMEOUT_SECONDS = 240


@pytest.mark.controlplane
def test_upstream_conformance(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = _run(target, tmp_path)
    passed = len(NAMES) - len(failures)
    with capsys.disabled():
        print(f"\nupstream conformance on {target.name}: {passed} of {len(NAMES)} pass")
    assert not failures, json.dumps(failures, indent=1)


def _run(target: Target, folder: Path) -> dict[str, str]:
    """Runs all of NAMES; what did not pass and why."""
    binaries = binaries_directory()
    if binaries is None or not (binaries / "e2e.test").exists():
        pytest.skip(MISSING)
    report = folder / "report.json"
    command = [
        str(binaries / "e2e.test"),
        f"--kubeconfig={target.kubeconfig}",
        "--provider=skeleton",
        # The default is protobuf, which only the real API server speaks.
        "--kube-api-content-type=application/json",
        "--allowed-not-ready-nodes=0",
        "--minStartupPods=0",
        "--dump-logs-on-failure=false",
        f"--kubectl-path={binaries / 'kubectl'}",
        f"--ginkgo.focus=^({'|'.join(re.escape(name) for name in NAMES)})$",
        f"--ginkgo.json-report={report}",
        f"--ginkgo.timeout={TIMEOUT_SECONDS}s",
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS + 30
    )
    assert report.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    outcomes = _outcomes(json.loads(report.read_text()))
    return {name: outcomes.get(name, "did not run") for name in NAMES if outcomes.get(name) != ""}


def _outcomes(suites: list[dict]) -> dict[str, str]:
    """Why each test that ran failed, empty where it passed."""
    outcomes = {}
    for spec in suites[0]["SpecReports"]:
        name = " ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]])
        if spec["State"] != "skipped":
            reason = (spec.get("Failure") or {}).get("Message", "")
            outcomes[name] = "" if spec["State"] == "passed" else reason or spec["State"]
    return outcomes
