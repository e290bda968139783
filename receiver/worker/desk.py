"""Who answers the link: taps are opened, answered, told another source, closed and forgotten. Every message may come twice."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Final

from msgspec import UNSET, UnsetType

from receiver import __version__, link
from receiver.archive import part, sidecar
from receiver.archive import finish as finishing
from receiver.archive.files import Files
from receiver.archive.sidecar import Channel, Draft, Ending, Problem
from receiver.media.columns import Policy, TapState
from receiver.media.sources import NOWHERE, News, Source, Sources
from receiver.media.state import State
from receiver.media.taps import Taps, Wanted
from receiver.worker.closing import Closing
from receiver.worker.filters import Filters
from receiver.worker.intake import Intake
from receiver.worker.memory import Memory
from receiver.worker.shelf import Shelf
from receiver.worker.story import CODECS

TOGETHER_S: Final = 0.02  # rule C1: starts within 20 ms share one sync
POLICIES: Final = {policy.name.lower().replace("_", "-"): policy for policy in Policy}


class Desk:
    """Turns control's messages into turns of the media path, and tells control how they ended."""

    def __init__(
        self, configure: link.Configure, memory: Memory, taps: Taps, sources: Sources, intake: Intake, shelf: Shelf,
        closing: Closing, filters: Filters, files: Files, say: Callable[[link.ToControl], None],
    ) -> None:  # fmt: skip
        self._configure, self._memory, self._taps, self._sources = configure, memory, taps, sources
        self._state: State = memory.state
        self._intake, self._shelf, self._closing, self._filters = intake, shelf, closing, filters
        self._files, self._say = files, say
        self._drafts: dict[int, Draft] = {}
        self._starting: list[tuple[link.Open, int]] = []
        self._tasks: dict[tuple[int, str], asyncio.Task[None]] = {}

    def take(self, message: link.ToWorker, descriptors: tuple[int, ...]) -> None:
        """One message of control, with the descriptors that came with it."""
        match message:
            case link.Open():
                self._open(message, descriptors[0])
            case link.Answer() if self._holds(message) == TapState.HELD:
                announced = Source.of(*message.announced) if message.announced else None
                self._taps.answer(message.slot, announced, time.monotonic_ns())
                self._state.commit()
            case link.Source() if self._holds(message):
                announced = Source.of(*message.announced) if message.announced else NOWHERE
                self._sources.retarget(message.slot, POLICIES[message.policy], announced)
                self._state.commit()
            case link.Close():
                self._close(message)
            case link.Forget():
                self._forget(message)

    def draft(self, slot: int) -> Draft:
        """What was asked for."""
        return self._drafts[slot]

    def happened(self, news: list[News]) -> None:
        """What media decided, for events and the log."""
        for tap, event, source in news:
            recording = self._state.live.taps["recording"][tap].decode()
            where: dict[str, str | int | float | bool | None] = {"source": str(source.address), "port": source.port}
            self._say(link.Happened(tap, recording, event, time.time_ns(), where))

    async def finish_all(self) -> None:
        """Wait for the recordings that are on their way to ready/."""
        await asyncio.gather(*self._tasks.values())

    def _holds(self, message: link.Open | link.Answer | link.Source | link.Close | link.Forget) -> TapState:
        return self._taps.holds(message.slot, message.recording_id)

    # -- opening

    def _open(self, wanted: link.Open, descriptor: int) -> None:
        self._drafts[wanted.slot] = self._make_draft(wanted)
        if self._holds(wanted):  # after a death: the columns know it, the socket is all that was missing
            self._begin_reading(wanted, descriptor)
            return
        if not self._starting:
            asyncio.get_running_loop().call_later(TOGETHER_S, lambda: asyncio.ensure_future(self._start()))
        self._starting.append((wanted, descriptor))

    async def _start(self) -> None:
        """Rule C1: drafts and parts of all that came together, one sync, and only then the columns."""
        starting, self._starting = self._starting, []
        drafts = [(self._drafts[wanted.slot], 1) for wanted, _ in starting]
        begun = await asyncio.get_running_loop().run_in_executor(None, part.begin, self._files, drafts)
        for (wanted, descriptor), parts in zip(starting, begun, strict=True):
            if isinstance(parts, OSError):
                self._refuse(wanted, descriptor, "storage", parts)
                continue
            row = self._taps.free_row()
            try:
                self._memory.allocate(row)
            except OSError as error:
                parts[0].close()
                self._refuse(wanted, descriptor, "memory", error)
                continue
            self._shelf.add(wanted.slot, parts[0])
            self._taps.open(wanted.slot, self._wanted(wanted), row, time.monotonic_ns())
            self._state.commit()
            self._begin_reading(wanted, descriptor)

    def _begin_reading(self, wanted: link.Open, descriptor: int) -> None:
        self._intake.attach(wanted.slot, descriptor)
        self._filters.admit_networks(wanted.slot)
        self._say(link.Opened(wanted.slot, wanted.recording_id))

    def _refuse(self, wanted: link.Open, descriptor: int, code: str, error: OSError) -> None:
        os.close(descriptor)
        del self._drafts[wanted.slot]
        hint = "look at free space and permissions of the storage folder" if code == "storage" else "lower max_taps"
        self._say(link.Refused(wanted.slot, wanted.recording_id, code, str(error), hint))

    @staticmethod
    def _wanted(wanted: link.Open) -> Wanted:
        announced = Source.of(*wanted.announced) if wanted.announced else NOWHERE
        return Wanted(wanted.recording_id, wanted.port, POLICIES[wanted.policy], announced, wanted.held)

    def _make_draft(self, wanted: link.Open) -> Draft:
        announced: str | UnsetType = UNSET
        if wanted.announced:
            address, port = wanted.announced
            announced = f"{address}:{port}" if port else address
        channel = Channel(
            party=wanted.direction, tap_id=wanted.tap_id, codec=CODECS[wanted.law],
            source=sidecar.Source(announced=announced),
        )  # fmt: skip
        return Draft(
            recording_id=wanted.recording_id, tap_id=wanted.tap_id, call_id=wanted.call_id or UNSET,
            node_id=wanted.node_id or UNSET, labels=wanted.labels, direction=wanted.direction, layout=wanted.layout,
            requested_at=sidecar.moment(wanted.requested_at_ns), name=self._configure.name,
            encoding=self._configure.encoding, software=f"tapdeck {__version__}", host=socket.gethostname(),
            channels=(channel,),
        )  # fmt: skip

    # -- ending

    def _close(self, message: link.Close) -> None:
        key = message.slot, message.recording_id
        if key not in self._tasks and self._holds(message):
            self._tasks[key] = asyncio.ensure_future(self._finish(message))

    async def _finish(self, message: link.Close) -> None:
        problem = Problem(**message.problem) if message.problem else None
        done = await self._closing.close(message.slot, self._drafts[message.slot], Ending(message.ending), problem)
        self._say(link.Finished(message.slot, message.recording_id, sidecar.encode(done)))

    def _forget(self, message: link.Forget) -> None:
        self._tasks.pop((message.slot, message.recording_id), None)
        self._drafts.pop(message.slot, None)
        if self._holds(message):
            self._taps.forget(message.slot)
            self._state.commit()
            finishing.forget(self._files, message.recording_id)
        self._filters.forget(message.slot)
        descriptor = self._intake.release(message.slot)
        if descriptor is not None:
            os.close(descriptor)
