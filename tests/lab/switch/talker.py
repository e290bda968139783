"""A client that speaks raw text to a switch without a socket, in virtual time; and sounds of the test's own."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from receiver.lab.switch.exchange import Exchange
from receiver.lab.switch.faults import GOOD, Faults
from receiver.lab.switch.sounds import Order, Over
from tests import virtual

KEYS = {"p": "PTsecret"}
PHONE = [[{"type": "phone", "params": {"to_number": "+15550199", "from_number": "+15550100", "timeout": 5}}]]
RTP = {"type": "rtp", "params": {"addr": "203.0.113.5", "port": 41_000, "codec": "PCMU", "ptime": 20}}


class Sounds:
    """Starts and stops that are written down; ``over`` of each tap, to be called by the test."""

    def __init__(self, start_s: float = 0.0) -> None:
        self.start_s = start_s
        self.running: dict[str, Over] = {}
        self.log: list[tuple[str, str]] = []

    async def start(self, order: Order, over: Over) -> dict[str, Any] | None:
        await asyncio.sleep(self.start_s)
        self.running[order.control_id] = over
        self.log.append(("start", order.control_id))
        return {"addr": "203.0.113.9", "port": 27_654, "codec": "PCMU", "rate": 8000, "ptime": 20}

    async def stop(self, control_id: str) -> None:
        if self.running.pop(control_id, None) is not None:
            self.log.append(("stop", control_id))


class Talker:
    """One socket: ``said`` is all that the switch said. Questions of the switch's are answered unless ``deaf``."""

    def __init__(self, exchange: Exchange, deaf: bool = False) -> None:
        self.said: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.closed: list[int] = []
        self._numbers = iter(range(10_000_000))
        self._deaf = deaf
        self.leg = exchange.attach(self._hear, self.closed.append)

    def _hear(self, text: str) -> None:
        self.raw.append(text)
        try:
            message = json.loads(text)
        except ValueError:
            return
        self.said.append(message)
        if "method" in message and not self._deaf:
            self.leg.receive(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}))

    def send(self, method: str, **params: Any) -> str:
        """Ask; return the id."""
        number = f"r-{next(self._numbers)}"
        self.leg.receive(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        return number

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask and wait for the answer: its ``result`` or its ``error``."""
        number = self.send(method, **params)
        async with asyncio.timeout(60):
            while True:
                for message in self.said:
                    if message.get("id") == number and "method" not in message:
                        told: dict[str, Any] = message["result"] if "result" in message else message["error"]
                        return told
                await asyncio.sleep(0.001)

    async def connect(self, **more: Any) -> dict[str, Any]:
        """Say who we are."""
        keys = {"project": "p", "token": "PTsecret"}
        return await self.ask("signalwire.connect", **{"authentication": keys, "contexts": ["office"], **more})

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Inner params of all events of a kind, in order of arrival."""
        told = [message["params"] for message in self.said if message.get("method") == "signalwire.event"]
        return [each["params"] for each in told if kind is None or each["event_type"] == kind]

    def states(self, kind: str, name: str) -> list[str]:
        """One member of all events of a kind."""
        return [event[name] for event in self.events(kind)]

    async def call(self, tag: str = "t-1") -> dict[str, Any]:
        """Dial; the call that was answered."""
        await self.ask("calling.dial", tag=tag, devices=PHONE)
        await asyncio.sleep(1)
        answered = [each for each in self.events("calling.call.dial") if each.get("tag") == tag and "call" in each]
        call: dict[str, Any] = answered[-1]["call"]
        return call

    async def on(self, call: dict[str, Any], method: str, **params: Any) -> dict[str, Any]:
        """Ask something about a call."""
        return await self.ask(method, call_id=call["call_id"], node_id=call["node_id"], **params)

    async def tap(self, call: dict[str, Any], control_id: str = "tap-1", **more: Any) -> dict[str, Any]:
        """Tap it."""
        wanted = {"tap": {"type": "audio", "params": {"direction": "both"}}, "device": RTP}
        return await self.on(call, "calling.tap", control_id=control_id, **{**wanted, **more})


class World:
    """An exchange, its sounds, and a client that is connected."""

    def __init__(self, faults: Faults = GOOD, seed: int = 1, start_s: float = 0.0) -> None:
        self.sounds = Sounds(start_s)
        self.exchange = Exchange(KEYS, self.sounds, faults, dice=random.Random(seed))
        self.talker = Talker(self.exchange)


def play(story: Callable[[World, Talker], Awaitable[None]], connected: bool = True, **given: Any) -> None:
    """Run a story; no task may be left when it is over."""

    async def whole() -> None:
        world = World(**given)
        try:
            if connected:
                await world.talker.connect()
            await story(world, world.talker)
        finally:
            await world.exchange.close()
        assert not world.sounds.running, "a sound goes on"

    virtual.run(whole())
