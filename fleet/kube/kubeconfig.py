"""Reads an uploaded kubeconfig by an allow-list: nothing in it is ever executed, opened or fetched.

The client's own loaders run `exec` commands and read any file a kubeconfig names, so they are
never given one. Here a document may hold inline data only; every other key is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

import yaml

from fleet.kube import addresses, pem
from fleet.kube.endpoint import Endpoint
from fleet.kube.errors import KubeconfigError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8  # clusters / 0 / cluster / server is 4

_TOP = {"apiVersion", "kind", "clusters", "users", "contexts", "current-context", "preferences"}
_INSIDE = {
    "cluster": {"server", "certificate-authority-data", "tls-server-name"},
    "user": {"token", "client-certificate-data", "client-key-data"},
    "context": {"cluster", "user", "namespace"},
}
_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


def endpoint_from_kubeconfig(text: str | bytes, *, allow_loopback: bool) -> Endpoint:
    """The endpoint of the document's current context.

    Raises KubeconfigError with the JSON pointer of the first thing that is not allowed.
    """
    document = _Reader(_decoded(text)).document()
    _check_keys(document, _TOP, "")
    if document.get("preferences"):
        raise KubeconfigError("/preferences", "not_allowed", "must be empty")
    entries = {room: _entries(document, room) for room in ("cluster", "user", "context")}
    context, at = _current_context(document, entries["context"])
    cluster, cluster_at = _chosen(entries["cluster"], context, "cluster", at)
    user, user_at = _chosen(entries["user"], context, "user", at)
    return Endpoint(
        server=_server(cluster, cluster_at, allow_loopback),
        ca_pem=_certificates(cluster, cluster_at, "certificate-authority-data"),
        tls_server_name=_tls_name(cluster, cluster_at),
        allow_loopback=allow_loopback,
        **_credential(user, user_at),
    )


def _decoded(text: str | bytes) -> str:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise KubeconfigError("", "too_large", f"a kubeconfig has at most {MAX_BYTES // 1024} KB")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise KubeconfigError("", "not_text", "the document is not UTF-8 text") from None


class _Reader:
    """YAML events -> dicts, lists and strings. No constructor runs; scalars stay as written."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)

    def document(self) -> dict[str, Any]:
        try:
            value = self._only_document()
        except (yaml.YAMLError, ValueError) as error:
            where = getattr(error, "problem_mark", None)
            line = f" near line {where.line + 1}" if where else ""
            raise KubeconfigError("", "not_yaml", f"not a YAML document{line}") from None
        if not isinstance(value, dict):
            raise KubeconfigError("", "wrong_type", "a kubeconfig is a mapping")
        return value

    def _only_document(self) -> Any:
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), "")
        next(self._events)  # the document's end
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise KubeconfigError("", "many_documents", "give one document only")
        return value

    def _value(self, event: yaml.Event, at: str) -> Any:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise KubeconfigError(at, "alias", "anchors and aliases are not accepted")
        if getattr(event, "tag", None):
            raise KubeconfigError(at, "tag", "explicit tags are not accepted")
        if at.count("/") > MAX_DEPTH:
            raise KubeconfigError(at, "too_deep", "nested too deeply")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(at)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(at)
        plain_null = event.implicit[0] and event.value in ("", "~", "null", "Null", "NULL")
        return None if plain_null else event.value

    def _mapping(self, at: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, at)
            if not isinstance(key, str):
                raise KubeconfigError(at, "wrong_type", "keys are plain text")
            inside = _join(at, key)
            if key in found:
                raise KubeconfigError(inside, "duplicate", "the key is given twice")
            found[key] = self._value(next(self._events), inside)
        return found

    def _sequence(self, at: str) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, f"{at}/{len(found)}"))
        return found


def _join(at: str, key: str) -> str:
    return f"{at}/{key.replace('~', '~0').replace('/', '~1')}"


def _check_keys(mapping: dict[str, Any], allowed: set[str], at: str) -> None:
    for key in mapping:
        if key not in allowed:
            raise KubeconfigError(_join(at, key), "not_allowed", _why_not(key))


def _why_not(key: str) -> str:
    if key in ("exec", "auth-provider"):
        return "commands and login helpers are not run; give a token or a client certificate"
    if key == "insecure-skip-tls-verify":
        return "the server's certificate is always checked; give certificate-authority-data"
    if key == "tokenFile" or key in ("certificate-authority", "client-certificate", "client-key"):
        return "files are not read; give the contents inline (kubectl config view --flatten --raw)"
    return "this key is not accepted"


def _entries(document: dict[str, Any], room: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Name -> (settings, their pointer) of one of the three lists, every entry checked."""
    listed = document.get(f"{room}s")
    if listed is None:
        return {}
    if not isinstance(listed, list):
        raise KubeconfigError(f"/{room}s", "wrong_type", "must be a list")
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for index, entry in enumerate(listed):
        at = f"/{room}s/{index}"
        name, settings = _entry(entry, room, at)
        if name in found:
            raise KubeconfigError(f"{at}/name", "duplicate", f"the name {name!r} is given twice")
        found[name] = (settings, f"{at}/{room}")
    return found


def _entry(entry: Any, room: str, at: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(entry, dict):
        raise KubeconfigError(at, "wrong_type", "must be a mapping")
    _check_keys(entry, {"name", room}, at)
    settings = {} if entry.get(room) is None else entry[room]
    if not isinstance(settings, dict):
        raise KubeconfigError(f"{at}/{room}", "wrong_type", "must be a mapping")
    _check_keys(settings, _INSIDE[room], f"{at}/{room}")
    name = _text(entry, "name", at)
    for key in settings:
        _text(settings, key, f"{at}/{room}")
    return name, settings


def _text(mapping: dict[str, Any], key: str, at: str) -> str:
    value = mapping.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise KubeconfigError(_join(at, key), "wrong_type", "must be text")
    return value


def _current_context(document: dict[str, Any], contexts: dict) -> tuple[dict[str, Any], str]:
    name = _text(document, "current-context", "")
    if not name and len(contexts) == 1:
        return next(iter(contexts.values()))
    if name not in contexts:
        raise KubeconfigError("/current-context", "unknown", f"there is no context {name!r}")
    return contexts[name]


def _chosen(entries: dict, context: dict, key: str, at: str) -> tuple[dict[str, Any], str]:
    name = _text(context, key, at)
    if name not in entries:
        raise KubeconfigError(f"{at}/{key}", "unknown", f"there is no {key} {name!r}")
    return entries[name]


def _server(cluster: dict[str, Any], at: str, allow_loopback: bool) -> str:
    value, at = _text(cluster, "server", at), f"{at}/server"
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise KubeconfigError(at, "bad_url", "not a URL") from None
    if url.scheme != "https" or not url.hostname:
        raise KubeconfigError(at, "not_https", "must be an https URL")
    odd = "@" in url.netloc or url.query or url.fragment or ".." in url.path or port == 0
    if odd or not re.fullmatch(r"[\x21-\x7e]+", value) or "\\" in value:
        raise KubeconfigError(at, "bad_url", "only https://host[:port][/path] is accepted")
    _check_host(url, at, allow_loopback)
    return value.rstrip("/")


def _check_host(url: SplitResult, at: str, allow_loopback: bool) -> None:
    host = url.hostname or ""
    try:
        address = addresses.literal(host)
    except ValueError as error:
        raise KubeconfigError(at, "bad_url", str(error)) from None
    if address is None and not _HOST_NAME.fullmatch(host):
        raise KubeconfigError(at, "bad_url", "not a host name")
    why = addresses.refusal(str(address), allow_loopback=allow_loopback) if address else ""
    if not why and addresses.names_loopback(host) and not allow_loopback:
        why = f"{host} is this machine itself"
    if why:
        raise KubeconfigError(at, "forbidden_address", why)


def _tls_name(cluster: dict[str, Any], at: str) -> str:
    name = _text(cluster, "tls-server-name", at)
    if name and not _HOST_NAME.fullmatch(name) and ":" not in name:
        raise KubeconfigError(f"{at}/tls-server-name", "bad_name", "not a host name")
    return name


def _credential(user: dict[str, Any], at: str) -> dict[str, str]:
    token = _text(user, "token", at)
    if token and not _TOKEN.fullmatch(token):
        raise KubeconfigError(f"{at}/token", "bad_token", "a token is printable ASCII, no spaces")
    certificate = _certificates(user, at, "client-certificate-data")
    key = _base64(user, at, "client-key-data")
    if bool(certificate) != bool(key):
        missing = "client-key-data" if certificate else "client-certificate-data"
        raise KubeconfigError(f"{at}/{missing}", "required", "certificate and key come together")
    if key and (why := pem.key_fault(key, certificate)):
        raise KubeconfigError(f"{at}/client-key-data", "bad_pem", why)
    if not token and not key:
        raise KubeconfigError(at, "required", "give a token or a client certificate with its key")
    return {"token": token, "client_certificate_pem": certificate, "client_key_pem": key}


def _certificates(settings: dict[str, Any], at: str, key: str) -> str:
    text = _base64(settings, at, key)
    if text and (why := pem.certificate_fault(text)):
        raise KubeconfigError(_join(at, key), "bad_pem", why)
    return text


def _base64(settings: dict[str, Any], at: str, key: str) -> str:
    value = "".join(_text(settings, key, at).split())
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise KubeconfigError(_join(at, key), "bad_base64", "not base64 of PEM text") from None
