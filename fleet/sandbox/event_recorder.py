"""Events: what controllers tell people, counted when they repeat themselves.

Source: k8s.io/client-go/tools/record.
"""

import uuid
from collections import OrderedDict

from .clock import Clock, parse_rfc3339
from .store import Object, Store

EVENTS_REMEMBERED = 4096
KEPT_SECONDS = 3600
SWEEP_SECONDS = 300
_FIELDS = {
    "f:count": {}, "f:firstTimestamp": {}, "f:involvedObject": {}, "f:lastTimestamp": {},
    "f:message": {}, "f:reason": {}, "f:reportingComponent": {}, "f:source": {"f:component": {}},
    "f:type": {},
}


class EventRecorder:
    """Writes core/v1 Events straight into the store: they need neither defaults nor checks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._known: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()

    def record(self, component: str, obj: Object, kind: str, reason: str, message: str) -> None:
        """Record that `component` has something to say about `obj`."""
        namespace = obj["metadata"].get("namespace", "default")
        key = (component, obj["metadata"]["uid"], kind, reason, message)
        seen = self._known.get(key)
        live = self._store.get("events", *seen) if seen else None
        if live is not None:
            self._repeat(live)
            return
        owner = self._store.get("namespaces", "", namespace)
        if owner is None or owner["metadata"].get("deletionTimestamp"):
            return
        event = self._new(component, obj, namespace, kind, reason, message)
        self._known[key] = (namespace, event["metadata"]["name"])
        if len(self._known) > EVENTS_REMEMBERED:
            self._known.popitem(last=False)
        self._store.put("events", event)

    def _repeat(self, live: Object) -> None:
        again = {**live, "metadata": dict(live["metadata"]), "count": live["count"] + 1}
        self._store.put("events", again | {"lastTimestamp": self._clock.stamp()})

    def _new(
        self, component: str, obj: Object, namespace: str, kind: str, reason: str, message: str
    ) -> Object:
        stamp, unique = self._clock.stamp(), uuid.uuid4()
        manager = {"manager": component, "operation": "Update", "apiVersion": "v1", "time": stamp}
        manager |= {"fieldsType": "FieldsV1", "fieldsV1": _FIELDS}
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
            "reason": reason,
            "message": message,
            "source": {"component": component},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": "",
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
