"""One connection of a tap's sender: what comes over it, until it is over.

What came is gathered for a moment in two cases. Small frames: a packet of few octets costs the worker as much as a
long one, and it reads 640 packets of a tap in a second. And what comes late and does not fill the gap before it:
whether that is the end of a pause, or the first of a burst that a stalled network held back, shows only in what
follows it.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from secrets import randbits
from typing import Final

import structlog
from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from receiver.control.wsframes import PAUSE_NS, Packetizer

FIRST_S: Final = 30.0  # for a binary frame
MOST_TEXTS: Final = 64
SMALL: Final = 80  # octets: below it, more is waited for, as long as ten of them last
SMALL_S: Final = 0.01
SETTLE_S: Final = 0.2  # longer than a round trip: after a loss, TCP begins again with one segment
SETTLED: Final = 3_200  # octets in that time, twice as much as is said in it: the burst goes on
LONGEST_BURST: Final = 360_000  # octets: 45 s; after as long without a pong the connection is given up
REST_S: Final = 0.01

log = structlog.get_logger("ws")


class Talk:
    """Hears one connection and hands its sound on to ``writer``."""

    def __init__(
        self,
        connection: web.WebSocketResponse,
        law: int,
        writer: socket.socket,
        counts: "Counter[str]",
        clock_ns: Callable[[], int],
    ) -> None:
        self._connection, self._writer, self._counts, self._clock_ns = connection, writer, counts, clock_ns
        self._packetizer = Packetizer(law, randbits(32), randbits(16), randbits(32))
        self._held = bytearray()
        self._met = 0  # octets of it that have their place in time
        self._last_ns = 0  # when the last of it came
        self._goodbye: tuple[int, bytes] | None = None
        self._listening: asyncio.Timeout | None = None
        self.over = asyncio.Event()

    def leave(self, code: int, message: bytes) -> None:
        """Have the connection closed, behind what it has brought so far. The first reason counts."""
        if self._goodbye is None:
            self._goodbye = code, message
            if self._listening is not None:
                self._listening.reschedule(asyncio.get_running_loop().time())

    async def hear(self) -> None:
        """Until it is over, or `leave`."""
        if self._goodbye is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._listening:
                    await self._converse()
            self._listening = None
        if self._goodbye is not None:
            await self._rest()
            await self._close(*self._goodbye)

    async def _converse(self) -> None:
        if not await self._first():
            return
        more = True
        while more:
            more = await self._gather()
            await self._hand_on()
            more = more and await self._take()

    async def _first(self) -> bool:
        """The first sound, in time and not behind too much text."""
        before = self._counts["text_frames"]
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                if await self._take(MOST_TEXTS):
                    return True
                if self._connection.closed:
                    return False
        if self._goodbye is None:
            self._counts["silent"] += 1
            texts = self._counts["text_frames"] - before
            log.info("a ws tap's sender sent no sound", text_frames=texts)
            only_text = WSCloseCode.UNSUPPORTED_DATA, b"only text came"
            self._goodbye = only_text if texts else (WSCloseCode.POLICY_VIOLATION, b"nothing came")
        return False

    async def _take(self, most_texts: int | None = None) -> bool:
        """Hold the next binary frame that is not empty; False: it is over, or there were too many texts to skip."""
        texts = 0
        while texts != most_texts:
            message = await self._connection.receive()
            if message.type is WSMsgType.BINARY:
                self._counts["frames"] += 1
                self._counts["octets"] += len(message.data)
                if message.data:
                    self._held += message.data
                    self._last_ns = self._clock_ns()
                    return True
            elif message.type is WSMsgType.TEXT:
                self._counts["text_frames"] += 1
                texts += 1
            else:
                error = message.data  # the connection's own code is the one that the other side closed with
                if isinstance(error, WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG:
                    self._counts["too_long"] += 1
                return False
        return False

    async def _gather(self) -> bool:
        """Hold what belongs to what is held. False: the connection is over."""
        before = 0
        while self._packetizer.late_ns(len(self._held), self._last_ns) > PAUSE_NS:
            if not await self._take_for(SETTLE_S, LONGEST_BURST):
                return False
            if len(self._held) - before <= SETTLED or len(self._held) >= LONGEST_BURST:
                break
            before = len(self._held)
        return await self._take_for(SMALL_S, SMALL)

    async def _take_for(self, seconds: float, enough: int) -> bool:
        """Hold what comes within so many seconds, until it is enough. False: the connection is over.

        A frame that the end of the time cuts off is not lost: aiohttp keeps it for the next ``receive``.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self._held) < enough:
                    if not await self._take():
                        return False
        return True

    async def _hand_on(self) -> None:
        """Packet by packet, none too far ahead of its time; what waits stays held."""
        self._meet()
        while self._held:
            if wait_ns := self._packetizer.wait_ns(self._clock_ns()):
                await asyncio.sleep(wait_ns / 1e9)
            self._send()

    async def _rest(self) -> None:
        """What came and is still here goes on at once: soon nobody will be there to hear it."""
        await self._take_for(REST_S, LONGEST_BURST)
        self._meet()
        while self._held:
            self._send()

    def _meet(self) -> None:
        if len(self._held) > self._met:
            self._packetizer.meet(len(self._held) - self._met, self._last_ns)
        self._met = len(self._held)

    def _send(self) -> None:
        payload = bytes(self._held[: self._packetizer.longest])
        del self._held[: len(payload)]
        self._met -= len(payload)
        try:
            self._writer.send(self._packetizer.packet(payload, self._clock_ns()))
        except OSError:  # no room, or the worker's end is closed: the recording counts it as lost
            self._counts["send_failed"] += 1

    async def _close(self, code: int, message: bytes) -> None:
        with suppress(ConnectionError, RuntimeError):
            await self._connection.close(code=code, message=message)
