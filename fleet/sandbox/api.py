"""The verbs of the Kubernetes API, as plain functions on the store.

Both doors use them: HTTP requests (`server.py`) and the controllers, which are clients like any
other. Every call runs to its end without waiting, so each is atomic.
Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go and pkg/endpoints/handlers.
"""

import random
import uuid
from dataclasses import replace
from typing import Any

from . import apply as server_side_apply
from . import codec, conversion, defaults, errors, patches
from .clock import Clock
from .codec import Options
from .field_sets import FieldSet
from .managed_fields import Manager, record_update
from .resources import Resource, Resources
from .schema.decode import Decoder, WrongType, copy, zero_value
from .store import Object, Store, dumps, name_of
from .validation import validate, validate_status, validate_update

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
NAME_TRIES = 8
WITH_GENERATION = {
    *("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"),
    *("PodDisruptionBudget", "NetworkPolicy", "Ingress", "ReplicationController"),
    *("CustomResourceDefinition",),
}
KEEPS_STATUS_ON_CREATE = {"Node", "Event"}
MUST_NAME_REVISION = {"Lease", "CustomResourceDefinition", "ValidatingWebhookConfiguration"}
PLAIN = Options()
STATUS_IGNORES: FieldSet = {("f:spec",)}
MAIN_IGNORES: FieldSet = {("f:status",)}


class Api:
    """The API of one cluster."""

    def __init__(self, store: Store, resources: Resources, clock: Clock) -> None:
        self.store, self.resources, self.clock = store, resources, clock

    # Reading

    def resource(self, storage: str) -> Resource:
        found = self.resources.stored(storage)
        assert found is not None, storage
        return found

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The stored object; raises StatusError 404."""
        obj = self.store.get(resource.storage, namespace, name)
        if obj is None:
            raise errors.not_found(resource.group, resource.plural, name)
        return obj

    # Creating

    def create(
        self, resource: Resource, namespace: str, body: Object, options: Options = PLAIN
    ) -> Object:
        """Store a new object; raises StatusError 400, 403, 404, 409 or 422."""
        obj = codec.decode(resource, body, options)
        if obj["metadata"].get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        self._place(resource, namespace, obj)
        stored = self.resource(resource.storage)
        obj = conversion.to_stored(obj, stored)
        obj["metadata"]["managedFields"] = record_update(
            None,
            obj,
            stored.schema,
            self._manager(stored, options),
            self.clock.stamp(),
            MAIN_IGNORES if stored.has_status else set(),
        )
        return self.insert(stored, obj, options)

    def insert(self, resource: Resource, obj: Object, options: Options) -> Object:
        """The last steps of every creation: admission, validation, storage."""
        meta = obj["metadata"]
        self._require_live_namespace(resource, meta.get("namespace", ""), meta.get("name", ""))
        if resource.has_status and resource.kind not in KEEPS_STATUS_ON_CREATE:
            self._reset_status(resource, obj)
        self._name(resource, meta)
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": self.clock.stamp()}
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            meta.pop(key, None)
        if resource.kind in WITH_GENERATION or resource.custom:
            meta["generation"] = 1
        defaults.admit(obj, self._service_addresses(obj))
        problems = list(validate(obj, resource.namespaced))
        if problems:
            raise errors.invalid(resource.group, resource.kind, meta.get("name", ""), problems)
        same = self.store.get(resource.storage, meta.get("namespace", ""), meta["name"])
        if same is not None:
            dying = "deletionTimestamp" in same["metadata"]
            raise errors.already_exists(resource.group, resource.plural, meta["name"], dying)
        return self.commit(resource, obj, options)

    def _reset_status(self, resource: Resource, obj: Object) -> None:
        obj.pop("status", None)
        status = resource.schema.fields.get("status")
        if status is not None and isinstance(status.default, dict):
            obj["status"] = zero_value(status)

    def _place(self, resource: Resource, namespace: str, obj: Object) -> None:
        meta = obj["metadata"]
        if not resource.namespaced:
            meta.pop("namespace", None)
        elif meta.setdefault("namespace", namespace) != namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )

    def _name(self, resource: Resource, meta: Object) -> None:
        base = meta.get("generateName", "")
        if meta.get("name") or not base:
            return
        for _ in range(NAME_TRIES):
            meta["name"] = base[:58] + "".join(random.choices(NAME_LETTERS, k=5))
            if not self.store.get(resource.storage, meta.get("namespace", ""), meta["name"]):
                return

    def _require_live_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        owner = self.store.get("namespaces", "", namespace)
        if owner is None:
            raise errors.not_found("", "namespaces", namespace)
        if owner["metadata"].get("deletionTimestamp"):
            why = (
                f"unable to create new content in namespace {namespace} because it is being "
                "terminated"
            )
            error = errors.forbidden(resource.group, resource.plural, name, why)
            cause = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}
            cause["message"] = f"namespace {namespace} is being terminated"
            error.details["causes"] = [cause]
            raise error

    def _service_addresses(self, obj: Object) -> set[str]:
        if obj["kind"] != "Service":
            return set()
        return {s["spec"].get("clusterIP", "") for s in self.store.objects("services")}

    # Changing

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Object,
        options: Options = PLAIN,
    ) -> Object:
        """Replace an object (or its status); raises StatusError 400, 404, 409 or 422."""
        stored = self.resource(resource.storage)
        live = self.get(stored, namespace, name)
        obj = codec.decode(resource, body, options)
        self._place(resource, namespace, obj)
        self._check_name(obj, name)
        obj = conversion.to_stored(obj, stored)
        self._check_uid(stored, live, obj)
        self._check_revision(stored, live, obj)
        return self.write(stored, live, obj, options)

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        style: str,
        body: Any,
        options: Options = PLAIN,
    ) -> Object:
        """Patch an object; `style` is json, merge or strategic."""
        stored = self.resource(resource.storage)
        live = self.get(stored, namespace, name)
        served = conversion.to_served(live, resource)
        if style == "json":
            patched = patches.json_patch(served, body)
        elif style == "merge":
            patches.check_is_object(body)
            patched = patches.merge_patch(served, body)
        elif resource.custom is None:
            patched = patches.strategic_merge_patch(served, body, resource.schema)
        else:
            raise errors.unsupported_media_type()
        shown = patches.go_text(body) if style == "strategic" else dumps(patched).decode()
        obj = codec.decode_patched(resource, patched, shown, options)
        self._check_name(obj, name)
        obj = conversion.to_stored(obj, stored)
        self._check_revision(stored, live, obj)
        return self.write(stored, live, obj, options)

    def _check_name(self, obj: Object, name: str) -> None:
        given = obj["metadata"].setdefault("name", name)
        if given != name:
            raise errors.bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({name})"
            )

    def apply(
        self, resource: Resource, namespace: str, name: str, config: Object, options: Options
    ) -> tuple[Object, bool]:
        """Server-side apply. Returns the object and whether it was created."""
        stored = self.resource(resource.storage)
        config = conversion.to_stored(self._configuration(resource, name, config, options), stored)
        live = self.store.get(stored.storage, namespace, name)
        if live is None and options.subresource:
            raise errors.not_found(stored.group, stored.plural, name)
        base = live or {"apiVersion": stored.api_version, "kind": stored.kind, "metadata": {}}
        given = config["metadata"].pop("resourceVersion", None)
        uid = config["metadata"].get("uid")
        if live is None and uid:
            why = (
                f"uid mismatch: the provided object specified uid {uid}, and no existing object "
                "was found"
            )
            raise errors.conflict(stored.group, stored.plural, name, why)
        if live is not None and given not in (None, live["metadata"]["resourceVersion"]):
            raise errors.stale(stored.group, stored.plural, name)
        merged, owners = server_side_apply.apply(
            base,
            config,
            stored.schema,
            self._manager(stored, options, "Apply"),
            self.clock.stamp(),
            self._ignored(stored, options),
            force=options.force,
        )
        obj = codec.decode(stored, merged, replace(options, validation="Ignore"))
        obj["metadata"]["managedFields"] = owners
        if live is None:
            self._place(stored, namespace, obj)
            return self.insert(stored, obj, options), True
        return self.write(stored, live, obj, options, owned=True), False

    def _configuration(
        self, resource: Resource, name: str, config: Object, options: Options
    ) -> Object:
        """Check a configuration as upstream's typed converter does."""
        group, _, version = config.get("apiVersion", "").rpartition("/")
        kind = config.get("kind", "")
        if (config.get("apiVersion"), kind) != (resource.api_version, resource.kind):
            raise errors.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
        meta = config.setdefault("metadata", {})
        if meta.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        self._check_name(config, name)
        decoder = Decoder()
        try:
            decoder.decode(config, resource.schema)
        except WrongType as error:
            raise errors.internal(self._untyped(config, str(error))) from None
        if decoder.unknown:
            problem = f".{decoder.unknown[0]}: field not declared in schema"
            raise errors.internal(self._untyped(config, problem))
        return copy(config)

    def _untyped(self, config: Object, problem: str) -> str:
        meta, version = config["metadata"], config["apiVersion"]
        where = f"{meta.get('namespace', '')}/{meta['name']}"
        version = version if "/" in version else f"/{version}"
        return (
            f"failed to create typed patch object ({where}; {version}, Kind={config['kind']}): "
            f"{problem}"
        )

    def write(
        self, resource: Resource, live: Object, obj: Object, options: Options, owned: bool = False
    ) -> Object:
        """The last steps of every change. Nothing is stored when nothing changed."""
        meta, old = obj["metadata"], live["metadata"]
        if options.subresource == "status":
            obj = self._only_status(resource, live, obj)
            meta = obj["metadata"]
        elif resource.has_status and resource.kind not in KEEPS_STATUS_ON_CREATE - {"Node"}:
            obj.pop("status", None)
            if "status" in live:
                obj["status"] = live["status"]
        for key in ("uid", "creationTimestamp"):
            meta.setdefault(key, old[key])
        for key in (
            "resourceVersion",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ):
            meta.pop(key, None)
            if key in old:
                meta[key] = old[key]
        self._bump_generation(resource, live, obj, options)
        if not owned:
            meta["managedFields"] = record_update(
                live,
                obj,
                resource.schema,
                self._manager(resource, options),
                self.clock.stamp(),
                self._ignored(resource, options),
            )
        self._validate_change(resource, live, obj, options)
        if obj == live:
            return live
        return self.commit(resource, obj, options)

    def _validate_change(
        self, resource: Resource, live: Object, obj: Object, options: Options
    ) -> None:
        problems = list(validate_update(obj, live))
        if options.subresource == "status":
            problems += validate_status(obj)
        else:
            problems += [p for p in validate(obj, resource.namespaced) if p not in problems]
        if problems:
            name = obj["metadata"].get("name", "")
            raise errors.invalid(resource.group, resource.kind, name, problems)

    def _only_status(self, resource: Resource, live: Object, obj: Object) -> Object:
        """A status write keeps everything else, but may touch annotations (built-in kinds)."""
        meta = dict(live["metadata"])
        if resource.custom is None:
            for key in ("annotations", "finalizers", "managedFields"):
                meta.pop(key, None)
                if key in obj["metadata"]:
                    meta[key] = obj["metadata"][key]
        kept = {key: value for key, value in live.items() if key != "status"}
        return {**kept, "metadata": meta} | ({"status": obj["status"]} if "status" in obj else {})

    def _bump_generation(
        self, resource: Resource, live: Object, obj: Object, options: Options
    ) -> None:
        if "generation" not in live["metadata"] or options.subresource == "status":
            return
        changed = obj.get("spec") != live.get("spec")
        if resource.kind == "Deployment":
            changed |= obj["metadata"].get("annotations") != live["metadata"].get("annotations")
        if changed:
            obj["metadata"]["generation"] = live["metadata"]["generation"] + 1

    def _check_revision(self, resource: Resource, live: Object, obj: Object) -> None:
        revision, old = obj["metadata"].get("resourceVersion"), live["metadata"]
        if not revision and resource.kind in MUST_NAME_REVISION:
            problem = errors.invalid_value(
                "metadata.resourceVersion", 0, "must be specified for an update"
            )
            raise errors.invalid(resource.group, resource.kind, old["name"], [problem])
        if revision and revision != old["resourceVersion"]:
            raise errors.stale(resource.group, resource.plural, old["name"])

    def _check_uid(self, resource: Resource, live: Object, obj: Object) -> None:
        """Replacing names the object by its uid: not one of the same name made later."""
        given, old = obj["metadata"].get("uid"), live["metadata"]
        if not given or given == old["uid"]:
            return
        path = "/".join(filter(None, (resource.plural, old.get("namespace"), old["name"])))
        why = (
            f"StorageError: invalid object, Code: 4, Key: /registry/{path}, ResourceVersion: 0, "
            f"AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in "
            f"object meta: {old['uid']}"
        )
        raise errors.conflict(resource.group, resource.plural, old["name"], why)

    def commit(self, resource: Resource, obj: Object, options: Options) -> Object:
        """Store unless it is a dry run; an object whose last finalizer went is removed."""
        if options.dry_run:
            return obj
        stored = self.store.put(resource.storage, obj)
        return self.store.remove(resource.storage, name_of(obj)) if _may_go(obj) else stored

    # Ownership

    def _manager(self, resource: Resource, options: Options, operation: str = "Update") -> Manager:
        return Manager(options.manager, operation, resource.api_version, options.subresource)

    def _ignored(self, resource: Resource, options: Options) -> FieldSet:
        if options.subresource == "status":
            return STATUS_IGNORES
        return MAIN_IGNORES if resource.has_status else set()


def _may_go(obj: Object) -> bool:
    """Whether a deleted object has nothing left to wait for."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or meta.get("deletionGracePeriodSeconds"):
        return False
    held = meta.get("finalizers") or (
        obj["kind"] == "Namespace" and obj.get("spec", {}).get("finalizers")
    )
    return not held
