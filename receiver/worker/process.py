"""The worker put together, from the first message to the end of the link."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final, NoReturn

import numpy as np
import structlog

from receiver import link
from receiver.archive import sidecar
from receiver.archive.commit import Commit
from receiver.archive.files import Files
from receiver.archive.repair import repair
from receiver.archive.reserve import ReservedFiles
from receiver.archive.sidecar import Problem
from receiver.archive.writer import Call, Mark, Write
from receiver.media.carry import Carry
from receiver.media.drain import Drain
from receiver.media.pipeline import Pipeline
from receiver.media.sources import News
from receiver.media.taps import Taps
from receiver.net.slab import open_slab
from receiver.net.tick import Tick
from receiver.wire import rtp
from receiver.worker import interludes, notebooks, orders
from receiver.worker.closing import Closing
from receiver.worker.decoding import Decoding
from receiver.worker.desk import Desk
from receiver.worker.ears import Ears
from receiver.worker.errands import Errands
from receiver.worker.filters import Filters
from receiver.worker.handover import Handover
from receiver.worker.housekeeping import Housekeeping
from receiver.worker.intake import Intake, Slots, clocks
from receiver.worker.keeping import Keeping
from receiver.worker.memory import SLAB_ROWS, Memory, choose
from receiver.worker.mishaps import Mishaps
from receiver.worker.pausing import Pausing
from receiver.worker.recovery import Recovery
from receiver.worker.reports import Reports
from receiver.worker.rolling import Rolling
from receiver.worker.shelf import Shelf
from receiver.worker.starting import Starting

REPORT_S: Final = 1.0
LAST_READS: Final = 8  # of 64 datagrams of each tap: what the kernel holds of 10 s
ERRANDS_S: Final = 1.0  # for recordings on their way to ready/; the next start brings there what is not (rule C5)
COMMIT_S: Final = 10.0
DECODE_S: Final = 1.0  # for what is with the decoder; the next worker has it decoded again
LOST: Final = "what was recorded of it before the restart is neither in memory nor in spool"
LOST_HINT: Final = "look into ready/, quarantine/ and the log of the start"
log = structlog.get_logger("worker")


class Worker:
    """One media worker. Everything that must survive it lies on the memory; the rest is made here anew."""

    def __init__(self, configure: link.Configure, memory: Memory, files: Files, say: Callable[[link.ToControl], None]):
        self._configure, self._memory, self._files, self._say = configure, memory, files, say
        self._loop = asyncio.get_running_loop()
        state = memory.state
        kinds = rtp.payload_kinds(configure.events_payload_type)
        pipeline = Pipeline(state, configure.horizon, kinds, configure.allow, configure.mask_dtmf, configure.rtcp)
        self._secured = pipeline.secured
        carry = Carry(state, pipeline.timeline, pipeline.joining)
        drain = Drain(state, pipeline.timeline, configure.horizon)
        slab = open_slab(state.slab, SLAB_ROWS)
        taps = Taps(state, pipeline.joining)
        self.errands = Errands()
        self.shelf = Shelf(state, pipeline.journal, files, self._failed)
        self.decoding = Decoding(
            state, pipeline.timeline, pipeline.journal, taps, self.shelf, lambda: self.keeping.soon()
        )
        self.shelf.decoding = self.decoding
        self.commit = Commit(
            files, self.shelf.writer, configure.index, configure.commit_interval_ns, self._committed,
            self._commit_failed, self._slow,
        )  # fmt: skip
        self.intake = Intake(state, pipeline, drain, slab, self._news)
        self.ears = Ears(state, pipeline.reporting, pipeline.secured)
        self.filters = Filters(state, self.intake, configure.allow)
        self.keeping = Keeping(
            state, pipeline, drain, taps, self.shelf, self.commit, configure.segment_frames, self._roll
        )
        self.mishaps = Mishaps(state, taps, self.shelf, self.keeping)
        self.rolling = Rolling(
            state, pipeline.timeline, self.shelf, self.errands, files, configure.horizon, self.intake.known_ns
        )
        self.closing = Closing(
            state, pipeline.timeline, self.intake, self.keeping, taps, self.shelf, self.rolling, self.errands, files,
            configure.horizon,
        )  # fmt: skip
        starting = Starting(
            memory, taps, self.shelf, self.errands, files, lambda start: self.desk.opened(start),
            lambda message: self.desk.refused(message),
        )  # fmt: skip
        self.desk = Desk(
            configure, state, taps, pipeline.sources, pipeline.secured, self.intake, self.filters, starting,
            Pausing(state, pipeline.pauses, say), self.rolling, self.closing, self.errands, files, say, self.ears,
        )  # fmt: skip
        self.tick = Tick(self._loop, configure.tick_ns, self.slice)
        self.reports = Reports(state, self.tick, self.shelf.writer, self.commit)
        self.recovery = Recovery(state, slab, self.intake, drain, taps, pipeline, self.shelf, files)
        self.handover = Handover(configure.index, memory, taps, carry, files, slab)

    def recover(self) -> None:
        """Rules D7 and K5; with a fresh memory there is nothing, and it is quick."""
        notebooks.bring_up(self._files)
        if self._configure.living is not None:
            self.desk.strangers = self.handover.take(self._configure.living)
        self._secured.look()
        for name, slot in self.handover.held().items():
            self._secured.trust(slot, orders.key(self._configure.keys.get(link.recording_of(name))))
        self.recovery.run(self._configure.index)
        if not self._memory.fresh:
            log.warning("worker took up what another left", **self.recovery.found)

    def start(self) -> None:
        """Begin to read, and to report."""
        self.tick.start()
        self.ears.start(self._loop)
        self._loop.call_later(REPORT_S, self._report)

    async def begin(self, ready: link.Ready) -> None:
        """Rule C5, if we are asked for it, beside the taps that go on: their sockets must be read meanwhile. Only then
        new ones may come, because what they put into spool must not be taken for leftovers."""
        if self._configure.repair:
            await self._repair()
        self._say(ready)

    async def _repair(self) -> None:
        living = {link.recording_of(name) for name in self.handover.held().keys() - self.desk.strangers.keys()}
        repaired = await self.errands.insist("repair", repair, self._files, living, interludes.described, _told)
        self._say(link.Repaired([sidecar.encode(document) for document in repaired]))
        found = {document.recording_id for document in repaired}
        for name, slot in self.desk.strangers.items():
            if link.recording_of(name) not in found:
                self._say(link.Refused(slot, link.recording_of(name), "lost", LOST, LOST_HINT))

    def slice(self, group: int, now_ns: int) -> None:
        """One fifth of the tick: hand on what is ripe of a group of taps, read it, see to room, sources and filters.

        In this order: what is handed on was read by an earlier slice, and control was heard since. So no sound that
        came behind the instant of a pause is on its way to the disk before the order is here.
        """
        slots = self.intake.members(group)
        self.shelf.write_logs()
        self.keeping.slice(group, slots, now_ns, self.intake.known_ns)
        self.intake.read(slots, now_ns)
        if self.intake.starved.size:
            self.keeping.hurry(self.intake.starved, now_ns, self.intake.known_ns)
        if group == 0:
            self.keeping.review(self.intake.known_ns, sum(clocks()))
            self.intake.tell()
        self.filters.review(slots, now_ns)

    async def end(self) -> bool:
        """Control is gone: drain and commit. The next start goes on with what is open (rule D7), if sockets and memory
        outlive control, and finishes it where they do not (rule C5).

        False: the disk did not answer in time, and what was received last may not be durable.
        """
        self.tick.stop()
        self.ears.stop()
        everyone = self.intake.everyone()
        if self._configure.kept:
            self.keeping.drain(everyone, self.intake.known_ns)
        else:
            self._conclude(everyone)
        await asyncio.wait([asyncio.ensure_future(self.shelf.decoded())], timeout=DECODE_S)
        await asyncio.wait([asyncio.ensure_future(self.decoding.close())], timeout=DECODE_S)
        durable = asyncio.ensure_future(asyncio.to_thread(self.commit.close))
        await asyncio.wait([durable], timeout=COMMIT_S)
        if not durable.done():
            log.error("the last commit did not return in time", seconds=COMMIT_S)
            return False
        await durable
        if self._configure.kept:
            await asyncio.to_thread(self.handover.leave, self.handover.pack())
        return True

    def _conclude(self, everyone: Slots) -> None:
        for _ in range(LAST_READS):
            if not self.intake.read(everyone, time.monotonic_ns(), every=True):
                break
            self.keeping.drain(everyone, self.intake.known_ns)
        now_ns, offset_ns = clocks()
        self.keeping.end(np.array(sorted(self.shelf.taps), np.int64), now_ns, now_ns + offset_ns)

    def _news(self, news: list[News]) -> None:
        self.desk.happened(news)

    def _roll(self, slots: list[int]) -> None:
        self.rolling.roll(slots, self.desk.draft(slots[0]))

    def _report(self) -> None:
        for report in self.reports.make():
            self._say(report)
        self._loop.call_later(REPORT_S, self._report)

    # -- called in other threads

    def _committed(self, marks: list[Mark], duration_ns: int) -> None:
        self._loop.call_soon_threadsafe(self.keeping.durable, marks)

    def _commit_failed(self, marks: list[Mark], error: OSError) -> None:
        self._loop.call_soon_threadsafe(self.mishaps.unsafe, marks, error, time.monotonic_ns())

    def _slow(self, duration_ns: int) -> None:
        log.warning("syncfs is slow, each file is synced by itself from now on", seconds=round(duration_ns / 1e9, 3))

    def _failed(self, item: Write | Call, error: Exception) -> None:
        if isinstance(item, Write):
            self._loop.call_soon_threadsafe(self.mishaps.unwritten, item, error, time.monotonic_ns())
        elif not self._loop.is_closed():
            context = {"message": "the writer", "exception": error}
            self._loop.call_soon_threadsafe(self._loop.call_exception_handler, context)


async def run(index: int, descriptor: int) -> None:
    """Live until the link ends. What makes a worker useless ends the process: it is started again."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_die)
    end = link.worker_end(descriptor)
    first = await end.receive()
    if first is None or not isinstance(first.message, link.Configure):
        return
    configure = first.message
    files = ReservedFiles(configure.path, configure.reserve_octets, _given_up)
    memory, which = choose(first.descriptors, configure.taps, configure.window)
    worker = Worker(configure, memory, files, end.send)
    worker.recover()
    end.send(link.Mapped(which))
    worker.start()
    chores = Housekeeping(files, worker.errands, configure.keep_ns).start()
    worker.errands.start(worker.begin(link.Ready(index, os.getpid(), memory.fresh)))
    try:
        while (received := await end.receive()) is not None:
            worker.desk.take(received.message, received.descriptors)
        for chore in chores:
            chore.cancel()
        durable = await worker.end()
        idle = durable and await worker.errands.idle(ERRANDS_S)
    except Exception as error:  # threads may hold the process: it would not end by itself
        _die(loop, {"message": "the link or an order", "exception": error})
    if not idle:
        os._exit(0 if durable else 1)


def _given_up() -> None:
    log.error("the disk is full, the reserve is given up", hint="make room: see [storage].reserve_mb")


def _told(name: str, problem: Problem) -> None:
    log.warning("spool", file=name, code=problem.code, message=problem.message, hint=problem.hint)


def _die(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> NoReturn:
    """What nobody caught ends the process: the memory is whole, and the next worker goes on (rule K5)."""
    log.critical("worker fails", error=str(context.get("message")), exc_info=context.get("exception"))
    os._exit(1)
