"""The verbs: what they allow, refuse, record and tell."""

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from deploy import rollouts
from deploy.models import Rollout
from deploy.models.rollout import ACTIVE, TERMINAL, State
from portal.base.models import AuditEntry
from portal.base.problems import Conflict, Invalid, NotAllowed
from tests.factories import (
    digest,
    make_deployment,
    make_placement,
    make_release,
    make_rollout,
    make_service,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def placement():
    return make_placement(make_service())


def release_for(placement, version="1.0"):
    return make_release(
        placement.service,
        version=version,
        manifests=[make_deployment(image="web")],
        images={"web": f"registry.example/web@{digest(version)}"},
    )


def start(placement, version="1.0", **options):
    return rollouts.start(
        release=release_for(placement, version), placement=placement, actor=None, **options
    )


def in_state(placement, state, version="0.9"):
    values = {"finished_at": timezone.now()} if state in TERMINAL else {}
    plan = {"parameters": {"progress_deadline_seconds": 600}, "objects": [], "steps": []}
    release = release_for(placement, version)
    return make_rollout(
        placement, release, state=state, plan={"strategy": "rolling", **plan}, **values
    )


def test_starting_freezes_the_plan_and_queues_it(placement, emitted):
    rollout = start(placement, reason="new model")
    assert rollout.state == State.QUEUED
    assert rollout.plan["objects"][0]["metadata"]["namespace"] == placement.namespace
    assert [step.kind for step in rollout.steps.all()] == ["preflight", "apply", "roll", "prune"]
    entry = AuditEntry.objects.get(object_id=str(rollout.pk))
    assert (entry.verb, entry.reason) == ("rollout.deploy", "new model")
    [event] = emitted("rollout.changed")
    assert event.payload["release"]["version"] == "1.0"
    assert f"team:{placement.service.team_id}" in event.topics


def test_the_deadline_is_the_shortest_of_the_deployments_unless_given(placement):
    quick = make_deployment(image="web")
    quick["spec"]["progressDeadlineSeconds"] = 20
    release = make_release(placement.service, manifests=[quick])
    first = rollouts.start(release=release, placement=placement, actor=None)
    assert first.plan["parameters"] == {"progress_deadline_seconds": 20}
    other = make_placement(placement.service)
    second = start(other, "2.0", parameters={"progress_deadline_seconds": 5})
    assert second.plan["parameters"] == {"progress_deadline_seconds": 5}


@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "20", 90_000])
def test_a_senseless_deadline_is_refused(placement, seconds):
    with pytest.raises(Invalid) as refusal:
        start(placement, parameters={"progress_deadline_seconds": seconds})
    assert refusal.value.errors[0].pointer == "/parameters/progress_deadline_seconds"


def test_a_release_of_another_service_is_refused(placement):
    with pytest.raises(Invalid, match="another service"):
        rollouts.start(release=release_for(make_placement()), placement=placement, actor=None)


def test_a_newer_release_asks_the_active_one_to_abort_and_waits(placement):
    active = in_state(placement, State.PROGRESSING)
    newer = start(placement)
    assert newer.state == State.QUEUED
    assert active.intents.get().verb == "abort"
    with pytest.raises(Conflict) as refusal:
        start(placement, "2.0")
    assert refusal.value.code == "already_queued"


def test_the_database_itself_allows_one_active_rollout_per_placement(placement):
    in_state(placement, State.PROGRESSING)
    with pytest.raises(IntegrityError), transaction.atomic():
        in_state(placement, State.PAUSED, "0.8")


def test_an_active_rollout_always_has_its_next_tick_in_the_database(placement):
    rollout = in_state(placement, State.PROGRESSING)
    with pytest.raises(IntegrityError), transaction.atomic():
        Rollout.objects.filter(pk=rollout.pk).update(next_due=None)


@pytest.mark.parametrize("state", TERMINAL)
def test_an_ended_rollout_never_changes(placement, state):
    rollout = in_state(placement, state)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        Rollout.objects.filter(pk=rollout.pk).update(reason="rewritten")


@pytest.mark.parametrize(
    ("verb", "possible"),
    [
        (rollouts.pause, {State.PREPARING, State.PROGRESSING}),
        (rollouts.resume, {State.PAUSED}),
        (rollouts.abort, {State.QUEUED, *ACTIVE} - {State.ABORTING}),
        (rollouts.retry, set(TERMINAL)),
    ],
)
@pytest.mark.parametrize("state", [State.QUEUED, *ACTIVE, *TERMINAL])
def test_each_verb_is_possible_in_its_states_and_refused_in_all_others(
    placement, verb, possible, state
):
    rollout = in_state(placement, state)
    if state in possible:
        assert verb(rollout=rollout, actor=None)
        return
    with pytest.raises(Conflict) as refusal:
        verb(rollout=rollout, actor=None)
    assert refusal.value.code == "illegal_transition"


def test_a_wish_is_taken_once_until_a_tick_has_consumed_it(placement):
    rollout = in_state(placement, State.PROGRESSING)
    rollouts.pause(rollout=rollout, actor=None)
    with pytest.raises(Conflict, match="already"):
        rollouts.pause(rollout=rollout, actor=None)


def test_aborting_a_queued_rollout_drops_it_at_once(placement):
    rollout = start(placement)
    rollouts.abort(rollout=rollout, actor=None, reason="changed my mind")
    rollout.refresh_from_db()
    assert (rollout.state, rollout.next_due) == (State.ABORTED, None)
    assert "changed my mind" in rollout.reason


@pytest.mark.parametrize("role", ["viewer", None])
def test_steering_needs_an_operator_of_the_owning_team(placement, role):
    rollout = in_state(placement, State.PROGRESSING)
    team = placement.service.team
    person = make_user(team=team if role else None, role=role)
    with pytest.raises(NotAllowed):
        rollouts.abort(rollout=rollout, actor=person)
    assert not rollout.intents.exists()
    assert rollouts.abort(rollout=rollout, actor=make_user(team=team, role="operator"))


class TestRollingBack:
    def test_it_takes_the_objects_that_ran_not_a_fresh_rendering(self, placement):
        old = in_state(placement, State.SUCCEEDED, "1.0")
        in_state(placement, State.SUCCEEDED, "1.1")
        placement.overrides = {"replicas": {"web": 9}}
        placement.save()
        back = rollouts.roll_back(placement=placement, actor=None)
        assert (back.release, back.origin, back.plan) == (old.release, old, old.plan)

    def test_without_an_earlier_release_it_says_so(self, placement):
        in_state(placement, State.SUCCEEDED)
        with pytest.raises(Invalid) as refusal:
            rollouts.roll_back(placement=placement, actor=None)
        assert refusal.value.code == "no_earlier_release"

    def test_to_a_release_that_never_ran_there_it_says_so(self, placement):
        in_state(placement, State.SUCCEEDED)
        with pytest.raises(Invalid) as refusal:
            rollouts.roll_back(
                placement=placement, actor=None, to_release=release_for(placement, "7.0")
            )
        assert refusal.value.code == "never_ran"


def test_buttons_name_their_effect(placement):
    in_state(placement, State.SUCCEEDED, "1.0")
    rollout = in_state(placement, State.PROGRESSING, "1.1")
    actions = {action["verb"]: action for action in rollouts.available_actions(rollout)}
    assert actions["abort"]["label"] == "Abort, return to 1.0"
    assert actions["pause"]["enabled"]
    assert not actions["resume"]["enabled"]
    assert "cannot be asked to resume" in actions["resume"]["why_not"]
