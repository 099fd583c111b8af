"""The command line: the same verbs, clear sentences, exit codes that scripts can trust."""

import threading
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import connection

from deploy.models import Release, Rollout
from portal.base import api_keys
from portal.base.models import AuditEntry, Role
from tests import factories as make


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as error:
        run(*words)
    assert error.value.returncode == 1
    return str(error.value)


# --- Keys -------------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_and_revoked(db: None) -> None:
    make.make_user("alice")
    said = run("create_api_key", "alice", "--name", "ci", "--scope", "write", "--days", "30")
    token = next(word for word in said.split() if word.startswith("ph_"))
    key = api_keys.find(token)
    assert key is not None
    assert (key.owner.username, key.name, key.scope) == ("alice", "ci", "write")
    assert "ci" in run("revoke_api_key", key.key_id, "--reason", "leaked")
    assert api_keys.find(token) is None
    assert AuditEntry.objects.get(verb="api_key.revoke").reason == "leaked"


def test_a_whole_leaked_key_can_be_given_to_be_revoked(db: None) -> None:
    _, token = make.make_api_key()
    run("revoke_api_key", token)
    assert api_keys.find(token) is None


def test_scripts_get_the_key_alone(db: None) -> None:
    make.make_user("alice")
    assert api_keys.find(run("create_api_key", "alice", "--quiet").strip())


def test_wrong_keys_are_refused_in_a_sentence(db: None) -> None:
    make.make_user("alice")
    assert refused("create_api_key", "bob") == "There is no user bob"
    assert "at most 365 days" in refused("create_api_key", "alice", "--days", "366")
    assert "at most 365 days" in refused("create_api_key", "alice", "--days", "-1")
    assert "There is no API key" in refused("revoke_api_key", "0123456789abcdef")


# --- Releases ---------------------------------------------------------------------------------


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    file = tmp_path / "asr.yaml"
    file.write_text(yaml.safe_dump_all([make.make_deployment()]))
    return str(file)


def test_a_release_is_made_listed_and_compared(world: SimpleNamespace, manifests: str) -> None:
    image = f"web=registry.example/web@{make.DIGEST}"
    said = run("release", "create", "asr", "2.0.0", "--manifests", manifests, "--image", image,
               "--model", "whisper@v3")  # fmt: skip
    release = Release.objects.get(version="2.0.0")
    assert str(release) in said
    assert (release.model_id, release.model_revision) == ("whisper", "v3")
    assert "#3" in run("release", "list", "asr")
    compared = run("release", "difference", "asr", "1.2.0", "2.0.0")
    assert "/model/revision" in compared
    assert run("release", "difference", "asr", "1.2.0", "1.2.0").strip() == "They are the same."


def test_config_files_become_config_maps(
    world: SimpleNamespace, tmp_path: Path, manifests: str
) -> None:
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("pilot\nhouse\n")
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asr"}}
    Path(manifests).write_text(yaml.safe_dump_all([make.make_deployment(), config_map]))
    run("release", "create", "asr", "2.0.0", "--manifests", manifests,
        "--image", f"web=registry.example/web@{make.DIGEST}",
        "--config", f"asr/words={vocabulary}")  # fmt: skip
    assert Release.objects.get(version="2.0.0").config == {"asr": {"words": "pilot\nhouse\n"}}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--manifests", "/no/such/file"], "cannot be read"),
        (["--image", "web"], "--image takes NAME=VALUE"),
        (["--image", "web=registry.example/web:latest"], "/images/web"),
        (["--config", "asr=/no/such/file"], "cannot be read"),
    ],
)
def test_wrong_releases_are_refused_in_a_sentence(
    world: SimpleNamespace, manifests: str, more: list[str], sentence: str
) -> None:
    said = refused("release", "create", "asr", "2.0.0", "--manifests", manifests, *more)
    assert sentence in said
    assert Release.objects.count() == 2


def test_what_is_not_yaml_is_refused(world: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("a: [")
    assert "is not YAML" in refused("release", "create", "asr", "2", "--manifests", str(file))
    file.write_text("- 1\n--- 2")
    refused("release", "create", "asr", "2", "--manifests", str(file))


# --- Rollouts ---------------------------------------------------------------------------------

PLACE = ("asr", "--cluster", "us-east")


def test_a_rollout_is_started_and_steered(world: SimpleNamespace) -> None:
    said = run("roll_out", *PLACE, "--release", "1.2.0", "--reason", "New words")
    rollout = Rollout.objects.get(state="queued")
    assert f"Rollout {rollout.pk} of asr #2 (1.2.0) on us-east is queued." in said
    assert rollout.reason == "New words"
    assert "asr 1.2.0 on us-east/default: Queued" in run("rollout", "status", *PLACE)
    assert "Aborted" in run("rollout", "abort", *PLACE, "--reason", "Too early")
    assert "Queued" in run("rollout", "retry", *PLACE)


def test_pausing_and_resuming_leave_their_wish(world: SimpleNamespace) -> None:
    going = make.make_rollout(world.placement, world.new, state="progressing")
    run("rollout", "pause", *PLACE, "--reason", "Lunch")
    assert going.intents.get().reason == "Lunch"
    assert "already" in refused("rollout", "pause", *PLACE)
    assert "cannot be asked to resume" in refused("rollout", "resume", *PLACE)


def test_rolling_back_names_the_release(world: SimpleNamespace) -> None:
    said = run("rollout", "roll_back", *PLACE, "--to", "1.1.0")
    assert "1.1.0" in said
    assert Rollout.objects.get(state="queued").kind == "rollback"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("roll_out", "tts", "--cluster", "us-east", "--release", "1"), "There is no service tts"),
        (("roll_out", "asr", "--cluster", "mars", "--release", "1.2.0"), "no placement of asr on"),
        (("roll_out", *PLACE, "--release", "9"), "no release of asr with version 9"),
        (("roll_out", *PLACE, "--release", "1.2.0", "--deadline", "0"), "1 to 86,400"),
        (("roll_out", *PLACE, "--release", "1.2.0", "--as", "nobody"), "There is no user nobody"),
        (("rollout", "abort", *PLACE), "cannot be asked to abort"),
        (("rollout", "roll_back", *PLACE), "No earlier release ran here"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    world: SimpleNamespace, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused(*words)
    assert not Rollout.objects.filter(state="queued").exists()


def test_two_namespaces_need_to_be_told_apart(world: SimpleNamespace) -> None:
    make.make_placement(world.service, world.cluster, namespace="second")
    words = ("roll_out", *PLACE, "--release", "1.2.0")
    assert "name the namespace" in refused(*words)
    assert "us-east" in run(*words, "--namespace", "second")


def test_acting_as_somebody_is_acting_with_their_rights(world: SimpleNamespace) -> None:
    make.make_user("vera", team=world.team, role=Role.VIEWER)
    make.make_user("otto", team=world.team, role=Role.OPERATOR)
    words = ("roll_out", *PLACE, "--release", "1.2.0")
    assert "needs the role operator" in refused(*words, "--as", "vera")
    run(*words, "--as", "otto")
    assert AuditEntry.objects.get(verb="rollout.deploy").actor == "otto"


@pytest.mark.parametrize(("end", "code"), [("succeeded", 0), ("aborted", 1)])
@pytest.mark.django_db(transaction=True)
def test_watching_ends_when_the_rollout_does(end: str, code: int, world: SimpleNamespace) -> None:
    rollout = make.make_rollout(world.placement, world.new, state="progressing")
    timer = threading.Timer(1.0, _end, [rollout.pk, end])
    timer.start()
    words: tuple[Any, ...] = ("rollout", "status", *PLACE, "--watch")
    said = run(*words) if code == 0 else refused(*words)
    timer.join(10)
    assert (end.capitalize() if code == 0 else f"The rollout is {end}") in said


def _end(rollout_id: Any, state: str) -> None:
    Rollout.objects.filter(pk=rollout_id).update(state=state)
    connection.close()
