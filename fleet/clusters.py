"""Verbs on clusters: register, re-credential, remove, and the gateway with its circuit breaker.

The breaker: five failed contacts in a row close the road for 30 s, so that work for one dead
cluster fails at once instead of waiting for time-outs. The watcher's probe goes on and opens it
again as soon as the cluster answers.
"""

from dataclasses import asdict, fields
from datetime import timedelta

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from fleet import projections
from fleet.connection_test import CheckResult, examine
from fleet.credentials import accepted
from fleet.inputs import allowed, confirmed, insert, validated
from fleet.kube import errors
from fleet.kube.connect import Endpoint, credential_expires_at, gateway_for
from fleet.kube.gateway import Gateway
from fleet.models import Cluster
from fleet.models.cluster import Connection
from portal.base import audit, events
from portal.base.models import User
from portal.base.problems import Conflict

BREAKER_FAILURES = 5
BREAKER_SECONDS = 30
# A success is written at most this often; freshness shows no finer than this.
CONTACT_RESOLUTION_SECONDS = 2


def register(
    *,
    name: str,
    region: str = "",
    provider: str,
    environment: str,
    kubeconfig: str | None = None,
    endpoint: Endpoint | None = None,
    actor: User | None,
) -> Cluster:
    """Stores a cluster and contacts it once; one that does not answer is stored all the same.

    What the contact showed stands in `connection` and `connection_detail`. Raises Invalid for a
    refused kubeconfig (with its pointer) or bad fields, Conflict for a taken name, NotAllowed.
    """
    allowed(actor, "fleet.add_cluster")
    endpoint = accepted(kubeconfig, endpoint)
    cluster = Cluster(name=name, region=region, provider=provider, environment=environment)
    _carry(cluster, endpoint)
    validated(cluster)
    with events.transaction():
        insert(cluster)
        change = {"server": cluster.server, "region": region, "environment": environment}
        audit.record(actor=actor, verb="cluster.register", target=cluster, change=change)
        announce(cluster, actor)
    check(cluster=cluster)
    return cluster


def update_credentials(*, cluster: Cluster, kubeconfig: str, actor: User | None) -> Cluster:
    """Replaces address and credential, then contacts the cluster. Raises as `register` does."""
    allowed(actor, "fleet.change_cluster")
    endpoint = accepted(kubeconfig, None)
    before = cluster.server
    _carry(cluster, endpoint)
    cluster.failures, cluster.closed_until = 0, None
    with events.transaction():
        if cluster.server != before:
            cluster.cursors.all().delete()  # another server counts its versions differently
        changed = ["server", "credentials", "credentials_expire_at", "failures", "closed_until"]
        cluster.save(update_fields=changed)
        change = {"server": [before, cluster.server]}
        audit.record(actor=actor, verb="cluster.credentials", target=cluster, change=change)
        announce(cluster, actor)
    check(cluster=cluster)
    return cluster


def change(*, cluster: Cluster, actor: User | None, **entered: str) -> Cluster:
    """Changes what people enter: `region`, `provider`, `environment`. Raises Invalid."""
    allowed(actor, "fleet.change_cluster")
    before = {name: getattr(cluster, name) for name in entered}
    for name, value in entered.items():
        setattr(cluster, name, value)
    validated(cluster)
    changed = {name: [old, entered[name]] for name, old in before.items() if old != entered[name]}
    with events.transaction():
        cluster.save(update_fields=list(changed))
        audit.record(actor=actor, verb="cluster.change", target=cluster, change=changed)
        announce(cluster, actor)
    return cluster


def remove(*, cluster: Cluster, actor: User | None, reason: str = "", confirm: str) -> None:
    """Forgets a cluster; nothing in it is touched. `confirm` is its name, typed.

    Raises Conflict while a service is placed on it.
    """
    allowed(actor, "fleet.delete_cluster")
    confirmed(confirm, cluster.name)
    with events.transaction():
        placed = list(cluster.placements.values_list("service__name", flat=True))
        if placed:
            raise Conflict(f"Still placed here: {', '.join(placed)}", code="in_use")
        audit.record(actor=actor, verb="cluster.remove", target=cluster, reason=reason)
        topics, gone = ["fleet", cluster.topic], {"id": str(cluster.pk), "name": cluster.name}
        events.emit(
            topics=topics, kind="cluster.gone", object_id=cluster.pk, payload=gone, actor=actor
        )
        cluster.delete()


def check(*, cluster: Cluster) -> list[CheckResult]:
    """Tests the connection step by step and stores what it showed. Takes at most about 20 s."""
    findings = examine(stored_endpoint(cluster))
    record_contact(
        cluster.pk,
        findings.connection == Connection.CONNECTED,
        findings.detail,
        findings.latency_seconds,
        connection=findings.connection,
        version=findings.version,
    )
    cluster.refresh_from_db()
    return findings.results


class Resting(errors.Unavailable):
    """The breaker is open: nobody asked the cluster, so this says nothing new about it."""


def gateway(cluster: Cluster) -> Gateway:
    """The way to a cluster. Raises Resting at once while the breaker keeps it closed."""
    if cluster.closed_until and cluster.closed_until > timezone.now():
        until = f"{cluster.closed_until:%H:%M:%S} UTC"
        why = cluster.connection_detail or "it did not answer"
        raise Resting(f"{cluster.name} is not tried again before {until}: {why}")
    return gateway_for(stored_endpoint(cluster))


def stored_endpoint(cluster: Cluster) -> Endpoint:
    """Address and credential of a cluster, decrypted."""
    known = {field.name for field in fields(Endpoint)}
    stored = cluster.credentials or {}
    return Endpoint(**{name: value for name, value in stored.items() if name in known})


def record_contact(
    cluster_id: object,
    ok: bool,
    detail: str = "",
    latency_seconds: float | None = None,
    *,
    connection: str = "",
    version: str = "",
) -> None:
    """Books one contact with the API server. Safe to call from anywhere, any number of times.

    Events come only when the connection's state changes. A credential that is refused
    (`connection="refused"`) is not a failure of the server: the breaker stays out of it.
    """
    state = connection or (Connection.CONNECTED if ok else Connection.UNREACHABLE)
    answered = state != Connection.UNREACHABLE
    values = _answered(latency_seconds, version) if answered else _failed()
    rows = Cluster.objects.filter(pk=cluster_id)
    with events.transaction():
        news = rows.exclude(connection=state).update(connection=state)
        if news or detail:  # a success does not take back what a connection test found missing
            values["connection_detail"] = detail
        due = rows if news or detail or not answered else rows.filter(_worth_writing())
        due.update(**values)
        if news and (cluster := rows.first()):
            announce(cluster)


def record_error(cluster_id: object, error: errors.KubeError) -> None:
    """Books what a failed call says about the connection; a refusal is a contact too."""
    if isinstance(error, errors.BudgetSpent | Resting):
        return
    if isinstance(error, errors.Unauthorized | errors.BadCredentials):
        record_contact(cluster_id, False, error.message, connection=Connection.REFUSED)
    elif isinstance(error, errors.Unavailable):
        record_contact(cluster_id, False, error.message)
    else:
        record_contact(cluster_id, True)


def announce(cluster: Cluster, actor: User | None = None) -> None:
    """Emits `cluster.changed` with the cluster as every door shows it."""
    events.emit(
        topics=["fleet", cluster.topic],
        kind="cluster.changed",
        object_id=cluster.pk,
        payload=projections.cluster_projection(cluster),
        actor=actor,
    )


def _answered(latency_seconds: float | None, version: str) -> dict[str, object]:
    values: dict[str, object] = {"failures": 0, "closed_until": None, "last_contact_at": Now()}
    if latency_seconds is not None:
        values["api_latency_seconds"] = latency_seconds
    if version:
        values["version"] = version
    return values


def _failed() -> dict[str, object]:
    spent = Q(failures__gte=BREAKER_FAILURES - 1)
    until = Now() + timedelta(seconds=BREAKER_SECONDS)
    reopened = Case(
        When(spent, then=until), default=Value(None), output_field=models.DateTimeField()
    )
    return {"failures": F("failures") + 1, "closed_until": reopened}


def _worth_writing() -> Q:
    """A success changes the row after failures, and else only to keep the freshness fresh."""
    old = Now() - timedelta(seconds=CONTACT_RESOLUTION_SECONDS)
    stale = Q(last_contact_at=None) | Q(last_contact_at__lt=old)
    return stale | Q(failures__gt=0)


def _carry(cluster: Cluster, endpoint: Endpoint) -> None:
    cluster.server = endpoint.server
    cluster.credentials = asdict(endpoint)
    cluster.credentials_expire_at = credential_expires_at(endpoint)
