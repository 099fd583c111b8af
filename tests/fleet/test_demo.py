"""The demo does what its changelogs promise: each release is rolled out on a simulated cluster."""

import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from deploy import engine, rollouts
from deploy.models import Release, Rollout
from fleet import clusters
from fleet.models import Cluster, NodePool, Placement, Service
from portal.base.models import Team
from portal.demo import seed
from tests.sandbox.process import SandboxProcess, start_sandbox

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback_clusters")]

SOON = 60.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[SandboxProcess]:
    """The sandbox as `./pilothouse up` starts it, with pods that are ready at once."""
    described = yaml.safe_load((seed.FOLDER / "sandbox.yaml").read_text())
    described["pods"] = {"start_seconds": 0.1, "stop_seconds": 0.1}
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(yaml.safe_dump(described))
    process = start_sandbox(tmp_path, list(seed.CLUSTERS), scenario=str(scenario))
    yield process
    process.stop()


def seed_demo(process: SandboxProcess) -> str:
    out = StringIO()
    call_command("seed_demo", kubeconfigs=process.kubeconfig_directory, stdout=out)
    return out.getvalue()


def finish(rollout: Rollout) -> Rollout:
    """Ticks until the rollout has ended."""
    until = time.monotonic() + SOON
    while not rollout.is_terminal:
        assert time.monotonic() < until, rollout.explanation
        Rollout.objects.filter(pk=rollout.pk).update(next_due=Now())
        engine.advance(rollout.pk)
        rollout = Rollout.objects.get(pk=rollout.pk)
        time.sleep(0.05)
    return rollout


def roll_out(version: str, placement: Placement, **parameters: int) -> Rollout:
    release = Release.objects.get(version=version)
    started = rollouts.start(
        release=release, placement=placement, actor=None, parameters=parameters
    )
    return finish(started)


def running(placement: Placement) -> tuple[str, str, int]:
    """Image, largest upload and available pods of asr on the cluster."""
    gateway = clusters.gateway(placement.cluster)
    deployment = gateway.get("apps/v1", "Deployment", placement.namespace, "asr")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    name = container["envFrom"][0]["configMapRef"]["name"]
    config = gateway.get("v1", "ConfigMap", placement.namespace, name)["data"]
    available = deployment["status"].get("availableReplicas", 0)
    return container["image"], config["MAX_AUDIO_SIZE_MB"], available


def test_the_seed_may_run_twice(demo: SandboxProcess) -> None:
    assert "registered us-east-1: Connected" in seed_demo(demo)
    assert seed_demo(demo) == ""
    counts = [m.objects.count() for m in (Team, Service, Cluster, NodePool, Release, Rollout)]
    assert counts == [1, 1, 2, 4, 4, 2]


def test_a_seed_that_was_cut_off_is_completed(demo: SandboxProcess) -> None:
    seed_demo(demo)
    Rollout.objects.all().delete()
    Placement.objects.filter(cluster__name="eu-west-1").delete()
    assert seed_demo(demo).splitlines() == [
        "rolling out 1.4.0 on us-east-1", "rolling out 1.4.0 on eu-west-1",
    ]  # fmt: skip


def test_without_a_sandbox_the_seed_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is the sandbox running"):
        call_command("seed_demo", kubeconfigs=tmp_path)


def test_every_release_keeps_the_promise_of_its_changelog(demo: SandboxProcess) -> None:
    seed_demo(demo)
    for first in Rollout.objects.all():
        assert finish(first).state == "succeeded", first.reason
    placement = Placement.objects.get(cluster__name="us-east-1")
    image_of: Callable[[str], str] = lambda v: Release.objects.get(version=v).images["asr"]  # noqa: E731
    assert running(placement) == (image_of("1.4.0"), "500", 2)

    greedy = roll_out("1.7.0-greedy", placement)
    assert greedy.state in ("failed", "aborted")
    assert "asks 2 GPUs; the largest node has 1 GPU" in greedy.reason
    assert running(placement) == (image_of("1.4.0"), "500", 2)

    assert roll_out("1.5.0", placement).state == "succeeded"
    assert running(placement) == (image_of("1.5.0"), "800", 2)

    crash = roll_out("1.6.0-crash", placement, progress_deadline_seconds=2)
    assert crash.state == "aborted"
    assert running(placement) == (image_of("1.5.0"), "800", 2)

    back = finish(rollouts.roll_back(placement=placement, actor=None))
    assert back.state == "succeeded"
    assert running(placement) == (image_of("1.4.0"), "500", 2)


def test_the_crashing_release_has_twenty_seconds(demo: SandboxProcess) -> None:
    seed_demo(demo)
    rollout = Rollout.objects.first()
    finish(rollout)
    crash = rollouts.start(
        release=Release.objects.get(version="1.6.0-crash"),
        placement=rollout.placement,
        actor=None,
    )
    assert crash.plan["parameters"]["progress_deadline_seconds"] == 20
