"""The columns `kubectl get` prints: lists as `meta.k8s.io/v1 Table`.

Source: pkg/printers/internalversion/printers.go.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .clock import parse_rfc3339
from .resources import Resource

Object = dict[str, Any]
Row = list[Any]
Column = tuple[str, str, int]  # name, type, priority (0 always, 1 wide)
_NAME: Column = ("Name", "string", 0)
_AGE: Column = ("Age", "string", 0)


def duration(seconds: float) -> str:
    """`45s`, `3m12s`, `5h`, `2d3h`: k8s.io/apimachinery/pkg/util/duration.HumanDuration."""
    total = int(seconds)
    if total < 0:
        return "0s" if total >= -1 else "<invalid>"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def age(stamp: str | None, now: datetime) -> str:
    if not stamp:
        return "<unknown>"
    return duration((now - parse_rfc3339(stamp)).total_seconds())


def _list(values: list[str]) -> str:
    return ",".join(values) or "<none>"


def _selector(selector: Object | None) -> str:
    labels = (selector or {}).get("matchLabels", {})
    return _list([f"{key}={value}" for key, value in sorted(labels.items())])


def _images(spec: Object) -> tuple[str, str]:
    containers = spec.get("template", {}).get("spec", {}).get("containers", [])
    return (",".join(c["name"] for c in containers), ",".join(c["image"] for c in containers))


def _pod(pod: Object, now: datetime) -> Row:
    status, spec = pod.get("status", {}), pod["spec"]
    containers = status.get("containerStatuses", [])
    ready = sum(1 for c in containers if c.get("ready"))
    restarts = sum(c.get("restartCount", 0) for c in containers)
    finished = [
        c["lastState"]["terminated"].get("finishedAt")
        for c in containers
        if c.get("lastState", {}).get("terminated")
    ]
    shown = (
        f"{restarts} ({age(max(finished), now)} ago)" if restarts and finished else f"{restarts}"
    )
    return [
        pod["metadata"]["name"],
        f"{ready}/{len(spec['containers'])}",
        pod_reason(pod),
        shown,
        age(pod["metadata"]["creationTimestamp"], now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _readiness_gates(pod),
    ]


def _readiness_gates(pod: Object) -> str:
    gates = pod["spec"].get("readinessGates", [])
    if not gates:
        return "<none>"
    conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions", [])}
    passed = sum(1 for gate in gates if conditions.get(gate["conditionType"]) == "True")
    return f"{passed}/{len(gates)}"


def pod_reason(pod: Object) -> str:
    """The STATUS column: CrashLoopBackOff rather than Running, Terminating above all."""
    status = pod.get("status", {})
    reason = status.get("reason") or status.get("phase", "Unknown")
    for container in status.get("containerStatuses", []):
        state = container.get("state", {})
        for kind in ("waiting", "terminated"):
            if state.get(kind, {}).get("reason"):
                reason = state[kind]["reason"]
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else reason


def _deployment(obj: Object, now: datetime) -> Row:
    spec, status = obj["spec"], obj.get("status", {})
    names, images = _images(spec)
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj["metadata"]["creationTimestamp"], now),
        names,
        images,
        _selector(spec.get("selector")),
    ]


def _replica_set(obj: Object, now: datetime) -> Row:
    spec, status = obj["spec"], obj.get("status", {})
    names, images = _images(spec)
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj["metadata"]["creationTimestamp"], now),
        names,
        images,
        _selector(spec.get("selector")),
    ]


def _node(obj: Object, now: datetime) -> Row:
    status, labels = obj.get("status", {}), obj["metadata"].get("labels", {})
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    state = "Ready" if conditions.get("Ready") == "True" else "NotReady"
    if obj["spec"].get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in labels if key.startswith(prefix)]
    info = status.get("nodeInfo", {})
    addresses = {a["type"]: a["address"] for a in status.get("addresses", [])}
    return [
        obj["metadata"]["name"],
        state,
        _list(sorted(roles)),
        age(obj["metadata"]["creationTimestamp"], now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage", "<unknown>"),
        info.get("kernelVersion", "<unknown>"),
        info.get("containerRuntimeVersion", "<unknown>"),
    ]


def _service(obj: Object, now: datetime) -> Row:
    spec = obj["spec"]
    ports = [
        f"{p['port']}:{p['nodePort']}/{p['protocol']}"
        if p.get("nodePort")
        else f"{p['port']}/{p['protocol']}"
        for p in spec.get("ports", [])
    ]
    selector = [f"{key}={value}" for key, value in sorted(spec.get("selector", {}).items())]
    external = spec.get("externalIPs") or []
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        spec.get("clusterIP") or "<none>",
        ",".join(external) or ("<pending>" if spec.get("type") == "LoadBalancer" else "<none>"),
        _list(ports),
        age(obj["metadata"]["creationTimestamp"], now),
        _list(selector),
    ]


def _namespace(obj: Object, now: datetime) -> Row:
    phase = obj.get("status", {}).get("phase", "")
    return [obj["metadata"]["name"], phase, age(obj["metadata"]["creationTimestamp"], now)]


def _config_map(obj: Object, now: datetime) -> Row:
    count = len(obj.get("data", {})) + len(obj.get("binaryData", {}))
    return [obj["metadata"]["name"], count, age(obj["metadata"]["creationTimestamp"], now)]


def _secret(obj: Object, now: datetime) -> Row:
    return [
        obj["metadata"]["name"],
        obj.get("type", ""),
        len(obj.get("data", {})),
        age(obj["metadata"]["creationTimestamp"], now),
    ]


def _autoscaler(obj: Object, now: datetime) -> Row:
    spec, status = obj["spec"], obj.get("status", {})
    target = spec["scaleTargetRef"]
    wanted = [
        f"{m['resource']['name']}: <unknown>/{m['resource']['target'].get('averageUtilization')}%"
        for m in spec.get("metrics", ())
        if m["type"] == "Resource"
    ]
    return [
        obj["metadata"]["name"],
        f"{target['kind']}/{target['name']}",
        ", ".join(wanted) or "<none>",
        str(spec.get("minReplicas", "<unset>")),
        spec["maxReplicas"],
        status.get("currentReplicas", 0),
        age(obj["metadata"]["creationTimestamp"], now),
    ]


def _event(obj: Object, now: datetime) -> Row:
    involved, source = obj.get("involvedObject", {}), obj.get("source", {})
    last = obj.get("lastTimestamp") or obj.get("eventTime") or obj.get("firstTimestamp")
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    target = f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"
    seen = source.get("component") or obj.get("reportingComponent", "")
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        involved.get("fieldPath", ""),
        f"{seen}, {source['host']}" if source.get("host") else seen,
        obj.get("message", "").strip(),
        age(first, now),
        obj.get("count", 1) or 1,
        obj["metadata"]["name"],
    ]


def _plain(obj: Object, now: datetime) -> Row:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp", "")]


_WORKLOAD: list[Column] = [
    _AGE,
    ("Containers", "string", 1),
    ("Images", "string", 1),
    ("Selector", "string", 1),
]
_TABLES: dict[str, tuple[list[Column], Callable[[Object, datetime], Row]]] = {
    "Pod": (
        [
            _NAME,
            ("Ready", "string", 0),
            ("Status", "string", 0),
            ("Restarts", "string", 0),
            _AGE,
            ("IP", "string", 1),
            ("Node", "string", 1),
            ("Nominated Node", "string", 1),
            ("Readiness Gates", "string", 1),
        ],
        _pod,
    ),
    "Deployment": (
        [
            _NAME,
            ("Ready", "string", 0),
            ("Up-to-date", "integer", 0),
            ("Available", "integer", 0),
            *_WORKLOAD,
        ],
        _deployment,
    ),
    "ReplicaSet": (
        [
            _NAME,
            ("Desired", "integer", 0),
            ("Current", "integer", 0),
            ("Ready", "integer", 0),
            *_WORKLOAD,
        ],
        _replica_set,
    ),
    "Node": (
        [
            _NAME,
            ("Status", "string", 0),
            ("Roles", "string", 0),
            _AGE,
            ("Version", "string", 0),
            ("Internal-IP", "string", 1),
            ("External-IP", "string", 1),
            ("OS-Image", "string", 1),
            ("Kernel-Version", "string", 1),
            ("Container-Runtime", "string", 1),
        ],
        _node,
    ),
    "Service": (
        [
            _NAME,
            ("Type", "string", 0),
            ("Cluster-IP", "string", 0),
            ("External-IP", "string", 0),
            ("Port(s)", "string", 0),
            _AGE,
            ("Selector", "string", 1),
        ],
        _service,
    ),
    "Namespace": ([_NAME, ("Status", "string", 0), _AGE], _namespace),
    "ConfigMap": ([_NAME, ("Data", "string", 0), _AGE], _config_map),
    "Secret": ([_NAME, ("Type", "string", 0), ("Data", "string", 0), _AGE], _secret),
    "HorizontalPodAutoscaler": (
        [
            _NAME,
            ("Reference", "string", 0),
            ("Targets", "string", 0),
            ("MinPods", "string", 0),
            ("MaxPods", "integer", 0),
            ("Replicas", "integer", 0),
            _AGE,
        ],
        _autoscaler,
    ),
    "Event": (
        [
            ("Last Seen", "string", 0),
            ("Type", "string", 0),
            ("Reason", "string", 0),
            ("Object", "string", 0),
            ("Subobject", "string", 1),
            ("Source", "string", 1),
            ("Message", "string", 0),
            ("First Seen", "string", 1),
            ("Count", "string", 1),
            ("Name", "string", 1),
        ],
        _event,
    ),
}
_FALLBACK: list[Column] = [_NAME, ("Created At", "date", 0)]


def column_definitions(resource: Resource) -> list[Object]:
    """The table's header for a kind."""
    columns = _TABLES.get(resource.kind, (_FALLBACK, _plain))[0]
    return [
        {
            "name": name,
            "type": kind,
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for name, kind, priority in columns
    ]


def row(resource: Resource, obj: Object, now: datetime, include: str) -> Object:
    """One table row; `include` is Metadata, Object or None."""
    cells = _TABLES.get(resource.kind, (_FALLBACK, _plain))[1](obj, now)
    if include == "None":
        return {"cells": cells}
    shown = obj if include == "Object" else partial(obj)
    return {"cells": cells, "object": shown}


def table(resource: Resource, rows: list[Object], meta: Object) -> Object:
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": column_definitions(resource),
        "rows": rows,
    }


def partial(obj: Object) -> Object:
    """PartialObjectMetadata: an object without its body."""
    head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return head | {"metadata": obj["metadata"]}
