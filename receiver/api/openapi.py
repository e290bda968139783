"""``/openapi.json``: the description of the API, made from the route table, the handlers' docstrings and the structs.

What a route takes and gives stands in `OPERATIONS`; that each route of the application is in it, and nothing else,
is held by a test.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

from receiver import __version__
from receiver.api import bodies, shapes
from receiver.api.answers import json
from receiver.api.callbacks import CALLBACKS
from receiver.api.guard import PUBLIC
from receiver.api.problems import MEDIA_TYPE
from receiver.api.views import TapView
from receiver.control.taps import State

VERSION: Final = "3.1.1"
REFERENCE: Final = "#/components/schemas/{name}"
RULES: Final = re.compile(r" \(rules? [^)]*\)")  # of ours: nobody outside knows them
Schema = dict[str, Any]

routes = web.RouteTableDef()


class Operation(NamedTuple):
    """What a route takes and gives. ``gives``: status → struct, or media type (or several), or None for nothing."""

    gives: Mapping[int, Any]
    takes: Any = None
    query: tuple[Schema, ...] = ()


def _query(name: str, meaning: str, schema: Schema, **more: Any) -> Schema:
    return {"name": name, "in": "query", "description": meaning, "schema": schema, **more}


_AUDIO: Final = ("audio/wav", "audio/flac")
_TEXT: Final[Schema] = {"type": "string"}
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": bodies.MOST_LISTED, "default": bodies.USUALLY_LISTED}
_LABELS: Final = {"type": "object", "patternProperties": {r"^label\.": _TEXT}, "additionalProperties": False}
_PAGE: Final = (
    _query("limit", "How many at most.", _LIMIT),
    _query("after", "The `next` of the page before.", _TEXT),
)
_FILTERS: Final = (
    _query("state", "Only taps in this state.", {"enum": [state.value for state in State]}),
    _query("call_id", "Only taps of this call.", _TEXT),
    _query("since", "Only taps asked for then or later.", {"type": "string", "format": "date-time"}),
    _query("labels", "`label.NAME=VALUE`, any number: only taps with these.", _LABELS, style="form", explode=True),
)
_HOLDS: Final = _query("wait", "No answer comes before it holds, whether this is said or not.", {"const": "ready"})

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /livez": Operation({200: shapes.Alive}),
    "GET /readyz": Operation({200: shapes.Readiness, 503: shapes.Readiness}),
    "GET /metrics": Operation({200: "text/plain"}),
    "GET /openapi.json": Operation({200: dict[str, Any]}),
    "POST /v1/taps": Operation(
        {201: TapView},
        bodies.TapBody,
        (_query("wait", "Return when sound comes, or after 60 s.", {"const": "receiving"}),),
    ),
    "GET /v1/taps": Operation({200: shapes.TapPage}, query=(*_FILTERS, *_PAGE)),
    "GET /v1/taps/{id}": Operation({200: TapView}),
    "PATCH /v1/taps/{id}": Operation({200: TapView}, bodies.PatchBody),
    "POST /v1/taps/{id}/stop": Operation(
        {202: TapView}, query=(_query("wait", "Return when the outcome is known, or after 60 s.", {"const": "ready"}),)
    ),
    "POST /v1/taps/{id}/pause": Operation({202: TapView}, query=(_HOLDS,)),
    "POST /v1/taps/{id}/resume": Operation({202: TapView}, query=(_HOLDS,)),
    "POST /v1/drain": Operation({202: shapes.Draining}),
    "GET /v1/calls": Operation({200: shapes.CallList}),
    "GET /v1/recordings": Operation({200: shapes.RecordingPage}, query=_PAGE),
    "GET /v1/recordings/{id}": Operation({200: shapes.RecordingView}),
    "GET /v1/recordings/{id}/audio": Operation(
        {200: _AUDIO, 206: _AUDIO, 304: None},
        query=(_query("part", "Which of several files, from 1 on.", {"type": "integer", "minimum": 1}),),
    ),
    "GET /v1/events": Operation({200: "text/event-stream"}),
    f"POST {CALLBACKS}{{secret}}": Operation({204: None}, dict[str, Any]),
}
"""Method and path of each route."""


@routes.get("/openapi.json")
async def describe(request: web.Request) -> web.Response:
    """This description."""
    bodies.nothing_else(request.query)
    return json(request.app[DESCRIPTION])


DESCRIPTION: Final = web.AppKey("description", dict[str, Any])


def description(app: web.Application) -> dict[str, Any]:
    """Describe the routes of an application."""
    _, components = msgspec.json.schema_components(_structs(), ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for key, handler in sorted(served(app).items()):
        method, path = key.split(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(path, handler, OPERATIONS[key])
    return {
        "openapi": VERSION,
        "info": {
            "title": "tapdeck",
            "version": __version__,
            "summary": "Records tapped phone calls.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _with_times(schema) for name, schema in components.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def served(app: web.Application) -> dict[str, Any]:
    """Method and path → handler of each route. HEAD comes with every GET."""
    return {
        f"{route.method} {route.resource.canonical}": route.handler
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def _structs() -> Iterator[Any]:
    yield from (shapes.ProblemDocument, shapes.EventDocument)
    for operation in OPERATIONS.values():
        yield from filter(_is_struct, (operation.takes, *operation.gives.values()))


def _operation(path: str, handler: Any, operation: Operation) -> dict[str, Any]:
    problem = {"description": "A problem.", "content": {MEDIA_TYPE: {"schema": _schema(shapes.ProblemDocument)}}}
    names = re.findall(r"{(\w+)}", path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
    described: dict[str, Any] = {
        "operationId": handler.__name__,
        "description": RULES.sub("", " ".join(str(handler.__doc__).split())).replace("``", "`"),
        "responses": {str(status): _answer(status, given) for status, given in operation.gives.items()}
        | {"default": problem},
    }
    if parameters or operation.query:
        described["parameters"] = [*parameters, *operation.query]
    if operation.takes is not None:
        content = {"application/json": {"schema": _schema(operation.takes)}}
        described["requestBody"] = {"required": True, "content": content}
    if path in PUBLIC or path.startswith(CALLBACKS):
        described["security"] = []
    return described


def _answer(status: int, given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if given == "text/event-stream":
        answer["description"] = "Events, one after the other; the `data` of each is an EventDocument."
    if isinstance(given, str | tuple):
        answer["content"] = {kind: {} for kind in ([given] if isinstance(given, str) else given)}
    elif given is not None:
        answer["content"] = {"application/json": {"schema": _schema(given)}}
    return answer


def _schema(given: Any) -> Schema:
    """A reference to a struct, or an object of any form."""
    return {"$ref": REFERENCE.format(name=given.__name__)} if _is_struct(given) else {"type": "object"}


def _is_struct(given: Any) -> bool:
    return isinstance(given, type) and issubclass(given, msgspec.Struct)


def _with_times(schema: Schema) -> Schema:
    """Say of each time that it is one."""
    properties = schema.get("properties", {})
    named = [name for name in properties if name == "at" or name.endswith("_at")]
    times = {name: properties[name] | {"format": "date-time"} for name in named}
    return schema | {"properties": properties | times} if times else schema
