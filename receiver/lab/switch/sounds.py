"""What a tap sends: RTP by the lab's own sender, with its weather and its log; or bare codec bytes over a WebSocket."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from math import ceil
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
FAREWELL: Final = aiohttp.ClientWSTimeout(ws_close=1.0)

Over = Callable[[str], None]
log = structlog.get_logger("lab")


class Order(NamedTuple):
    """A tap's sound: what it is called here (the control id, as a rule), where to (``device`` in wire form), who speaks
    and under which id."""

    control_id: str
    device: dict[str, Any]
    voice: Voice
    caller: int


class Sounds(Protocol):
    """Where an exchange gets its sound from."""

    async def start(self, order: Order, over: Over) -> dict[str, Any] | None:
        """Begin; return the source's params, None where there is nothing to tell. ``over(control_id)``, later and from
        the loop: it has ended by itself. Raises ``OSError``."""

    def stop(self, control_id: str) -> Coroutine[Any, Any, None]:
        """Nothing more is sent when this returns. Twice is once."""


class RealSounds:
    """Real sound: one thread for each RTP tap, one task for each WebSocket. ``log``: the folder of the logs that
    senders of RTP write; nobody keeps one of a WebSocket."""

    def __init__(self, log: str | None = None, seed: int = 1) -> None:
        self._log, self._seed = log, seed
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, "tap")
        self._running: dict[str, _Rtp | _Ws] = {}

    async def start(self, order: Order, over: Over) -> dict[str, Any] | None:
        """Begin."""
        running: _Rtp | _Ws
        if order.device["type"] == "rtp":
            if sum(isinstance(each, _Rtp) for each in self._running.values()) >= MOST_AT_ONCE:
                raise OSError(f"{MOST_AT_ONCE} taps are all that this lab can send at once")
            running = _Rtp(order, self._log, self._seed, self._threads)
        else:
            running = _Ws(order)
            await running.connect()
        self._running[order.control_id] = running
        running.begin(lambda: None if running.hushed else self._over(order.control_id, over))
        return running.source

    async def stop(self, control_id: str) -> None:
        """End it, and wait until its log is written."""
        running = self._running.get(control_id)
        if running is not None:
            running.hushed = True
            await running.stop()
            if self._running.get(control_id) is running:
                del self._running[control_id]

    async def close(self) -> None:
        """End all."""
        await asyncio.gather(*map(self.stop, list(self._running)))
        self._threads.shutdown()

    def _over(self, control_id: str, over: Over) -> None:
        del self._running[control_id]
        over(control_id)


class _Rtp:
    """One RTP tap."""

    hushed = False

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
        await asyncio.wait([self._future])  # leaves it alone where the waiting is given up

    def _run(self) -> None:
        with self._sender:
            self._sender.run()


class _Ws:
    """One tap over a WebSocket: the platform is the client. It takes any certificate: a lab's are made by itself, and
    what a lab says is no secret."""

    hushed = False
    source: dict[str, Any] | None = None  # what the platform would say here is not known

    def __init__(self, order: Order) -> None:
        self._uri, self._seconds = order.device["params"]["uri"], order.voice.seconds
        self._law = sound.LAWS[order.device["params"]["codec"]]
        self._speaker = np.array([sound.SPEECH if order.voice.speech else order.caller], np.uint64)

    async def connect(self) -> None:
        """Raises ``OSError``."""
        self._client = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(CONNECT_S):
                self._socket = await self._client.ws_connect(self._uri, ssl=False, compress=0, timeout=FAREWELL)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            await self._client.close()
            raise OSError(f"no WebSocket at the tap's uri ({type(error).__name__})") from None
        except BaseException:
            await self._client.close()
            raise

    def begin(self, over: Callable[[], None]) -> None:
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(lambda task: _ended(task, over))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._close()  # it may have been cancelled before its first step

    async def _run(self) -> None:
        listening = asyncio.ensure_future(self._listen())
        try:
            await self._send(listening)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await self._close()

    async def _listen(self) -> None:
        """Reading is what answers pings, and notices that the other side closed."""
        async for _ in self._socket:
            pass

    async def _send(self, listening: "asyncio.Task[None]") -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for sample in range(0, ceil(self._seconds * CLOCK_RATE), FRAME):
            await asyncio.wait([listening], timeout=max(0.0, began_s + sample / CLOCK_RATE - loop.time()))
            if listening.done():
                return
            octets = sound.say(self._speaker, np.array([sample], np.int64), FRAME, self._law).tobytes()
            await self._socket.send_bytes(octets)

    async def _close(self) -> None:
        await self._socket.close()
        await self._client.close()


def _ended(done: "asyncio.Future[None]", over: Callable[[], None]) -> None:
    """The sound is over; what went wrong is said, and is its end all the same."""
    if done.cancelled():
        return
    error = done.exception()
    if error is not None:
        log.warning("a tap's sound ended early", why=type(error).__name__)  # its text might hold the uri
    over()
