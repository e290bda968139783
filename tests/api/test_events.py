"""Events over HTTP: real sockets, readers that go, stall, or stay until the daemon goes."""

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import ClientResponse

from receiver.api import events
from receiver.control import events as control
from tests.api.made import Outside, problem


async def frame(response: ClientResponse) -> str:
    """The next event or comment."""
    return (await response.content.readuntil(b"\n\n")).decode().removesuffix("\n\n")


async def event(response: ClientResponse) -> dict[str, Any]:
    """The next event, comments passed over."""
    while (text := await frame(response)).startswith(":"):
        pass
    name, data = text.split("\n")
    document: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert name == f"event: {document['event']}"
    return document


async def test_what_happens_to_a_tap_is_told_as_it_happens(outside: Outside) -> None:
    client = await outside.client()
    async with client.get("/v1/events") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        assert await frame(response) == ": events from now on"
        tap = await (await client.post("/v1/taps", json={"source": "any"})).json()
        told = [await event(response) for _ in range(2)]
        await client.post(f"/v1/taps/{tap['id']}/stop?wait=ready")
        told += [await event(response) for _ in range(2)]
    assert [each["event"] for each in told] == ["tap.requested", "tap.listening", "tap.finished", "recording.ready"]
    assert {each["tap"]["id"] for each in told} == {tap["id"]}


async def test_in_quiet_times_a_comment_says_that_we_are_there(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "QUIET_S", 0.01)
    client = await outside.client()
    async with client.get("/v1/events") as response:
        assert [await frame(response) for _ in range(3)] == [": events from now on", ": quiet", ": quiet"]


async def test_a_reader_that_goes_is_forgotten(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUIET_S", 0.01)
    client = await outside.client()
    async with client.get("/v1/events") as response:
        await frame(response)
        assert len(outside.world.events._readers) == 1
        response.close()
    async with asyncio.timeout(10):
        while outside.world.events._readers:
            await outside.world.calm()


async def test_a_reader_that_is_too_slow_is_told_so_and_let_go(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MOST_WAITING", 3)
    client = await outside.client()
    async with client.get("/v1/events") as response:
        await frame(response)
        for _ in range(9):  # in one turn: nobody could have read meanwhile
            outside.world.events.tell("relay.up", dict)
        whole = (await response.content.read()).decode()
    assert whole.count("event: relay.up") == 3
    assert whole.endswith(f": over: {control.TOO_SLOW}\n\n")


async def test_a_reader_that_takes_nothing_is_hung_up_on(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STALLED_S", 0.05)
    client = await outside.client()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    assert client.server.port is not None
    await asyncio.to_thread(deaf.connect, ("127.0.0.1", client.server.port))
    deaf.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(10):
        while not outside.world.events._readers:
            await outside.world.calm()
        while outside.world.events._readers:
            outside.world.events.tell("relay.down", lambda: {"why": "x" * 100_000})
            await outside.world.calm()
    deaf.close()


async def test_more_readers_than_there_may_be_are_asked_to_come_again(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MOST_READERS", 1)
    client = await outside.client()
    async with client.get("/v1/events"):
        response = await client.get("/v1/events")
        await problem(response, 503, "too_many_readers")
        assert response.headers["Retry-After"] == "10"


async def test_when_the_daemon_goes_a_reader_is_told_and_holds_nobody_up(outside: Outside) -> None:
    client = await outside.client()
    async with client.get("/v1/events") as response:
        await frame(response)
        closing = asyncio.ensure_future(client.server.close())
        assert await frame(response) == f": over: {control.GOING}"
        assert await response.content.read() == b""
    await closing


async def test_d10_with_a_token_it_is_asked_for(outside: Outside) -> None:
    client = await outside.client(token="correct horse")
    await problem(await client.get("/v1/events"), 401, "unauthorized")
    await problem(
        await client.get("/v1/events?tap=x", headers={"Authorization": "Bearer correct horse"}), 400, "query"
    )
