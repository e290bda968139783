"""The control side and the switch in a box, both real, joined without a socket, in virtual time.

What is played: the worker (`lifeworld`), the sound that a tap sends, and the network between the two (`Wire`).
"""

import asyncio
import random
from pathlib import Path
from typing import Any

from receiver.control.answering import Answering, Rule
from receiver.control.attendance import Attendance
from receiver.control.calls import Client
from receiver.control.door import SocketClosed
from receiver.control.relay import Credentials
from receiver.control.taps import Limits, Tap, Wish
from receiver.lab.switch.exchange import Exchange
from receiver.lab.switch.faults import GOOD, Faults
from receiver.lab.switch.legs import Leg
from receiver.lab.switch.sounds import Order, Over
from tests.control.lifeworld import LIMITS, LifeWorld
from tests.control.made import WISH

KEYS = {"p": "PTsecret"}
OWN = WISH._replace(own=True, policy="announced", source=None)


class PlayedSounds:
    """Sound comes to a port from its start to its stop, or for ``seconds``."""

    def __init__(self, world: LifeWorld, seconds: float | None = None) -> None:
        self.world, self.seconds = world, seconds
        self._ports: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def start(self, order: Order, over: Over) -> dict[str, Any]:
        port = int(order.device["params"]["port"])
        self._ports[order.control_id] = port
        self.world.worker.senders.add(port)
        if self.seconds is not None:
            loop = asyncio.get_running_loop()
            self._timers[order.control_id] = loop.call_later(self.seconds, self._end, order.control_id, over)
        return {"addr": "203.0.113.9", "port": 30_000 + port % 10_000, "codec": "PCMU", "rate": 8000, "ptime": 20}

    async def stop(self, control_id: str) -> None:
        self._hush(control_id)

    def _hush(self, control_id: str) -> bool:
        timer, port = self._timers.pop(control_id, None), self._ports.pop(control_id, None)
        if timer is not None:
            timer.cancel()
        if port is not None:
            self.world.worker.senders.discard(port)
        return port is not None

    def _end(self, control_id: str, over: Over) -> None:
        if self._hush(control_id):
            over(control_id)


class Wire:
    """The network between client and switch: a socket is a queue; ``cut`` for as long as there is none to be had."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.cut = False
        self.opened = 0

    async def open(self) -> "Socket":
        if self.cut:
            raise SocketClosed("the network is unreachable")
        self.opened += 1
        return Socket(self.exchange)


class Socket:
    """One socket."""

    def __init__(self, exchange: Exchange) -> None:
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._leg: Leg = exchange.attach(self._inbox.put_nowait, lambda code: self._inbox.put_nowait(None))

    async def send(self, text: str) -> None:
        if not self._leg.is_open:
            raise SocketClosed("the socket fell")
        self._leg.receive(text)

    async def receive(self) -> str:
        text = await self._inbox.get()
        if text is None:
            raise SocketClosed("closed by the relay")
        if len(text) > 4 << 20:
            await self.close()
            raise SocketClosed("a frame that is not taken", nonsense=True)
        return text

    async def close(self) -> None:
        if self._leg.is_open:
            self._leg.gone()


class RelayWorld(LifeWorld):
    """All of it, up and running after ``up()``."""

    def __init__(
        self, directory: Path, seed: int = 1, faults: Faults = GOOD, seconds: float | None = None, slots: int = 64,
        limits: Limits = LIMITS, rules: "list[Rule] | None" = None,
    ) -> None:  # fmt: skip
        dice = random.Random(seed)
        super().__init__(directory, dice, slots, limits)
        self.sounds = PlayedSounds(self, seconds)
        self.exchange = Exchange(KEYS, self.sounds, faults, dice=dice)
        self.wire = Wire(self.exchange)
        topics = [rule.topic for rule in rules or ()]
        self.client = Client(self.wire, Credentials("p", KEYS["p"]), topics, dice)
        self.attendance = Attendance(self.roster, self.client, "127.0.0.1")
        self.answering = Answering(self.roster, self.client, rules or [])

    async def up(self) -> None:
        """Connect."""
        self.client.start()
        await self.client.until_up(60)

    async def own(self, **given: Any) -> Tap:
        """Dial, and ask for a tap on the call."""
        call = await self.client.dial_phone(to="+15550199", from_="+15550100")
        return await self.roster.ask(self.wish(call.call_id, call.node_id, **given))

    def wish(self, call_id: str, node_id: str, **given: Any) -> Wish:
        """A tap of our own."""
        return OWN._replace(call_id=call_id, node_id=node_id, **given)

    async def until(self, tap: Tap, *states: str, limit_s: float = 3600) -> None:
        """Wait until a tap is in one of these states."""
        await self.roster.until(tap, {state for state in type(tap.state) if state in states}, limit_s)
        assert tap.state in states, tap

    async def over(self) -> None:
        """End everything."""
        await self.answering.close()
        await self.attendance.close()
        await self.client.close()
        await self.exchange.close()
        await super().over()
