"""The description of the API is of this API: every route, and nothing else; every reference leads somewhere."""

import json
import re
from collections.abc import Iterator
from typing import Any

from receiver import __version__
from receiver.api.app import make_app
from receiver.api.openapi import OPERATIONS, description, served
from tests.api.made import Outside, problem


def within(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from within(each)


async def test_every_route_is_described_and_nothing_else(outside: Outside) -> None:
    app = make_app(outside.house)
    assert set(served(app)) == set(OPERATIONS)
    described = description(app)
    paths = {f"{method.upper()} {path}" for path, item in described["paths"].items() for method in item}
    assert paths == set(OPERATIONS)


async def test_it_is_served_and_says_which_version_it_is_of(outside: Outside) -> None:
    client = await outside.client()
    document = await (await client.get("/openapi.json")).json()
    assert (document["openapi"], document["info"]["version"]) == ("3.1.1", __version__)
    assert document == json.loads(json.dumps(description(client.server.app)))  # type: ignore[attr-defined]
    await problem(await client.get("/openapi.json?pretty=1"), 400, "query")


async def test_every_reference_leads_somewhere_and_every_schema_is_used(outside: Outside) -> None:
    document = description(make_app(outside.house))
    schemas = set(document["components"]["schemas"])
    named = {each["$ref"].rpartition("/")[2] for each in within(document) if "$ref" in each}
    assert named <= schemas
    assert schemas - named == {"EventDocument"}, "which stands in a stream, where no reference can be"
    assert "EventDocument" in json.dumps(document["paths"]["/v1/events"])


async def test_every_operation_has_its_own_name_its_parameters_and_an_answer(outside: Outside) -> None:
    document = description(make_app(outside.house))
    names = []
    for path, item in document["paths"].items():
        for operation in item.values():
            names.append(operation["operationId"])
            assert operation["description"]
            assert "rule " not in operation["description"], "nobody outside knows our rules"
            assert {"default"} < set(operation["responses"])
            declared = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
            assert declared == re.findall(r"{(\w+)}", path)
    assert len(set(names)) == len(names)


async def test_d10_it_says_where_no_token_is_asked_for(outside: Outside) -> None:
    document = description(make_app(outside.house))
    assert document["security"] == [{"token": []}]
    items = document["paths"].items()
    free = {path for path, item in items if any(each.get("security") == [] for each in item.values())}
    assert free == {"/livez", "/readyz", "/v1/callbacks/{secret}"}
    client = await outside.client(token="correct horse")
    await problem(await client.get("/openapi.json"), 401, "unauthorized")


async def test_what_is_asked_for_by_a_query_is_understood(outside: Outside) -> None:
    """Each parameter that is described is taken; a value that its schema forbids is refused."""
    client = await outside.client()
    values = {"limit": "1", "state": "listening", "call_id": "c", "since": "2026-09-21T14:13:20Z", "wait": "ready"}
    for key, operation in OPERATIONS.items():
        method, path = key.split(" ")
        for query in operation.query:
            name = "label.team" if query["name"] == "labels" else query["name"]
            if name in ("after", "part") or method == "POST":  # they need something that is there
                continue
            response = await client.get(path.replace("{id}", "x"), params={name: values.get(name, "x")})
            assert response.status in (200, 404), (key, name, await response.text())
    await problem(await client.get("/v1/taps?state=dreaming"), 400, "query")
