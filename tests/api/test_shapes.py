"""Real answers have the shapes that are described: no member that is not in them, none missing."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from receiver.api import shapes
from receiver.api.views import TapView
from receiver.ledger.rows import Problem
from tests.api.made import Outside
from tests.api.test_calls import call
from tests.api.test_events import event
from tests.api.test_recordings import recorded


def holds(answer: Any, shape: type[msgspec.Struct]) -> None:
    """This answer has this shape, and no member that it does not name."""
    strict = msgspec.defstruct(shape.__name__, [], bases=(shape,), forbid_unknown_fields=True, kw_only=True)
    msgspec.convert(answer, strict)


async def test_taps(outside: Outside) -> None:
    client = await outside.client()
    opened = await (await client.post("/v1/taps", json={"source": "any", "labels": {"team": "blue"}})).json()
    await client.post("/v1/taps", json={"source": "any"})
    ended = await (await client.post(f"/v1/taps/{opened['id']}/stop?wait=ready")).json()
    page = await (await client.get("/v1/taps?limit=1")).json()
    assert "next" in page
    holds(page, shapes.TapPage)
    for tap in (opened, ended, *page["taps"]):
        holds(tap, TapView)


async def test_recordings(outside: Outside) -> None:
    client = await outside.client()
    taps = [await recorded(outside, client, packets) for packets in (0, 5)]
    page = await (await client.get("/v1/recordings?limit=1")).json()
    assert "next" in page
    holds(page, shapes.RecordingPage)
    for tap in taps:
        holds(await (await client.get(f"/v1/recordings/{tap['recording_id']}")).json(), shapes.RecordingView)


async def test_calls(outside: Outside) -> None:
    inbound = call(direction="inbound", context="office", from_="+1", to="+2")
    client = await outside.client(client=SimpleNamespace(up=True, calls={"c-1": inbound}))
    answer = await (await client.get("/v1/calls")).json()
    holds(answer, shapes.CallList)
    assert len(answer["calls"]) == 1
    holds(answer["calls"][0], shapes.CallView)


async def test_health(outside: Outside) -> None:
    client = await outside.client()
    holds(await (await client.get("/livez")).json(), shapes.Alive)
    answer = await (await client.get("/readyz")).json()
    holds(answer, shapes.Readiness)
    holds(answer["workers"][0], shapes.Worker)


async def test_problems(outside: Outside) -> None:
    client = await outside.client()
    holds(await (await client.get("/v1/taps/nobody")).json(), shapes.ProblemDocument)
    refused = await client.post("/v1/taps", json={"source": "any", "labels": {"worker": "refuses"}})
    answer = await refused.json()
    assert "tap_id" in answer
    holds(answer, shapes.ProblemDocument)


async def test_events(outside: Outside) -> None:
    client = await outside.client()
    async with client.get("/v1/events") as response:
        await client.post("/v1/taps", json={"source": "any"})
        holds(await event(response), shapes.EventDocument)


def test_a_member_that_is_not_described_would_be_seen() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        holds({"code": "a", "message": "b", "colour": "c"}, Problem)
