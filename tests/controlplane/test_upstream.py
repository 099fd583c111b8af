"""Kubernetes' own conformance tests, by name, against the real control plane and the sandbox.

What passes on the real plane and fails on the sandbox is a defect of the sandbox.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.controlplane.fixtures import Target
from tests.controlplane.plane import Plane

NAMES = [
    line
    for line in Path(__file__).with_name("upstream.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
SHARDS = 2
TIMEOUT_SECONDS = 240


@pytest.mark.controlplane
def test_upstream_conformance(
    plane: Plane,
    sandbox_target: Target,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both at once, two processes each: most of their time these tests wait."""
    kubeconfigs = {"real": plane.kubeconfig, "sandbox": sandbox_target.kubeconfig}
    runs = {
        name: [
            _start(plane, kubeconfig, NAMES[shard::SHARDS], tmp_path / f"{name}-{shard}")
            for shard in range(SHARDS)
        ]
        for name, kubeconfig in kubeconfigs.items()
    }
    failures = {name: _failures(shards) for name, shards in runs.items()}
    for name, failed in failures.items():
        with capsys.disabled():
            print(
                f"\nupstream conformance, {name}: {len(NAMES) - len(failed)} of {len(NAMES)} pass"
            )
    assert failures == {"real": {}, "sandbox": {}}, json.dumps(failures, indent=1)


@dataclass(frozen=True)
class Run:
    """One e2e.test process and where it writes."""

    process: subprocess.Popen[bytes]
    names: list[str]
    folder: Path


def _start(plane: Plane, kubeconfig: Path, names: list[str], folder: Path) -> Run:
    folder.mkdir()
    command = [
        str(plane.binaries / "e2e.test"),
        f"--kubeconfig={kubeconfig}",
        "--provider=skeleton",
        "--allowed-not-ready-nodes=0",
        "--minStartupPods=0",
        "--dump-logs-on-failure=false",
        f"--kubectl-path={plane.binaries / 'kubectl'}",
        f"--ginkgo.focus={'|'.join(re.escape(name) for name in names)}",
        f"--ginkgo.json-report={folder / 'report.json'}",
        f"--ginkgo.timeout={TIMEOUT_SECONDS}s",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    return Run(process, names, folder)


def _failures(runs: list[Run]) -> dict[str, str]:
    """Waits for the processes; what did not pass and why."""
    failures = {}
    for run in runs:
        run.process.wait(timeout=TIMEOUT_SECONDS + 30)
        report = run.folder / "report.json"
        assert report.exists(), (run.folder / "log").read_text(errors="replace")[-2000:]
        outcomes = _outcomes(json.loads(report.read_text()))
        failures |= {name: outcomes.get(name, "did not run") for name in run.names}
    return {name: reason for name, reason in failures.items() if reason}


def _outcomes(suites: list[dict]) -> dict[str, str]:
    """Why each test that ran failed, empty where it passed."""
    outcomes = {}
    for spec in suites[0]["SpecReports"]:
        name = " ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]])
        if spec["State"] != "skipped":
            reason = (spec.get("Failure") or {}).get("Message", "")
            outcomes[name] = "" if spec["State"] == "passed" else reason or spec["State"]
    return outcomes
