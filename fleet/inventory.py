"""Stores what the watcher sees: observed objects, the watch's cursor, events and wakes.

One batch is one transaction, so a restart resumes exactly where the stored objects stand. A batch
that fails (the database is away) raises, and the watch brings the same changes again.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Case, F, When
from django.db.models.functions import Now
from django.utils import timezone

from fleet import projections
from fleet.kube.changes import Change
from fleet.kube.projections import VERSION, Watched
from fleet.models import Cluster, ObservedObject, Placement, WatchCursor
from portal.base import events

log = logging.getLogger(__name__)

# More events than this on one topic in one batch become one notice: read the list anew.
NOTICE_ABOVE = 100

# The kinds people watch, by the prefix of their events. The others are stored only.
EVENT_PREFIX = {"Pod": "pod", "Deployment": "workload", "ReplicaSet": "workload", "Node": "node"}
# The kinds whose changes can move a rollout on.
WAKING = ("Pod", "Deployment", "ReplicaSet", "HorizontalPodAutoscaler")

_STORED = ["placement", "namespace", "name", "projection", "resource_version", "seen_at"]


class Inventory:
    """The sink of one watch: one kind on one cluster. Used by that watch's thread alone."""

    def __init__(self, cluster: Cluster, watched: Watched) -> None:
        self.cluster, self.kind = cluster, watched.kind

    def stored(self) -> tuple[str, Iterator[tuple[str, str, str, dict[str, Any]]]]:
        """Where to resume ("" to list anew), and all objects that are stored, as (uid, namespace,
        name, projection)."""
        cursor, _ = WatchCursor.objects.get_or_create(cluster=self.cluster, kind=self.kind)
        fresh = cursor.projection_version == VERSION
        rows = ObservedObject.objects.filter(cluster=self.cluster, kind=self.kind)
        values = rows.values_list("uid", "namespace", "name", "projection").order_by()
        return (cursor.resource_version if fresh else ""), values.iterator(chunk_size=2000)

    def batch(self, changes: list[Change], resource_version: str) -> None:
        """Stores changes and cursor in one transaction, with their events and wakes last."""
        with events.transaction():
            self._store(changes)
            self._advance(resource_version)

    def state(self, state: str, detail: str = "") -> None:
        """Shows how fresh the picture is; an event only when that changes."""
        known = state if state in WatchCursor.State.values else WatchCursor.State.RECONNECTING
        with events.transaction():
            self._show(known, detail)

    def drift(self, changes: list[Change]) -> None:
        """The hourly audit found changes that the watch had missed: told, never hidden."""
        payload = {
            "cluster_id": str(self.cluster.pk),
            "kind": self.kind,
            "missed": [f"{c.type} {c.namespace}/{c.name}" for c in changes[:20]],
            "count": len(changes),
        }
        with events.transaction():
            self._emit([self.cluster.topic], "watch.drift", self._watch_id, payload)

    def _store(self, changes: list[Change]) -> None:
        placements = self._placements(changes)
        now = timezone.now()
        upserts = [
            ObservedObject(
                cluster=self.cluster,
                placement_id=placements.get(change.uid),
                kind=change.kind,
                namespace=change.namespace,
                name=change.name,
                uid=change.uid,
                projection=change.projection,
                resource_version=change.resource_version,
                seen_at=now,
            )
            for change in changes
            if change.type == "upsert"
        ]
        ObservedObject.objects.bulk_create(
            upserts,
            update_conflicts=True,
            unique_fields=["cluster", "kind", "uid"],
            update_fields=_STORED,
        )
        gone = self._delete([change.uid for change in changes if change.type == "delete"])
        self._tell(upserts, gone)

    def _delete(self, uids: list[str]) -> list[ObservedObject]:
        if not uids:
            return []
        rows = ObservedObject.objects.filter(cluster=self.cluster, kind=self.kind, uid__in=uids)
        gone = list(rows)
        rows.delete()
        return gone

    def _placements(self, changes: list[Change]) -> dict[str, UUID]:
        """The placement of each object that names one, by the object's uid.

        A label is only text that somebody wrote, so it counts if such a placement is here.
        """
        if self.kind == "Event":
            return self._placements_of_subjects(changes)
        named = {c.uid: _uuid(c.projection.get("placement")) for c in changes}
        wanted = {placement for placement in named.values() if placement}
        if not wanted:
            return {}
        here = Placement.objects.filter(cluster=self.cluster, pk__in=wanted)
        known = set(here.values_list("pk", flat=True))
        return {uid: placement for uid, placement in named.items() if placement in known}

    def _placements_of_subjects(self, changes: list[Change]) -> dict[str, UUID]:
        """Warning events belong to the placement of the object they speak of."""
        subject = {
            change.uid: change.projection["regarding"]["uid"]
            for change in changes
            if change.projection.get("regarding")
        }
        rows = ObservedObject.objects.filter(cluster=self.cluster, uid__in=set(subject.values()))
        placed = dict(rows.exclude(placement=None).values_list("uid", "placement_id"))
        return {uid: placed[about] for uid, about in subject.items() if about in placed}

    def _advance(self, resource_version: str) -> None:
        values = {"resource_version": resource_version, "heard_at": Now()}
        if resource_version:
            listed = When(resource_version="", then=Now())
            values["listed_at"] = Case(listed, default=F("listed_at"))
        rows = WatchCursor.objects.filter(cluster=self.cluster, kind=self.kind)
        rows.update(projection_version=VERSION, **values)

    def _tell(self, upserts: list[ObservedObject], gone: list[ObservedObject]) -> None:
        if prefix := EVENT_PREFIX.get(self.kind):
            told = [(f"{prefix}.changed", row) for row in upserts]
            told += [(f"{prefix}.gone", row) for row in gone]
            self._tell_each(told)
        if self.kind in WAKING:
            for placement_id in {row.placement_id for row in [*upserts, *gone]} - {None}:
                events.wake(placement_id)

    def _tell_each(self, told: list[tuple[str, ObservedObject]]) -> None:
        per_topic = Counter(self._topic(row) for _, row in told)
        for kind, row in told:
            topic = self._topic(row)
            if topic and per_topic[topic] <= NOTICE_ABOVE:
                self._emit([topic], kind, row.uid, projections.observed_projection(row))
        for topic, count in per_topic.items():
            if topic and count > NOTICE_ABOVE:
                notice = {"cluster_id": str(self.cluster.pk), "kind": self.kind, "count": count}
                self._emit([topic], "inventory.changed", topic, notice)

    def _topic(self, row: ObservedObject) -> str:
        """Nodes are told on their cluster, the rest on their placement; strangers' nowhere."""
        if row.kind == "Node":
            return self.cluster.topic
        return f"placement:{row.placement_id}" if row.placement_id else ""

    def _show(self, state: str, detail: str) -> None:
        rows = WatchCursor.objects.filter(cluster=self.cluster, kind=self.kind)
        changed = rows.exclude(state=state, detail=detail).update(state=state, detail=detail)
        if not changed:
            return
        payload = {
            "cluster_id": str(self.cluster.pk),
            "kind": self.kind,
            "state": state,
            "detail": detail,
            "watch": projections.watch_freshness(self.cluster),
        }
        self._emit(["fleet", self.cluster.topic], "watch.state", self._watch_id, payload)

    @property
    def _watch_id(self) -> str:
        return f"{self.cluster.pk}/{self.kind}"

    def _emit(self, topics: list[str], kind: str, object_id: str, payload: dict[str, Any]) -> None:
        events.emit(topics=topics, kind=kind, object_id=object_id, payload=payload)


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
