"""The connection test of a cluster: name, address, TLS, credential, rights, in this order.

The first step that fails ends the test and says what to do about it. Nothing in the cluster is
changed: rights are asked for, not tried.
"""

import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fleet.kube import addresses, errors, tls
from fleet.kube.connect import Endpoint, gateway_for
from fleet.kube.gateway import Budget, Gateway
from fleet.models.cluster import Connection

STEP_SECONDS = 3.0
CALLS_SECONDS = 10.0

Right = tuple[str, str, str]  # verb, API group, resource or resource/subresource

# What the watcher reads, and what a rollout writes.
READS: list[Right] = [
    (verb, group, resource)
    for group, resource in (
        ("", "pods"), ("", "nodes"), ("", "events"), ("apps", "deployments"),
        ("apps", "replicasets"), ("autoscaling", "horizontalpodautoscalers"),
    )
    for verb in ("list", "watch")
]  # fmt: skip
WRITES: list[Right] = [
    (verb, group, resource)
    for group, resource in (("apps", "deployments"), ("", "services"), ("", "configmaps"))
    for verb in ("create", "patch", "delete")
]
# Not needed: with these, a leak of the credential costs more than it has to.
EXCESS: list[Right] = [("get", "", "secrets"), ("create", "", "pods/exec"), ("*", "*", "*")]


@dataclass(frozen=True)
class CheckResult:
    """One step. `hint` says what to do; a step that passed may carry a warning there."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


@dataclass
class Findings:
    """The steps taken and what they say of the connection."""

    results: list[CheckResult] = field(default_factory=list)
    connection: str = Connection.UNREACHABLE
    version: str = ""
    latency_seconds: float | None = None

    @property
    def detail(self) -> str:
        """The first failure in one sentence, "" when all is well."""
        return next((f"{r.name}: {r.detail}" for r in self.results if not r.ok), "")

    def add(self, name: str, ok: bool, detail: str, hint: str = "") -> None:
        self.results.append(CheckResult(name, ok, detail, hint))


class _Stop(Exception):
    """A step failed: (detail, hint)."""


def examine(endpoint: Endpoint) -> Findings:
    """Runs the test; takes at most about 20 s, whatever the cluster does."""
    findings = Findings()
    steps = [("Name", _resolve), ("Address", _dial), ("TLS", _shake_hands)]
    road = _Road(endpoint)
    for name, step in [*([] if endpoint.in_cluster else steps), ("Credential", _sign_in)]:
        try:
            findings.add(name, True, step(road, findings))
        except _Stop as stop:
            findings.add(name, False, *stop.args)
            return findings
    _ask_rights(gateway_for(endpoint).within(Budget(CALLS_SECONDS)), findings)
    return findings


class _Road:
    """What one step finds and the next one needs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        url = urlsplit(endpoint.server)
        self.host, self.port = url.hostname or "", url.port or 443
        self.address = ""


def _resolve(road: _Road, findings: Findings) -> str:
    hint = "Check the server's name, and the DNS of the machine Pilothouse runs on."
    try:
        found = _addresses(road.host, road.port)
    except OSError as error:
        raise _Stop(f"{road.host} is not known: {error.strerror or error}", hint) from None
    loopback = road.endpoint.allow_loopback or addresses.names_loopback(road.host)
    for address in found:
        if why := addresses.refusal(address, allow_loopback=loopback):
            raise _Stop(why, "Register the API server's own address.")
    road.address = found[0]
    return ", ".join(found)


def _dial(road: _Road, findings: Findings) -> str:
    try:
        started = time.monotonic()
        with socket.create_connection((road.address, road.port), STEP_SECONDS):
            return f"port {road.port} answers after {(time.monotonic() - started) * 1000:.0f} ms"
    except OSError as error:
        hint = "Is the API server running, and may this machine pass its firewall?"
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or error
        raise _Stop(f"{road.address}:{road.port}: {why}", hint) from None


def _shake_hands(road: _Road, findings: Findings) -> str:
    name = road.endpoint.tls_server_name or road.host
    try:
        context = tls.context_for(road.endpoint)
        with (
            socket.create_connection((road.address, road.port), STEP_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            return f"{secured.version()}, the certificate is trusted for {name}"
    except ssl.SSLCertVerificationError as error:
        hint = "Give the CA that signed the server's certificate, and the name written in it."
        raise _Stop(f"the certificate is not trusted: {error.verify_message}", hint) from None
    except errors.BadCredentials as error:
        raise _Stop(error.message, "Give the certificates and the key as PEM.") from None
    except OSError as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or error
        raise _Stop(str(why), "Does an HTTPS server listen there?") from None


def _sign_in(road: _Road, findings: Findings) -> str:
    """Asks for the version, which anybody may, then something only a known user may."""
    try:
        gateway = gateway_for(road.endpoint).within(Budget(CALLS_SECONDS))
        started = time.monotonic()
        findings.version = str(gateway.version().get("gitVersion", ""))
        findings.latency_seconds = time.monotonic() - started
        gateway.can_i("list", "", "pods")
    except (errors.Unauthorized, errors.BadCredentials) as error:
        findings.connection = Connection.REFUSED
        raise _Stop(error.message, "Make a new token or certificate and replace it here.") from None
    except errors.KubeError as error:
        raise _Stop(error.message, "Look at the API server's log.") from None
    findings.connection = Connection.CONNECTED
    return f"accepted; Kubernetes {findings.version}"


def _ask_rights(gateway: Gateway, findings: Findings) -> None:
    """A missing right does not end the test: the rest of the portal works without it."""
    try:
        _note_missing("Rights to watch", READS, gateway, findings)
        _note_missing("Rights to deliver", WRITES, gateway, findings)
        held = [right_text(right) for right in EXCESS if _may(gateway, right)]
    except errors.KubeError as error:
        findings.add("Rights", False, error.message, "Run the test again.")
        return
    hint = "Bind the role in ops/kubernetes/rbac.yaml instead of a wider one." if held else ""
    detail = f"also allowed: {', '.join(held)}" if held else "none beyond what is needed"
    findings.add("Excess rights", True, detail, hint)


def _note_missing(name: str, rights: list[Right], gateway: Gateway, findings: Findings) -> None:
    missing = [right_text(right) for right in rights if not _may(gateway, right)]
    detail = f"missing: {', '.join(missing)}" if missing else "complete"
    hint = "Grant them in a Role or ClusterRole bound to this credential." if missing else ""
    findings.add(name, not missing, detail, hint)


def _may(gateway: Gateway, right: Right) -> bool:
    verb, group, path = right
    resource, _, subresource = path.partition("/")
    return gateway.can_i(verb, group, resource, subresource=subresource).allowed


def right_text(right: Right) -> str:
    """`patch deployments.apps`, the way `kubectl auth can-i` takes it."""
    verb, group, resource = right
    if verb == "*":
        return "everything"
    return f"{verb} {resource}.{group}" if group else f"{verb} {resource}"


def _addresses(host: str, port: int) -> list[str]:
    """All addresses of a name. getaddrinfo knows no time-out, so it waits in its own thread."""
    if addresses.is_literal(host):
        return [host.strip("[]")]
    answer: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(info[4][0]) for info in infos)))
        except OSError as error:
            answer.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        found = answer.get(timeout=STEP_SECONDS)
    except queue.Empty:
        raise TimeoutError("no answer from the name servers") from None
    if isinstance(found, OSError):
        raise found
    return found
