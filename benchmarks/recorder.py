"""Control as far as a worker can tell: real ports, a real crew that starts a real worker, and nothing beside them."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from receiver import link
from receiver.archive import sidecar
from receiver.archive.sidecar import Sidecar
from receiver.crew import Crew
from receiver.keys import Key
from receiver.net.ports import Port, Ports

PATIENCE_S: Final = 120.0
CLOSING_S: Final = 300.0
FIRST_PORT, LAST_PORT = 10_000, 29_999


def ports() -> Ports:
    """A pool on loopback; what it gives has the options of a real tap's socket."""
    return Ports("127.0.0.1", FIRST_PORT, LAST_PORT, cooldown_s=0)


class Recorder:
    """Taps of one worker, all opened and closed at once. The owner that a crew asks.

    What waits for the worker raises TimeoutError in the end, and RuntimeError when it died.
    """

    def __init__(self, directory: Path, taps: int) -> None:
        self._ports = ports()
        self._orders: list[link.Open] = []
        self._sockets: list[Port] = []
        self._opened, self.refused = 0, 0
        self.finished: dict[int, Sidecar] = {}
        self.reports: list[link.Report] = []
        self._gone = self._leaving = False
        self._ready = asyncio.Event()
        configure = link.Configure(
            index=0, taps=taps, tick_ns=100_000_000, horizon=3_200, window=48_000, commit_interval_ns=1_000_000_000,
            segment_frames=0, directory=str(directory), name="{started:%Y%m%dT%H%M%SZ}_{recording_id}",
            encoding="pcm16", policy="announced", allow=[], events_payload_type=101, repair=True,
        )  # fmt: skip
        self._crew = Crew([configure], self)

    # -- what the crew asks and tells

    def keys(self, worker: int) -> dict[str, Key]:
        """A worker that is started has no tap yet."""
        return {}

    def living(self, worker: int) -> dict[str, int]:
        """Nothing is left from before."""
        return {}

    def keep(self, worker: int, memory: int) -> None:
        """Nobody keeps anything for later."""

    def belongings(self, worker: int) -> Iterator[tuple[link.ToWorker, Sequence[int]]]:
        """All taps anew; a benchmark whose worker died is told, and worth nothing."""
        for order, port in zip(self._orders, self._sockets, strict=True):
            yield order, [port.socket.fileno()]

    def began(self, worker: int) -> None:
        """The worker records."""
        self._ready.set()

    def died(self, worker: int) -> None:
        """A worker that ends before it was asked to has measured nothing."""
        self._gone = not self._leaving

    def hear(self, worker: int, message: link.ToControl) -> None:
        """Count."""
        match message:
            case link.Opened():
                self._opened += 1
            case link.Refused():
                self.refused += 1
            case link.Report():
                self.reports.append(message)
            case link.Finished():
                self.finished[message.slot] = sidecar.decode(message.sidecar)
                self._crew.send(0, link.Forget(message.slot, message.recording_id))

    # -- what a benchmark does

    async def start(self) -> int:
        """Start the worker; returns its process id."""
        self._crew.start()
        await self._until(self._ready.is_set)
        return self.pid

    async def stop(self) -> None:
        """Let the worker leave, and give the ports back."""
        self._leaving = True
        await self._crew.stop(30.0)
        for port in self._sockets:
            port.socket.close()

    @property
    def pid(self) -> int:
        """The worker's."""
        return int(self._crew.states()[0]["pid"] or 0)

    async def open(self, sources: Sequence[str], key: Key | None = None) -> list[str]:
        """One tap for each source; returns where to send to, when all are open."""
        for slot, source in enumerate(sources):
            host, _, number = source.rpartition(":")
            port = self._ports.take()
            order = link.Open(
                slot=slot, tap_id=str(uuid.uuid4()), recording_id=str(uuid.uuid4()), port=port.number, law=0,
                policy="exact", announced=(host, int(number)), held=False, requested_at_ns=time.time_ns(), call_id=None,
                node_id=None, labels={}, direction="both", layout="mono", suite=key.suite if key else None, key=key,
            )  # fmt: skip
            self._orders.append(order)
            self._sockets.append(port)
            self._crew.send(0, order, [port.socket.fileno()])
        await self._until(lambda: self._opened + self.refused >= len(sources))
        return [f"127.0.0.1:{port.number}" for port in self._sockets]

    async def close(self) -> float:
        """Stop all taps at once; returns the seconds until the last one's files were in ready/."""
        began_s = time.monotonic()
        for order in self._orders:
            self._crew.send(0, link.Close(order.slot, order.recording_id, "stopped", None))
        await self._until(lambda: len(self.finished) + self.refused >= len(self._orders), CLOSING_S)
        return time.monotonic() - began_s

    @property
    def outcomes(self) -> dict[str, int]:
        """How the recordings ended."""
        return dict(Counter(str(told.outcome) for told in self.finished.values()))

    async def _until(self, reached: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(limit_s):
            while not reached():
                if self._gone:
                    raise RuntimeError("the worker died: its log is above")
                await asyncio.sleep(0.005)
