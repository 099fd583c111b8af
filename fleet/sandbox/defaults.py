"""Fill in what a manifest leaves out, as the API server does when it decodes one.

`apply_defaults` does what upstream's versioned defaulting does (the writer owns the result);
`admit` what admission and allocation do later (nobody owns it).
Source: pkg/apis/{apps,core,autoscaling}/v1/defaults.go, plugin/pkg/admission.
"""

import base64
import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

Object = dict[str, Any]
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_FILE_MODE = 0o644
_UNREACHABLE_SECONDS = 300


def apply_defaults(obj: Object) -> None:
    """Complete a freshly decoded object in place."""
    default = _BY_KIND.get(obj.get("kind", ""))
    if default:
        default(obj)


def _fill(target: Object, **values: Any) -> None:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value


def _deployment(obj: Object) -> None:
    spec = obj["spec"]
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, rollingUpdate={})
        _fill(strategy["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")
    _template(spec)


def _replica_set(obj: Object) -> None:
    _fill(obj["spec"], replicas=1)
    _template(obj["spec"])


def _replication_controller(obj: Object) -> None:
    """Selector and labels default to those of the template."""
    labels = obj["spec"].get("template", {}).get("metadata", {}).get("labels", {})
    _fill(obj["spec"], selector=labels)
    _fill(obj["metadata"], labels=labels)
    _replica_set(obj)


def _stateful_set(obj: Object) -> None:
    spec = obj["spec"]
    _fill(spec, replicas=1, podManagementPolicy="OrderedReady", revisionHistoryLimit=10)
    _fill(spec, persistentVolumeClaimRetentionPolicy={})
    _fill(spec["persistentVolumeClaimRetentionPolicy"], whenDeleted="Retain", whenScaled="Retain")
    _fill(spec.setdefault("updateStrategy", {}), type="RollingUpdate")
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        _fill(spec["updateStrategy"], rollingUpdate={"partition": 0})
    _template(spec)


def _daemon_set(obj: Object) -> None:
    spec = obj["spec"]
    _fill(spec, revisionHistoryLimit=10)
    strategy = spec.setdefault("updateStrategy", {})
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, rollingUpdate={})
        _fill(strategy["rollingUpdate"], maxUnavailable=1, maxSurge=0)
    _template(spec)


def _job(obj: Object) -> None:
    _fill(obj["spec"], completions=1, parallelism=1, backoffLimit=6, completionMode="NonIndexed")
    _fill(obj["spec"], suspend=False, podReplacementPolicy="TerminatingOrFailed")
    _template(obj["spec"])


def _template(spec: Object) -> None:
    _pod_spec(spec.get("template", {}).get("spec", {}))


def _pod(obj: Object) -> None:
    spec = obj["spec"]
    _fill(spec, enableServiceLinks=True)
    _pod_spec(spec)
    for container in _containers(spec):
        limits = container.get("resources", {}).get("limits", {})
        if limits:
            requests = container["resources"].setdefault("requests", {})
            _fill(requests, **limits)


def _containers(spec: Object) -> Iterable[Object]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _pod_spec(spec: Object) -> None:
    if not spec:
        return
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:  # the old and the new name of one field
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    _fill(spec, dnsPolicy="ClusterFirst", restartPolicy="Always", securityContext={})
    _fill(spec, terminationGracePeriodSeconds=30, schedulerName="default-scheduler")
    for container in _containers(spec):
        _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _container(container: Object) -> None:
    _fill(container, imagePullPolicy=_pull_policy(container.get("image", "")))
    _fill(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    for port in container.get("ports", ()):
        _fill(port, protocol="TCP")
    for variable in container.get("env", ()):
        reference = variable.get("valueFrom", {}).get("fieldRef")
        if reference is not None:
            _fill(reference, apiVersion="v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _fill(container[name], **_PROBE)
            _handler(container[name])
    for hook in container.get("lifecycle", {}).values():
        if isinstance(hook, dict):
            _handler(hook)


def _handler(handler: Object) -> None:
    if "httpGet" in handler:
        _fill(handler["httpGet"], path="/", scheme="HTTP")


def _pull_policy(image: str) -> str:
    name = image.rpartition("/")[2]
    if "@" in name:
        return "IfNotPresent"
    tag = name.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _volume(volume: Object) -> None:
    if volume.keys() == {"name"}:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "projected", "downwardAPI"):
        if source in volume:
            _fill(volume[source], defaultMode=_FILE_MODE)
    if "hostPath" in volume:
        _fill(volume["hostPath"], type="")
    for projection in volume.get("projected", {}).get("sources", ()):
        if "serviceAccountToken" in projection:
            _fill(projection["serviceAccountToken"], expirationSeconds=3600)


def _service(obj: Object) -> None:
    spec = obj["spec"]
    _fill(spec, sessionAffinity="None", type="ClusterIP")
    for port in spec.get("ports", ()):
        _fill(port, protocol="TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port")
    if spec["type"] != "ExternalName":
        _fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)


def _secret(obj: Object) -> None:
    _fill(obj, type="Opaque")
    plain = obj.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        obj["data"] = {**obj.get("data", {}), **encoded}


def _namespace(obj: Object) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    if obj["metadata"].get("name"):
        labels.setdefault("kubernetes.io/metadata.name", obj["metadata"]["name"])


def _autoscaler(obj: Object) -> None:
    _fill(obj["spec"], minReplicas=1)
    if obj["apiVersion"] == "autoscaling/v2" and not obj["spec"].get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        obj["spec"]["metrics"] = [
            {"type": "Resource", "resource": {"name": "cpu", "target": target}}
        ]


def _role_binding(obj: Object) -> None:
    _fill(obj["roleRef"], apiGroup="rbac.authorization.k8s.io")
    for subject in obj.get("subjects", ()):
        is_account = subject.get("kind") == "ServiceAccount"
        if not is_account:
            _fill(subject, apiGroup="rbac.authorization.k8s.io")


def _custom_resource_definition(obj: Object) -> None:
    spec = obj["spec"]
    _fill(spec, conversion={"strategy": "None"})
    names = spec["names"]
    _fill(names, singular=names.get("kind", "").lower(), listKind=f"{names.get('kind', '')}List")


def _endpoints(obj: Object) -> None:
    for subset in obj.get("subsets", ()):
        for port in subset.get("ports", ()):
            _fill(port, protocol="TCP")


def _claim(obj: Object) -> None:
    _fill(obj["spec"], volumeMode="Filesystem")


_BY_KIND: dict[str, Callable[[Object], None]] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "ReplicationController": _replication_controller,
    "Pod": _pod,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "HorizontalPodAutoscaler": _autoscaler,
    "RoleBinding": _role_binding,
    "ClusterRoleBinding": _role_binding,
    "CustomResourceDefinition": _custom_resource_definition,
    "Endpoints": _endpoints,
    "PersistentVolumeClaim": _claim,
}


def admit(obj: Object, used_addresses: set[str]) -> None:
    """What admission plug-ins and allocators add to a new object, in place."""
    kind = obj["kind"]
    if kind == "Pod":
        _admit_pod(obj)
    elif kind == "Service":
        _allocate(obj["spec"], used_addresses)
    elif kind == "Namespace":
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}


def _admit_pod(obj: Object) -> None:
    spec = obj["spec"]
    _fill(spec, priority=0, preemptionPolicy="PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for reason in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{reason}"
        if not any(
            t.get("key") in (key, None) and t.get("effect") in ("NoExecute", None)
            for t in tolerations
        ):
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute"}
            tolerations.append(toleration | {"tolerationSeconds": _UNREACHABLE_SECONDS})
    obj["status"] = {"phase": "Pending", "qosClass": quality_of_service(spec)}


def quality_of_service(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort; source: pkg/apis/core/v1/helper/qos."""
    resources = [
        {
            kind: {
                name: amount
                for name, amount in c.get("resources", {}).get(kind, {}).items()
                if name in ("cpu", "memory")
            }
            for kind in ("requests", "limits")
        }
        for c in _containers(spec)
    ]
    if not any(r["requests"] or r["limits"] for r in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= r["limits"].keys()
        and all(r["requests"].get(name, most) == most for name, most in r["limits"].items())
        for r in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _allocate(spec: Object, used_addresses: set[str]) -> None:
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = next_address(used_addresses)
    spec["clusterIPs"] = [spec["clusterIP"]]
    _fill(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")


def next_address(used: set[str]) -> str:
    """The first free address of the Service range 10.96.0.0/16."""
    hosts = ipaddress.ip_network("10.96.0.0/16").hosts()
    return next(str(host) for host in hosts if str(host) not in used)
