"""What a tap sends: RTP by the lab's own sender, with its weather and its log; or bare codec bytes over a WebSocket."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, Protocol

import aiohttp
import numpy as np
import structlog

from receiver.lab import sound
from receiver.lab.plan import Caller, Plan, source_towards
from receiver.lab.sender import Sender
from receiver.lab.switch.parties import Voice

MOST_AT_ONCE: Final = 256
FRAME: Final = 160  # samples of a binary frame: 20 ms
CLOCK_RATE: Final = 8_000
CONNECT_S: Final = 10.0

Over = Callable[[str], None]
log = structlog.get_logger("lab")


class Order(NamedTuple):
    """A tap's sound: where to (``device`` in wire form), who speaks, under which id."""

    control_id: str
    device: dict[str, Any]
    voice: Voice
    caller: int


class Sounds(Protocol):
    """Where an exchange gets its sound from."""

    async def start(self, order: Order, over: Over) -> dict[str, Any] | None:
        """Begin; return the source's params, None where there is nothing to tell. ``over(control_id)``: it has ended
        by itself. Raises ``OSError``."""

    def stop(self, control_id: str) -> Coroutine[Any, Any, None]:
        """Nothing more is sent when this returns. Twice is once."""


class RealSounds:
    """Real sound: one thread for each RTP tap, one task for each WebSocket. ``log``: the folder of senders' logs."""

    def __init__(self, log: str | None = None, seed: int = 1) -> None:
        self._log, self._seed = log, seed
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, "tap")
        self._running: dict[str, _Rtp | _Ws] = {}

    async def start(self, order: Order, over: Over) -> dict[str, Any] | None:
        """Begin."""
        running: _Rtp | _Ws
        if order.device["type"] == "rtp":
            running = _Rtp(order, self._log, self._seed, self._threads)
        else:
            running = _Ws(order)
            await running.connect()
        self._running[order.control_id] = running
        running.begin(lambda: self._over(order.control_id, over))
        return running.source

    async def stop(self, control_id: str) -> None:
        """End it, and wait until its log is written."""
        running = self._running.pop(control_id, None)
        if running is not None:
            await running.stop()

    async def close(self) -> None:
        """End all."""
        for control_id in list(self._running):
            await self.stop(control_id)
        self._threads.shutdown()

    def _over(self, control_id: str, over: Over) -> None:
        if self._running.pop(control_id, None) is not None:
            over(control_id)


class _Rtp:
    """One RTP tap."""

    def __init__(self, order: Order, log: str | None, seed: int, threads: ThreadPoolExecutor) -> None:
        params, voice = order.device["params"], order.voice
        to = f"{params['addr']}:{params['port']}"
        caller = Caller(
            id=order.caller, to=to, codec=params["codec"], size=params["ptime"] * CLOCK_RATE // 1_000,
            seconds=voice.seconds, weather=voice.weather, speech=voice.speech,
        )  # fmt: skip
        self._sender = Sender(Plan((caller,), seed=seed + order.caller, source=source_towards(to), log=log))
        self._threads = threads
        addr, _, port = self._sender.sources[0].rpartition(":")
        self.source: dict[str, Any] = {
            "addr": addr, "port": int(port), "codec": params["codec"], "rate": CLOCK_RATE, "ptime": params["ptime"],
        }  # fmt: skip

    def begin(self, over: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._future = loop.run_in_executor(self._threads, self._run)
        self._future.add_done_callback(lambda future: _ended(future, over))

    async def stop(self) -> None:
        self._sender.stop()
        await asyncio.gather(self._future, return_exceptions=True)

    def _run(self) -> None:
        with self._sender:
            self._sender.run()


class _Ws:
    """One tap over a WebSocket: the platform is the client."""

    source: dict[str, Any] | None = None  # what the platform would say here is not known

    def __init__(self, order: Order) -> None:
        self._uri, self._voice = order.device["params"]["uri"], order.voice
        self._law = sound.LAWS[order.device["params"]["codec"]]
        self._speaker = sound.SPEECH if order.voice.speech else order.caller

    async def connect(self) -> None:
        """Raises ``OSError``."""
        self._client = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(CONNECT_S):
                self._socket = await self._client.ws_connect(self._uri, ssl=False, compress=0)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            await self._client.close()
            raise OSError(f"no WebSocket at the tap's uri ({type(error).__name__})") from None

    def begin(self, over: Callable[[], None]) -> None:
        self._task = asyncio.ensure_future(self._send())
        self._task.add_done_callback(lambda task: _ended(task, over))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._close()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        began_s, sample = loop.time(), 0
        while sample < self._voice.seconds * CLOCK_RATE and not self._socket.closed:
            await asyncio.sleep(max(0.0, began_s + sample / CLOCK_RATE - loop.time()))
            codes = sound.say(np.array([self._speaker], np.uint64), np.array([sample], np.int64), FRAME, self._law)
            await self._socket.send_bytes(codes.tobytes())
            sample += FRAME
        await self._close()

    async def _close(self) -> None:
        await self._socket.close()
        await self._client.close()


def _ended(done: "asyncio.Future[None]", over: Callable[[], None]) -> None:
    """The sound is over; what went wrong is said, and is its end all the same."""
    if done.cancelled():
        return
    error = done.exception()
    if error is not None:
        log.warning("a tap's sound ended early", why=str(error) or type(error).__name__)
    over()
