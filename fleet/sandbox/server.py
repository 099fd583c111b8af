"""The HTTPS door of one cluster: paths, parameters and media types of the Kubernetes API.

Source: k8s.io/apiserver/pkg/endpoints.
"""

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import yaml
from aiohttp import web

from . import conversion, deletion, discovery, errors, listing, subresources
from .api import Api
from .codec import JsonError, Options, read_json
from .listing import Lister, Query
from .logs import LogBook, LogQuery
from .parameters import (
    check_revision,
    delete_parameters,
    flag,
    list_query,
    watch_options,
    write_options,
)
from .representations import Representation, wanted
from .resources import ANSWER_ONLY, Resource
from .routes import Target, UnknownPath, parse_path
from .schema import protobuf
from .store import Object, dumps
from .watching import Watch

MAX_BODY_BYTES = 3 * 1024 * 1024
PATCH_STYLES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")
_READ_METHODS = {"GET", "HEAD"}
log = logging.getLogger("fleet.sandbox")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Translates HTTP into calls of one cluster's `Api`."""

    def __init__(self, api: Api, logs: LogBook, token: str, readonly_token: str) -> None:
        self.api, self.logs = api, logs
        self.lister = Lister(api)
        self._tokens = {token: "system:admin", readonly_token: "system:viewer"}

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._guarded)
        return app

    async def _guarded(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._dispatch(request, self._authenticate(request))
        except errors.StatusError as error:
            return _json(error.status, error.code)
        except ConnectionError:  # the client went away in the middle of a stream
            return web.Response()
        except UnknownPath:
            return web.Response(text="404 page not found\n", status=404)
        except Exception as error:  # a defect of the sandbox: say so, in the API's own form
            log.exception("%s %s", request.method, request.path)
            return _json(errors.defect(error).status, 500)

    def _authenticate(self, request: web.Request) -> str:
        """The user's name; raises StatusError 401 for a token nobody issued."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not given:
            return "system:anonymous"
        for token, user in self._tokens.items():
            if scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode()):
                return user
        raise errors.StatusError(401, "Unauthorized", "Unauthorized")

    async def _dispatch(self, request: web.Request, user: str) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        if path.startswith(_OPEN_PATHS):
            return _json(discovery.VERSION) if path == "/version" else web.Response(text="ok")
        target = parse_path(path, self.api.resources)
        if target is None:
            if user == "system:anonymous":
                raise errors.forbidden("", "", "", f'User "{user}" cannot get path "{path}"')
            return _discover(request, self.api, path)
        self._authorize(request, user, target)
        return await self._serve(request, target, user)

    def _authorize(self, request: web.Request, user: str, target: Target) -> None:
        may = user == "system:admin" or (
            user == "system:viewer"
            and (request.method in _READ_METHODS or target.resource.plural in ANSWER_ONLY)
        )
        if may:
            return
        resource = target.resource
        what = f"{resource.plural}/{target.subresource}".rstrip("/")
        where = (
            f' in the namespace "{target.namespace}"'
            if target.namespace
            else (" at the cluster scope")
        )
        verb = _verb(request, target)
        why = (
            f'User "{user}" cannot {verb} resource "{what}" in API group "{resource.group}"{where}'
        )
        raise errors.forbidden(resource.group, resource.plural, target.name, why)

    async def _serve(self, request: web.Request, target: Target, user: str) -> web.StreamResponse:
        request["target"] = target
        if target.resource.plural in ANSWER_ONLY and not target.name:
            body, _ = await _body(request)
            if self._wanted(request).kind:
                raise errors.not_acceptable()
            read_only = user != "system:admin"
            return _json(subresources.review(target.resource, body, user, read_only), 201)
        method: Handler | None = {
            "GET": self._get,
            "HEAD": self._get,
            "POST": self._post,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }.get(request.method)
        if method is None:
            raise errors.method_not_allowed()
        return await method(request)

    # GET

    async def _get(self, request: web.Request) -> web.StreamResponse:
        target: Target = request["target"]
        resource = target.resource
        if target.subresource == "log":
            return await self._log(request, target)
        if not target.name or flag(request.query, "watch"):
            query = list_query(request, target)
            if flag(request.query, "watch"):
                return await self._watch(request, resource, query)
            return self._list(request, resource, query)
        obj = self.api.get(resource, target.namespace, target.name)
        if target.subresource == "scale":
            return _json(subresources.scale_of(obj))
        return self._answer(request, resource, obj)

    def _wanted(self, request: web.Request) -> Representation:
        return wanted(request, self.api.clock.now())

    def _list(self, request: web.Request, resource: Resource, query: Query) -> web.Response:
        representation = self._wanted(request)
        check_revision(request.query, self.api.store.revision)
        return _raw(representation.of_list(resource, self.lister.page(resource, query)))

    async def _watch(
        self, request: web.Request, resource: Resource, query: Query
    ) -> web.StreamResponse:
        encode = self._wanted(request).encoder(resource)
        watch = Watch(self.api, resource, query, watch_options(request), encode)
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        async with aclosing(watch.lines()) as stream:
            async for lines in stream:
                await response.write(lines)
        return response

    async def _log(self, request: web.Request, target: Target) -> web.StreamResponse:
        pod = self.api.get(target.resource, target.namespace, target.name)
        if not pod["spec"].get("nodeName"):
            return web.Response(status=204)
        query = LogQuery.from_parameters(request.query)
        text = self.logs.read(pod, query)
        if not query.follow:
            return web.Response(text=text)
        response = web.StreamResponse()
        response.content_type = "text/plain"
        await response.prepare(request)
        await response.write(text.encode())
        async for line in self.logs.follow(pod, query):
            await response.write(line.encode())
        return response

    # Writing

    async def _request(self, request: web.Request) -> tuple[Any, Options]:
        body, duplicates = await _body(request)
        return body, write_options(request, request["target"], duplicates)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        target: Target = request["target"]
        body, options = await self._request(request)
        if target.subresource == "binding":
            answer = subresources.bind(self.api, target.namespace, target.name, body, options)
            return _json(answer, 201)
        if target.subresource == "eviction":
            answer = subresources.evict(self.api, target.namespace, target.name, body, options)
            return _json(answer, 201)
        if target.name:
            raise errors.method_not_allowed()
        obj = self.api.create(target.resource, target.namespace, body, options)
        return self._answer(request, target.resource, obj, 201, options)

    async def _put(self, request: web.Request) -> web.StreamResponse:
        target: Target = request["target"]
        if not target.name:
            raise errors.method_not_allowed()
        body, options = await self._request(request)
        where = target.resource, target.namespace, target.name
        if target.subresource == "scale":
            return _json(subresources.write_scale(self.api, *where, body, "", options))
        if target.subresource == "finalize":
            return _json(subresources.finalize_namespace(self.api, target.name, body, options))
        obj = self.api.update(*where, body, options)
        return self._answer(request, target.resource, obj, 200, options)

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        target: Target = request["target"]
        style = PATCH_STYLES.get(request.content_type)
        if style is None:
            raise errors.unsupported_media_type()
        body, options = await self._request(request)
        where = target.resource, target.namespace, target.name
        if target.subresource == "scale":
            return _json(subresources.write_scale(self.api, *where, body, style, options))
        if style != "apply":
            obj = self.api.patch(*where, style, body, options)
            return self._answer(request, target.resource, obj, 200, options)
        obj, created = self.api.apply(*where, body, options)
        return self._answer(request, target.resource, obj, 201 if created else 200, options)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        target: Target = request["target"]
        body = (await _body(request))[0] if request.body_exists else {}
        options = deletion.DeleteOptions.from_body({**body, **delete_parameters(request)})
        if target.name:
            answer = deletion.delete(
                self.api, target.resource, target.namespace, target.name, options
            )
            return _json(
                conversion.to_served(answer, target.resource)
                if answer["kind"] == target.resource.kind
                else answer
            )
        page = self.lister.page(target.resource, list_query(request, target))
        for record in page.records:
            meta = record.obj["metadata"]
            deletion.delete(
                self.api, target.resource, meta.get("namespace", ""), meta["name"], options
            )
        return _raw(listing.list_json(target.resource, page))

    def _answer(
        self,
        request: web.Request,
        resource: Resource,
        obj: Object,
        code: int = 200,
        options: Options | None = None,
    ) -> web.Response:
        response = _json(self._wanted(request).of_object(resource, obj), code)
        for warning in options.warnings if options else ():
            response.headers.add("Warning", f"299 - {json.dumps(warning)}")
        return response


def _discover(request: web.Request, api: Api, path: str) -> web.Response:
    resources, parts = api.resources, path.strip("/").split("/")
    wants_all = "as=APIGroupDiscoveryList" in request.headers.get("Accept", "")
    if path in ("/api", "/apis") and wants_all and "v=v2" in request.headers["Accept"]:
        response = _json(discovery.aggregated(resources, core=path == "/api"))
        response.content_type = (
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        )
        return response
    if path == "/api":
        return _json(discovery.api_versions(request.host))
    if path == "/apis":
        return _json(discovery.group_list(resources))
    if path == "/openapi/v2":
        return _json(discovery.openapi_v2(resources))
    if path == "/openapi/v3":
        return _json(discovery.openapi_index(resources))
    if path.startswith("/openapi/v3/"):
        return _json(discovery.openapi_document(resources, path.removeprefix("/openapi/v3/")))
    if parts[0] == "api" and len(parts) == 2:
        return _json(discovery.resource_list(resources, "", parts[1]))
    if parts[0] == "apis" and len(parts) == 2:
        return _json(discovery.group(resources, parts[1]))
    if parts[0] == "apis" and len(parts) == 3:
        return _json(discovery.resource_list(resources, parts[1], parts[2]))
    raise UnknownPath(path)


def _verb(request: web.Request, target: Target) -> str:
    if request.method in _READ_METHODS:
        if flag(request.query, "watch"):
            return "watch"
        return "get" if target.name else "list"
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(request.method, "delete")
    return verb if target.name or verb != "delete" else "deletecollection"


async def _body(request: web.Request) -> tuple[Any, list[str]]:
    """The body and the fields it names twice; raises StatusError 400 or 415."""
    media, raw = request.content_type, await request.read()
    if raw.startswith(protobuf.MAGIC):
        return _protobuf(raw), []
    if media.endswith(("protobuf", "cbor")):
        raise errors.unsupported_media_type()
    if media.endswith("yaml") and not raw.lstrip().startswith(b"{"):
        return _yaml(raw), []
    try:
        return read_json(raw)
    except JsonError as error:
        raise errors.bad_request(_unreadable(request, raw, error)) from None


def _unreadable(request: web.Request, raw: bytes, error: JsonError) -> str:
    if request.method == "PATCH":
        return f"error decoding patch: {error}"
    kind = request["target"].resource.kind
    return (
        f"the object provided is unrecognized (must be of type {kind}): couldn't get "
        f"version/kind; json parse error: {error} ({raw.decode(errors='replace')[:100]})"
    )


def _protobuf(raw: bytes) -> Any:
    try:
        return protobuf.decode(raw)
    except protobuf.ProtobufError as error:
        raise errors.bad_request(str(error)) from None


def _yaml(raw: bytes) -> Any:
    try:
        return yaml.load(raw, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise errors.bad_request(f"error decoding YAML: {error}") from None


def _raw(body: bytes, code: int = 200) -> web.Response:
    return web.Response(body=body, status=code, content_type="application/json")


def _json(value: Any, code: int = 200) -> web.Response:
    return _raw(dumps(value), code)
