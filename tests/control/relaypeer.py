"""A tiny RELAY, scripted by a test, on a socket that is a queue. Written from the protocol's description, for virtual
time; the big one is the switch in the box (``receiver.lab.switch``)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from receiver.control.calls import Client
from receiver.control.door import SocketClosed
from receiver.control.relay import Credentials

Script = Callable[["Line", dict[str, Any]], Any]
PROTOCOL = "signalwire_sig_x_p"


class Line:
    """One socket, seen from the relay: what came, and what to say."""

    def __init__(self, peer: "RelayPeer") -> None:
        self.peer = peer
        self.said: list[dict[str, Any]] = []
        self._inbox: asyncio.Queue[str | SocketClosed] = asyncio.Queue()
        self.closed_by_client = False

    # --- the client's side

    async def send(self, text: str) -> None:
        if self.closed_by_client:
            raise SocketClosed("closed")
        message = json.loads(text)
        self.said.append(message)
        self.peer.script(self, message)

    async def receive(self) -> str:
        told = await self._inbox.get()
        if isinstance(told, SocketClosed):
            raise told
        return told

    async def close(self) -> None:
        self.closed_by_client = True

    # --- the relay's side

    def put(self, **members: Any) -> None:
        """Say something."""
        self.raw(json.dumps({"jsonrpc": "2.0", **members}))

    def raw(self, text: str) -> None:
        """Say anything."""
        self._inbox.put_nowait(text)

    def answer(self, asked: dict[str, Any], /, **result: Any) -> None:
        """Answer a question."""
        self.put(id=asked["id"], result=result)

    def refuse(self, message: dict[str, Any], code: int, text: str = "no") -> None:
        """Answer with an error."""
        self.put(id=message["id"], error={"code": code, "message": text})

    def event(self, kind: str, **params: Any) -> None:
        """Tell an event."""
        self.peer.events += 1
        self.put(id=f"e-{self.peer.events}", method="signalwire.event", params={"event_type": kind, "params": params})

    def fall(self, why: str = "it fell", nonsense: bool = False) -> None:
        """Let the socket fall."""
        self._inbox.put_nowait(SocketClosed(why, nonsense))

    def methods(self) -> list[str]:
        """What the client asked, in order."""
        return [message["method"] for message in self.said if "method" in message]


class RelayPeer:
    """The door; ``script(line, message)`` is called with all that the client says."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or greet
        self.lines: list[Line] = []
        self.opened_s: list[float] = []
        self.shut: Exception | None = None
        self.stuck = False
        self.events = 0

    async def open(self) -> Line:
        self.opened_s.append(asyncio.get_running_loop().time())
        if self.stuck:
            await asyncio.sleep(10_000)
        if self.shut is not None:
            raise self.shut
        self.lines.append(Line(self))
        return self.lines[-1]

    @property
    def line(self) -> Line:
        """The newest socket."""
        return self.lines[-1]


def greet(line: Line, message: dict[str, Any]) -> None:
    """Let everybody in, and say yes to everything."""
    if message.get("method") == "signalwire.connect":
        line.answer(message, protocol=message["params"].get("protocol", PROTOCOL))
    elif "method" in message:
        line.answer(message, code="200", message="yes")


def mute(line: Line, message: dict[str, Any]) -> None:
    """Let everybody in, and say nothing more."""
    if message.get("method") == "signalwire.connect":
        greet(line, message)


def silent(line: Line, message: dict[str, Any]) -> None:
    """Say nothing at all."""


async def connected(script: Script | None = None) -> tuple[RelayPeer, Client]:
    """A peer, and a client of the public API that is up with it; who asks for it closes it."""
    peer = RelayPeer(script)
    client = Client(peer, Credentials("p", "PTsecret"))
    client.start()
    await client.until_up(10)
    return peer, client
