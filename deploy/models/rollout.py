"""A rollout: one release on its way to one placement, with steps, attempts and intents."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from deploy.models.release import Release
from fleet.models import Placement
from portal.base.ids import new_id


class State(models.TextChoices):
    """Where a rollout stands (`docs/architecture.md` draws the transitions)."""

    DRAFT = "draft", "Draft"
    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    QUEUED = "queued", "Queued"
    PREPARING = "preparing", "Preparing"
    PROGRESSING = "progressing", "Progressing"
    PAUSED = "paused", "Paused"
    ANALYSING = "analysing", "Analysing"
    PROMOTING = "promoting", "Promoting"
    SUCCEEDED = "succeeded", "Succeeded"
    ABORTING = "aborting", "Aborting"
    ABORTED = "aborted", "Aborted"
    FAILED = "failed", "Failed"


ACTIVE = (
    State.PREPARING,
    State.PROGRESSING,
    State.PAUSED,
    State.ANALYSING,
    State.PROMOTING,
    State.ABORTING,
)
TERMINAL = (State.SUCCEEDED, State.ABORTED, State.FAILED)
PENDING = (State.DRAFT, State.AWAITING_APPROVAL, State.QUEUED)

_TO_END = {State.ABORTING, State.FAILED}
TRANSITIONS: dict[str, frozenset[str]] = {
    State.DRAFT: frozenset({State.AWAITING_APPROVAL, State.QUEUED, State.ABORTED}),
    State.AWAITING_APPROVAL: frozenset({State.QUEUED, State.ABORTED}),
    State.QUEUED: frozenset({State.PREPARING, State.ABORTED}),
    State.PREPARING: frozenset({State.PROGRESSING, State.PAUSED, State.ABORTED, *_TO_END}),
    State.PROGRESSING: frozenset({State.PAUSED, State.ANALYSING, State.PROMOTING, *_TO_END}),
    State.PAUSED: frozenset({State.PREPARING, State.PROGRESSING, *_TO_END}),
    State.ANALYSING: frozenset({State.PROGRESSING, State.PAUSED, State.PROMOTING, *_TO_END}),
    State.PROMOTING: frozenset({State.SUCCEEDED, State.PAUSED, *_TO_END}),
    State.ABORTING: frozenset({State.ABORTED}),
}


class Kind(models.TextChoices):
    DEPLOY = "deploy", "Deploy"
    ROLLBACK = "rollback", "Roll back"
    RETRY = "retry", "Retry"


class Rollout(models.Model):
    """The row the engine works on. Only the engine and the verbs in `rollouts.py` write it.

    `plan`: `{strategy, parameters, objects, steps}` frozen at creation, with its sha256.
    `memory`: what the strategy carries from tick to tick (plain JSON). `explanation`: what happens
    next, for people: `{waiting_for, until, on_failure}`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    placement = models.ForeignKey(Placement, on_delete=models.PROTECT, related_name="rollouts")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="rollouts")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.DEPLOY)
    # The rollout this one retries, or whose stored objects it restores.
    origin = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # What an abort returns to: the placement's last success when this one began.
    stable = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    strategy = models.CharField(max_length=20, default="rolling")
    plan = models.JSONField()
    plan_sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    state = models.CharField(max_length=20, choices=State, default=State.QUEUED)
    step_index = models.PositiveIntegerField(default=0)
    memory = models.JSONField(default=dict, blank=True)
    explanation = models.JSONField(default=dict, blank=True)
    reason = models.TextField(blank=True)
    drift = models.JSONField(default=list, blank=True)
    stalled_since = models.DateTimeField(null=True, blank=True)

    fence = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    next_due = models.DateTimeField(null=True, blank=True)
    # A wake that arrives while a tick is in flight must not be lost.
    woken_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["placement"],
                condition=Q(state__in=[str(s) for s in ACTIVE]),
                name="one_active_rollout_per_placement",
            ),
            models.UniqueConstraint(
                fields=["placement"],
                condition=Q(state=str(State.QUEUED)),
                name="one_queued_rollout_per_placement",
            ),
            models.CheckConstraint(condition=Q(state__in=State.values), name="rollout_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=[str(s) for s in ACTIVE]) | Q(next_due__isnull=False),
                name="active_rollout_has_next_due",
            ),
        ]
        indexes = [models.Index(fields=["next_due"], name="rollout_next_due")]

    def __str__(self) -> str:
        return f"{self.release} on {self.placement.cluster.name}"

    @property
    def topic(self) -> str:
        return f"rollout:{self.pk}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL


class RolloutStep(models.Model):
    """One entry of the plan's timeline, with what was found while it ran."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="steps")
    index = models.PositiveIntegerField()
    kind = models.CharField(max_length=30)
    title = models.CharField(max_length=80)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    detail = models.CharField(max_length=300, blank=True)
    evidence = models.JSONField(default=list, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["rollout", "index"]
        constraints = [
            models.UniqueConstraint(fields=["rollout", "index"], name="step_index_once"),
        ]

    def __str__(self) -> str:
        return f"{self.index}. {self.title}"


class Attempt(models.Model):
    """One tick that acted: which step, under which fence, with which outcome."""

    class Outcome(models.TextChoices):
        OK = "ok", "Done"
        RETRY = "retry", "To be repeated"
        ERROR = "error", "Error"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="attempts")
    step_index = models.PositiveIntegerField()
    action = models.CharField(max_length=30)
    fence = models.BigIntegerField()
    outcome = models.CharField(max_length=5, choices=Outcome)
    detail = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["rollout", "at"]
        constraints = [
            models.UniqueConstraint(
                fields=["rollout", "step_index", "action"],
                # Pausing, taking back and restoring may succeed more than once.
                condition=Q(outcome="ok", action__in=["apply", "prune"]),
                name="one_successful_attempt_per_step",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action}: {self.outcome}"


class Intent(models.Model):
    """A wish of an operator, append-only; the engine consumes them in order, abort first."""

    class Verb(models.TextChoices):
        PAUSE = "pause", "Pause"
        RESUME = "resume", "Resume"
        ABORT = "abort", "Abort"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="intents")
    verb = models.CharField(max_length=8, choices=Verb)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(auto_now_add=True)
    consumed_at = models.DateTimeField(null=True, blank=True, editable=False)
    outcome = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.verb} ({self.reason})" if self.reason else self.verb
