"""A client of the public API and the switch in a box, joined without a socket, in virtual time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from receiver.control.call import Call
from receiver.control.calls import Client
from receiver.control.calltap import CallTap
from receiver.control.devices import RtpDevice
from receiver.control.relay import Credentials
from receiver.lab.switch.exchange import Exchange
from receiver.lab.switch.faults import GOOD, Faults
from receiver.lab.switch.sounds import Order, Over
from tests import virtual
from tests.control.relayworld import KEYS, Wire

DEVICE = RtpDevice("203.0.113.5", 20_000)


class Silence:
    """Sounds that nobody hears."""

    async def start(self, order: Order, over: Over) -> dict[str, Any] | None:
        return {"addr": "203.0.113.9", "port": 27_654, "codec": "PCMU", "rate": 8000}

    async def stop(self, control_id: str) -> None:
        """There is nothing to stop."""


class ClientWorld:
    """All of it."""

    def __init__(self, faults: Faults = GOOD, seed: int = 1, topics: tuple[str, ...] = ()) -> None:
        self.exchange = Exchange(KEYS, Silence(), faults, dice=random.Random(seed))
        self.wire = Wire(self.exchange)
        self.client = Client(self.wire, Credentials("p", KEYS["p"]), topics, random.Random(seed))
        self.seen: list[str] = []

    async def call(self, to: str = "+15550199") -> Call:
        """One that is answered."""
        return await self.client.dial_phone(to=to, from_="+15550100", timeout=5)

    async def tap(self, call: Call | None = None, **more: Any) -> CallTap:
        """One that is accepted; what its listeners hear is in ``seen``."""
        listen = {"on_started": lambda _: self.seen.append("started"), "on_ended": lambda _: self.seen.append("ended")}
        return await (call or await self.call()).tap_audio(direction="both", device=DEVICE, listen=listen, **more)


Story = Callable[[ClientWorld], Awaitable[None]]


def play(story: Story, up: bool = True, **given: Any) -> None:
    """Run a story; nothing may be left when it is over."""

    async def whole() -> None:
        world = ClientWorld(**given)
        try:
            world.client.start()
            if up:
                await world.client.until_up(60)
            await story(world)
        finally:
            await world.client.close()
            await world.exchange.close()

    virtual.run(whole())


def now_s() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()
