"""The application around a roster in virtual time, with a worker that answers at once unless a label says otherwise."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from receiver import link
from receiver.api.app import make_app
from receiver.api.house import Defaults, House
from receiver.daemon.reading import open_below
from receiver.watch.counters import Counters
from receiver.watch.health import Health
from tests.control.made import World


class Outside:
    """A client and what is behind the door."""

    def __init__(self, directory: Path) -> None:
        self.ready = directory / "ready"
        self.ready.mkdir()
        self.world = World(directory, slots=3, most=3, ports=5)
        self.world.roster._means = self.world.roster._means._replace(send=self.answer)
        self.house = House(
            roster=self.world.roster, clerk=self.world.clerk, counters=Counters(), health=Health(),
            events=self.world.events,
            workers=lambda: [{"worker": 0, "state": "ready", "pid": 1, "deaths": 0}], present=self.present,
            sound=partial(open_below, self.ready), drain=self.drain, free=lambda: 5 << 30,
            defaults=Defaults("PCMU", 20, "both", "mono"), address="127.0.0.1", allow_list=False,
        )  # fmt: skip
        self._clients: list[TestClient[web.Request, web.Application]] = []

    def answer(self, worker: int, message: link.ToWorker, descriptors: Sequence[int]) -> None:
        """What a worker does with an order."""
        self.world.send(worker, message, descriptors)
        loop, hear = asyncio.get_running_loop(), self.world.roster.hear
        match message:
            case link.Open() if message.labels.get("worker") == "refuses":
                refused = link.Refused(message.slot, message.recording_id, "storage", "no space", "make some")
                loop.call_soon(hear, worker, refused)
            case link.Open():
                loop.call_soon(hear, worker, link.Opened(message.slot, message.recording_id))
            case link.Close():
                loop.call_soon(self.finish, message)

    def finish(self, close: link.Close) -> None:
        """A worker brings a recording to ready/."""
        (tap,) = [tap for tap in self.world.roster._taps.values() if tap.recording_id == close.recording_id]
        outcome = "complete" if tap.counts.packets else "empty"
        file = f"{tap.recording_id}.wav" if tap.counts.packets else None
        (self.ready / "2026").mkdir(exist_ok=True)
        if file:
            (self.ready / "2026" / file).touch()
        self.world.finish(tap, outcome, close.ending, file=file, duration_s=1.5, ended_at="2026-09-21T14:13:20Z")

    async def drain(self) -> None:
        """As the daemon does it."""
        self.world.roster.shut("draining", "ask another one")

    def present(self, paths: Sequence[str]) -> list[bool]:
        """Whether paths are there."""
        return [(self.ready / path).exists() for path in paths]

    async def client(self, **given: Any) -> "TestClient[web.Request, web.Application]":
        """A client of an application in a changed house."""
        self.house = replace(self.house, **given)
        made = TestClient(TestServer(make_app(self.house)))
        self._clients.append(made)
        await made.start_server()
        return made

    async def over(self) -> None:
        """Shut all doors."""
        for client in self._clients:
            await client.close()
        await self.world.over()


async def problem(response: ClientResponse, status: int, code: str) -> dict[str, Any]:
    """Check that this is a problem document; return it."""
    document: dict[str, Any] = await response.json(content_type="application/problem+json")
    assert (response.status, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == f"urn:tapdeck:problem:{code}"
    assert document["title"]
    assert document["detail"]
    return document
