"""Control as far as a worker needs it: real ports, a real crew, real worker processes; the life cycle is the test's."""

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver import link
from receiver.archive import sidecar
from receiver.crew import Crew
from receiver.keys import Key
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, Proof, prove
from receiver.lab.senderlog import file_of
from receiver.net.ports import Port, Ports

PATIENCE_S = 60.0
COMMAND = (sys.executable, "-W", "error", "-m", "receiver", "worker")


def configure(directory: Path, taps: int = 64, segment_frames: int = 0, repair: bool = True) -> link.Configure:
    """The settings' defaults, as a worker is told them."""
    return link.Configure(
        index=0, taps=taps, tick_ns=100_000_000, horizon=3_200, window=48_000, commit_interval_ns=1_000_000_000,
        segment_frames=segment_frames, directory=str(directory), name="{started:%Y%m%dT%H%M%SZ}_{recording_id}",
        encoding="pcm16", policy="announced", allow=[], events_payload_type=101, repair=repair,
    )  # fmt: skip


@dataclass
class Tap:
    """What was asked for, and how it ended."""

    order: link.Open
    port: Port
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    ending: str | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    told: sidecar.Sidecar | None = None


class Recorder:
    """A crew of one and its taps, each for one caller of a plan. The owner that a crew asks."""

    def __init__(self, configure: link.Configure, command: Sequence[str] = COMMAND) -> None:
        self.directory = Path(configure.directory)
        self._ports = Ports("127.0.0.1", 31_000, 38_999, cooldown_s=0)
        self.taps: list[Tap] = []
        self.recording = asyncio.Event()
        self.reports: list[link.Report] = []
        self.happened: list[link.Happened] = []
        self.repaired: list[sidecar.Sidecar] = []
        self.crew = Crew([configure], self, command, back_off_s=(0.0,))

    # -- what the crew asks and tells

    def keys(self, worker: int) -> dict[str, Key]:
        living = (tap.order for tap in self.taps if not tap.finished.is_set())
        return {order.recording_id: order.key for order in living if order.key is not None}

    def living(self, worker: int) -> dict[str, int]:
        return {}

    def keep(self, worker: int, memory: int) -> None:
        pass

    def belongings(self, worker: int) -> Iterator[tuple[link.ToWorker, Sequence[int]]]:
        for tap in self.taps:
            if not tap.finished.is_set():
                yield tap.order, [tap.port.socket.fileno()]
                if tap.ending:
                    yield self._close(tap), ()

    def began(self, worker: int) -> None:
        self.recording.set()

    def died(self, worker: int) -> None:
        self.recording.clear()

    def hear(self, worker: int, message: link.ToControl) -> None:
        match message:
            case link.Opened():
                self.taps[message.slot].opened.set()
            case link.Finished():
                tap = self.taps[message.slot]
                tap.told = sidecar.decode(message.sidecar)
                tap.finished.set()
                self.crew.send(0, link.Forget(message.slot, message.recording_id))
            case link.Report():
                self.reports.append(message)
            case link.Happened():
                self.happened.append(message)
            case link.Repaired():
                self.repaired += [sidecar.decode(octets) for octets in message.sidecars]

    # -- what a test does

    async def open(
        self, sources: Sequence[str], policy: str = "exact", law: int = 0, key: Key | None = None
    ) -> list[Tap]:
        """One tap for each source, open when this returns."""
        new = []
        for source in sources:
            host, _, number = source.rpartition(":")
            port = self._ports.take()
            order = link.Open(
                slot=len(self.taps), tap_id=str(uuid.uuid4()), recording_id=str(uuid.uuid4()), port=port.number,
                law=law, policy=policy, announced=(host, int(number)), held=False, requested_at_ns=time.time_ns(),
                call_id=None, node_id=None, labels={}, direction="both", layout="mono",
                suite=key.suite if key else None, key=key,
            )  # fmt: skip
            new.append(Tap(order, port))
            self.taps.append(new[-1])
            self.crew.send(0, order, [port.socket.fileno()])
        await self._all(tap.opened for tap in new)
        return new

    async def close(self, taps: Sequence[Tap], ending: str = "stopped") -> None:
        """Stop them; their files are final when this returns."""
        for tap in taps:
            tap.ending = ending
            self.crew.send(0, self._close(tap))
        await self._all(tap.finished for tap in taps)

    def pid(self) -> int:
        """The worker that lives now."""
        return int(self.crew.states()[0]["pid"] or 0)

    async def alive(self) -> None:
        """Wait until a worker records."""
        await asyncio.wait_for(self.recording.wait(), PATIENCE_S)

    def sidecar_of(self, tap: Tap) -> Path:
        """Where the recording of a tap lies."""
        found = list((self.directory / "ready").rglob(f"*{tap.order.recording_id}.json"))
        assert len(found) == 1, f"{len(found)} sidecars of {tap.order.recording_id}: {found}"
        return found[0]

    @staticmethod
    def _close(tap: Tap) -> link.Close:
        return link.Close(tap.order.slot, tap.order.recording_id, tap.ending or "stopped", None)

    @staticmethod
    async def _all(events: Iterator[asyncio.Event]) -> None:
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in events)), PATIENCE_S)


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


@asynccontextmanager
async def recorder(directory: Path, command: Sequence[str] = COMMAND, **told: Any) -> AsyncIterator[Recorder]:
    """A running one; its worker is told to leave in the end."""
    one = Recorder(configure(_made(directory), **told), command)
    one.crew.start()
    try:
        await one.alive()
        yield one
    finally:
        await one.crew.stop(10.0)
        for tap in one.taps:
            tap.port.socket.close()


def crowd(count: int, seconds: float, weathers: Sequence[str], logs: Path, seed: int = 1) -> Plan:
    """Callers of both laws, each in one of the weathers."""
    logs.mkdir(exist_ok=True)
    callers = tuple(
        Caller(id=k, codec="PCMA" if k % 2 else "PCMU", seconds=seconds, weather=weathers[k % len(weathers)])
        for k in range(count)
    )
    return Plan(callers=callers, seed=seed, log=str(logs))


async def send(sender: SenderProcess, taps: Sequence[Tap]) -> "asyncio.Future[object]":
    """Let the callers begin; the future is done when they have written their logs."""
    sender.go([f"127.0.0.1:{tap.port.number}" for tap in taps])
    return asyncio.get_running_loop().run_in_executor(None, sender.wait, 600.0)


def proofs(one: Recorder, taps: Sequence[Tap], logs: Path, expected: Expected | None = None) -> list[Proof]:
    """Each tap's recording against the log of its caller."""
    return [prove(one.sidecar_of(tap), file_of(logs, k), expected or Expected()) for k, tap in enumerate(taps)]


def assert_exact(found: Sequence[Proof]) -> None:
    """Say which recording is not what was sent, and how."""
    wrong = [str(proof) for proof in found if not proof.exact]
    assert not wrong, "\n".join(wrong)
