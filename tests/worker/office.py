"""A worker in the test's own process: real memory file, sockets, threads, files. Nothing ticks unless a test wants."""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from receiver import link
from receiver.archive import sidecar
from receiver.archive.files import Files
from receiver.archive.names import DEFAULT_PATTERN, is_of_a_worker
from receiver.net.tick import GROUPS
from receiver.worker.memory import Memory
from receiver.worker.process import Worker
from tests.archive.world import read_json, read_wav
from tests.media.rig import Sent, linear, talk

BOUND_S = 20.0
SO_TIMESTAMPNS = 35
HORIZON, WINDOW = 3_200, 48_000
Message = TypeVar("Message", bound=link.ToControl)


def configure(directory: Path, **more: Any) -> link.Configure:
    """The settings' defaults for eight taps; a commit whenever a test asks for one."""
    given: dict[str, Any] = {
        "index": 0, "taps": 8, "tick_ns": 100_000_000, "horizon": HORIZON, "window": WINDOW, "segment_frames": 0,
        "commit_interval_ns": 1 << 60, "directory": str(directory), "name": DEFAULT_PATTERN, "encoding": "pcm16",
        "policy": "announced", "allow": [], "events_payload_type": 101, "repair": False,
    }  # fmt: skip
    return link.Configure(**{**given, **more})


class Dead(BaseException):
    """The worker's process is gone at this point: nothing of ours catches it."""


def die(*_: Any) -> None:
    """Instead of what a worker that dies does no more."""
    raise Dead


async def until(condition: Callable[[], object]) -> None:
    """Let the loop and the threads go on until it holds."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110  # of columns and files there is no event
            await asyncio.sleep(0)


@dataclass
class Line:
    """One tap: who sends to it, the socket that control keeps, and its order."""

    sender: socket.socket
    door: socket.socket
    order: link.Open
    sent: list[Sent] = field(default_factory=list)

    @property
    def slot(self) -> int:
        return self.order.slot

    @property
    def id(self) -> str:
        return self.order.recording_id

    def send(self, packets: Iterable[Sent], by: socket.socket | None = None) -> None:
        """They have arrived when this returns: it is loopback."""
        for packet in packets:
            (by or self.sender).sendto(packet.octets, self.door.getsockname())
            self.sent.append(packet)

    def talk(self, count: int, first: int = 0, **more: Any) -> None:
        """Packets of 20 ms, the ``first`` one being number so many of the call."""
        self.send(talk(count, sequence=100 + first, timestamp=5_000 + 160 * first, seed=self.slot + 1, **more))

    @property
    def truth(self) -> NDArray[np.int16]:
        """What is heard if all that was sent is there, without a hole."""
        inside = sorted(self.sent, key=lambda packet: packet.timestamp)
        return np.concatenate([linear(packet.payload) for packet in inside])


def line(slot: int = 0, **more: Any) -> Line:
    """A door on loopback and somebody who sends to it."""
    door, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for end in (door, sender):
        end.bind(("127.0.0.1", 0))
    door.setblocking(False)
    door.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    given: dict[str, Any] = {
        "slot": slot, "tap_id": f"tap-{slot}", "recording_id": str(uuid.uuid4()), "port": door.getsockname()[1],
        "law": 0, "policy": "exact", "announced": sender.getsockname(), "held": False,
        "requested_at_ns": time.time_ns(), "call_id": None, "node_id": None, "labels": {}, "direction": "both",
        "layout": "mono",
    }  # fmt: skip
    return Line(sender, door, link.Open(**{**given, **more}))


class Office:
    """One worker's life, and what it said."""

    def __init__(self, directory: Path, memory: int, files: Files | None = None, **more: Any) -> None:
        self.directory, self.files = directory, files or Files(directory)
        self.configure = configure(directory, **more)
        self.said: list[link.ToControl] = []
        self.memory = Memory(memory, self.configure.taps, self.configure.window)
        self.worker = Worker(self.configure, self.memory, self.files, self.said.append)
        self.worker.errands._again_s = self.worker.closing._grace_s = 0.0
        self.fatal: list[BaseException] = []
        """What would have ended the process."""
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: self.fatal.append(context.get("exception") or RuntimeError(context["message"]))
        )
        self.durable = 0
        real = self.worker.keeping.durable

        def durable(marks: Any) -> None:
            real(marks)
            self.durable += 1

        self.worker.keeping.durable = durable  # type: ignore[method-assign]

    @property
    def state(self) -> Any:
        return self.memory.state

    def tap(self, which: Line | int) -> Any:
        """Its committed record."""
        return self.state.live.taps[which if isinstance(which, int) else which.slot]

    def heard(self, kind: type[Message]) -> list[Message]:
        """All messages of one kind, so far."""
        return [message for message in self.said if isinstance(message, kind)]

    def take(self, message: link.ToWorker, *descriptors: int) -> None:
        """As it comes over the link: descriptors are duplicates, ours from then on."""
        self.worker.desk.take(message, tuple(os.dup(number) for number in descriptors))

    async def open(self, *lines: Line) -> None:
        """Open these taps; durable when this returns."""
        for each in lines:
            self.take(each.order, each.door.fileno())
        ids = {each.id for each in lines}
        await until(lambda: ids <= {message.recording_id for message in self.heard(link.Opened)})

    def slices(self, now_ns: int | None = None) -> None:
        """One whole tick."""
        for group in range(GROUPS):
            self.worker.slice(group, now_ns or time.monotonic_ns())

    def hear(self) -> None:
        """Read all that was sent, however much it was, as if it had taken its time to come (rule A10)."""
        rows = self.state.now.rows
        rows["anchor_ns"] -= 10_000_000_000
        self.state.touch("rows", np.arange(rows.size))
        self.state.commit()
        intake = self.worker.intake
        while intake.read(intake.everyone(), time.monotonic_ns(), every=True):
            pass
        self.worker.shelf.write_logs()

    def drain(self, now_ns: int | None = None) -> None:
        """Hand on what is ripe of all taps."""
        self.worker.keeping.drain(self.worker.intake.everyone(), now_ns or time.monotonic_ns() + 3_000_000_000)

    async def commit(self) -> None:
        """Drain everything and have it made durable (or refused)."""
        self.drain()
        await self.sync()

    async def sync(self) -> None:
        """One commit, answered."""
        self.worker.keeping._request()
        await until(lambda: not self.worker.commit.underway)
        await asyncio.sleep(0)  # what its thread left for the loop
        await asyncio.sleep(0)

    async def close(self, which: Line, ending: str = "stopped") -> Any:
        """Close a tap; what its ``Finished`` says."""
        self.take(link.Close(which.slot, which.id, ending, None))
        return await self.finished(which)

    async def finished(self, which: Line) -> Any:
        """What ``Finished`` says of this recording: a sidecar."""

        def said() -> list[link.Finished]:
            return [message for message in self.heard(link.Finished) if message.recording_id == which.id]

        await until(said)
        return sidecar.decode(said()[-1].sidecar)

    async def forget(self, which: Line) -> None:
        """As control does when it has booked it."""
        self.take(link.Forget(which.slot, which.id))
        await self.worker.errands.idle(BOUND_S)

    def sound(self, which: Line) -> NDArray[np.int16]:
        """What lies in ready/ of a tap, all files in a row."""
        told = self.told(which)
        files = [told["file"]] if told["file"] else [part["file"] for part in told["parts"]]
        return np.concatenate([read_wav(self.directory / "ready" / name)[:, 0] for name in files])

    def told(self, which: Line) -> dict[str, Any]:
        """Its sidecar as a job reads it."""
        [found] = (self.directory / "ready").rglob(f"*{which.id}.json")
        return read_json(found)

    def spooled(self) -> list[str]:
        """What lies in spool of recordings."""
        there = (path.name for path in (self.directory / "spool").iterdir())
        return sorted(name for name in there if not is_of_a_worker(f"spool/{name}"))

    async def leave(self) -> None:
        """Let the threads go; what the memory and the disk hold stays."""
        self.worker.ears.stop()
        await self.worker.errands.idle(BOUND_S)
        await self.worker.decoding.close()
        await asyncio.to_thread(self.worker.commit.close)
        self.worker.shelf.writer.close()
        for slot in self.worker.intake.everyone().tolist():
            self.worker.intake.release(slot)
        for shelved in self.worker.shelf.taps.values():
            shelved.close()
        self.files.close()


@asynccontextmanager
async def office(directory: Path, memory: int, files: Files | None = None, **more: Any) -> AsyncIterator[Office]:
    """A worker that has done its recovery."""
    one = Office(directory, memory, files, **more)
    one.worker.recover()
    try:
        yield one
    finally:
        await one.leave()
    assert not one.fatal, one.fatal
