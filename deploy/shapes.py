"""How the API's schema describes a rollout. The dicts themselves are made in `projections.py`;
a test holds these shapes to them."""

from rest_framework import serializers as s

from deploy.models.rollout import Kind, State


class Named(s.Serializer):
    id = s.UUIDField()
    name = s.CharField()


class Where(Named):
    region = s.CharField()


class ReleaseSummary(s.Serializer):
    id = s.UUIDField()
    number = s.IntegerField()
    version = s.CharField()


class Step(s.Serializer):
    index = s.IntegerField()
    title = s.CharField()
    state = s.CharField()
    detail = s.CharField()
    started_at = s.DateTimeField(allow_null=True)
    finished_at = s.DateTimeField(allow_null=True)


class Explanation(s.Serializer):
    """What happens next."""

    waiting_for = s.CharField()
    until = s.DateTimeField(allow_null=True)
    on_failure = s.CharField()


class Workload(s.Serializer):
    """Pods of one Deployment."""

    kind = s.CharField()
    name = s.CharField()
    desired = s.IntegerField()
    updated = s.IntegerField()
    ready = s.IntegerField()
    available = s.IntegerField()
    old = s.IntegerField()


class PendingIntent(s.Serializer):
    verb = s.CharField()
    reason = s.CharField()
    actor = s.CharField()


class RolloutShape(s.Serializer):
    id = s.UUIDField()
    service = Named()
    cluster = Where()
    environment = s.CharField()
    placement_id = s.UUIDField()
    namespace = s.CharField()
    release = ReleaseSummary()
    from_release = ReleaseSummary(allow_null=True)
    kind = s.ChoiceField(choices=Kind.choices)
    strategy = s.CharField()
    state = s.ChoiceField(choices=State.choices)
    state_label = s.CharField()
    tone = s.CharField()
    step_index = s.IntegerField()
    steps = Step(many=True)
    explanation = Explanation()
    reason = s.CharField()
    drift = s.ListField(child=s.DictField())
    stalled_since = s.DateTimeField(allow_null=True)
    progress_deadline_seconds = s.IntegerField(allow_null=True)
    workloads = Workload(many=True)
    template_hashes = s.ListField(child=s.CharField())
    pending_intents = PendingIntent(many=True)
    created_by = s.CharField()
    created_at = s.DateTimeField()
    started_at = s.DateTimeField(allow_null=True)
    finished_at = s.DateTimeField(allow_null=True)


class AvailableAction(s.Serializer):
    """`label` names the effect; `why_not` says why it is not enabled."""

    verb = s.CharField()
    label = s.CharField()
    effect = s.CharField()
    enabled = s.BooleanField()
    why_not = s.CharField()


class Evidence(s.Serializer):
    """What was found while the step with this index ran."""

    index = s.IntegerField()
    found = s.JSONField()


class Change(s.Serializer):
    path = s.CharField()
    before = s.JSONField()
    after = s.JSONField()


class Difference(s.Serializer):
    before = ReleaseSummary(allow_null=True)
    after = ReleaseSummary()
    changes = Change(many=True)
