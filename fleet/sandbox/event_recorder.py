"""Events: what controllers tell people, counted when they repeat themselves.

Source: k8s.io/client-go/tools/record.
"""

import uuid
from collections import OrderedDict
from typing import NamedTuple

from .clock import Clock, parse_rfc3339, rfc3339_micro
from .store import Object, Store

EVENTS_REMEMBERED = 4096
KEPT_SECONDS = 3600
SWEEP_SECONDS = 300
_FIELDS = {
    "f:count": {},
    "f:firstTimestamp": {},
    "f:involvedObject": {},
    "f:lastTimestamp": {},
    "f:message": {},
    "f:reason": {},
    "f:reportingComponent": {},
    "f:source": {"f:component": {}},
    "f:type": {},
}

_NEW_FIELDS = {
    "f:action": {},
    "f:eventTime": {},
    "f:note": {},
    "f:reason": {},
    "f:regarding": {},
    "f:reportingController": {},
    "f:reportingInstance": {},
    "f:type": {},
}


class Note(NamedTuple):
    """What an event says. Writers of the newer events API name an action."""

    kind: str  # Normal, Warning
    reason: str
    message: str
    action: str = ""


class EventRecorder:
    """Writes core/v1 Events straight into the store: they need neither defaults nor checks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._known: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()

    def record(self, component: str, obj: Object, note: Note) -> None:
        """Record that `component` has something to say about `obj`."""
        namespace = obj["metadata"].get("namespace", "default")
        key = (component, obj["metadata"]["uid"], *note)
        seen = self._known.get(key)
        live = self._store.get("events", *seen) if seen else None
        if live is not None:
            self._repeat(live)
            return
        owner = self._store.get("namespaces", "", namespace)
        if owner is None or owner["metadata"].get("deletionTimestamp"):
            return
        event = self._new(component, obj, namespace, note)
        self._known[key] = (namespace, event["metadata"]["name"])
        if len(self._known) > EVENTS_REMEMBERED:
            self._known.popitem(last=False)
        self._store.put("events", event)

    def _repeat(self, live: Object) -> None:
        again = {**live, "metadata": dict(live["metadata"])}
        if live.get("action"):
            now = rfc3339_micro(self._clock.now())
            count = live.get("series", {}).get("count", 1) + 1
            again["series"] = {"count": count, "lastObservedTime": now}
        else:
            again |= {"count": live["count"] + 1, "lastTimestamp": self._clock.stamp()}
        self._store.put("events", again)

    def _new(self, component: str, obj: Object, namespace: str, note: Note) -> Object:
        stamp, unique = self._clock.stamp(), uuid.uuid4()
        manager = {"manager": component, "operation": "Update", "time": stamp}
        manager |= {
            "apiVersion": "events.k8s.io/v1" if note.action else "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": _NEW_FIELDS if note.action else _FIELDS,
        }
        involved = {"kind": obj["kind"], "apiVersion": obj["apiVersion"]}
        for key in ("namespace", "name", "uid", "resourceVersion"):
            if key in obj["metadata"]:
                involved[key] = obj["metadata"][key]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{obj['metadata']['name']}.{unique.hex[:16]}",
                "namespace": namespace,
                "uid": str(unique),
                "creationTimestamp": stamp,
                "managedFields": [manager],
            },
            "involvedObject": involved,
            "reason": note.reason,
            "message": note.message,
            "type": note.kind,
            **(self._new_style(component, note) if note.action else _old_style(component, stamp)),
        }

    def _new_style(self, component: str, note: Note) -> Object:
        return {
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "eventTime": rfc3339_micro(self._clock.now()),
            "action": note.action,
            "reportingComponent": component,
            "reportingInstance": f"{component}-sandbox",
        }

    def sweep(self) -> None:
        """Forget events older than an hour, now and every few minutes."""
        now = self._clock.now()
        for event in list(self._store.objects("events")):
            age = now - parse_rfc3339(event["metadata"]["creationTimestamp"])
            if age.total_seconds() > KEPT_SECONDS:
                meta = event["metadata"]
                self._store.remove("events", (meta["namespace"], meta["name"]))
        self._clock.later(SWEEP_SECONDS, self.sweep)


def _old_style(component: str, stamp: str) -> Object:
    return {
        "source": {"component": component},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": "",
    }
