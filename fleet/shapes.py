"""How the API's schema describes a cluster. The dict itself is made in `projections.py`; a test
holds this shape to it."""

from rest_framework import serializers as s

from fleet.models.cluster import Connection, Environment, Provider


class ReadyOfTotal(s.Serializer):
    ready = s.IntegerField()
    total = s.IntegerField()


class Gpus(s.Serializer):
    allocatable = s.IntegerField()
    requested = s.IntegerField()


class ClusterShape(s.Serializer):
    id = s.UUIDField()
    name = s.CharField()
    region = s.CharField()
    provider = s.ChoiceField(choices=Provider.choices)
    environment = s.ChoiceField(choices=Environment.choices)
    server = s.CharField()
    connection = s.ChoiceField(choices=Connection.choices)
    connection_label = s.CharField()
    connection_detail = s.CharField()
    tone = s.CharField()
    version = s.CharField()
    last_contact_at = s.DateTimeField(allow_null=True)
    api_latency_seconds = s.FloatField(allow_null=True)
    credentials_expire_at = s.DateTimeField(allow_null=True)
    nodes = ReadyOfTotal()
    gpus = Gpus()
    pods = ReadyOfTotal()
    watch = s.DictField()


class CheckStep(s.Serializer):
    name = s.CharField()
    ok = s.BooleanField()
    detail = s.CharField()
    hint = s.CharField()


class ConnectionTest(s.Serializer):
    results = CheckStep(many=True)
    cluster = ClusterShape()
