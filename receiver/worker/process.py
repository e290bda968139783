"""The worker put together, from the first message to the end of the link."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import structlog

from receiver import link
from receiver.archive import sidecar
from receiver.archive.commit import Commit
from receiver.archive.files import Files
from receiver.archive.repair import repair
from receiver.archive.writer import Mark
from receiver.media.columns import TapState
from receiver.media.drain import Drain
from receiver.media.pipeline import Pipeline
from receiver.media.sources import News
from receiver.media.taps import Taps
from receiver.net.slab import open_slab
from receiver.net.tick import GROUPS, Tick
from receiver.wire import rtp
from receiver.worker import story
from receiver.worker.closing import Closing
from receiver.worker.desk import Desk
from receiver.worker.filters import Filters
from receiver.worker.intake import Intake, clocks
from receiver.worker.keeping import Keeping
from receiver.worker.memory import SLAB_ROWS, Memory
from receiver.worker.recovery import Recovery
from receiver.worker.reports import Reports
from receiver.worker.shelf import Shelf

REPORT_S: Final = 1.0
log = structlog.get_logger("worker")


class Worker:
    """One media worker. Everything that must survive it lies on the memory; the rest is made here anew."""

    def __init__(self, configure: link.Configure, memory: Memory, files: Files, say: Callable[[link.ToControl], None]):
        self._configure, self._memory, self._files, self._say = configure, memory, files, say
        self._loop = asyncio.get_running_loop()
        state = self._state = memory.state
        kinds = rtp.payload_kinds(configure.events_payload_type)
        pipeline = Pipeline(state, configure.horizon, kinds, configure.allow)
        drain = Drain(state, pipeline.timeline, configure.horizon)
        slab = open_slab(state.slab, SLAB_ROWS)
        taps = Taps(state, pipeline.joining)
        self._shelf = Shelf(state, pipeline.journal, files, self._write_failed)
        self._commit = Commit(
            files, self._shelf.writer, configure.index, configure.commit_interval_ns, self._committed,
            self._commit_failed, self._slow,
        )  # fmt: skip
        self._intake = Intake(state, pipeline, drain, slab, self._news)
        self._keeping = Keeping(
            state, pipeline, drain, taps, self._shelf, self._commit, configure.segment_frames, self._roll
        )
        self._filters = Filters(state, self._intake, configure.allow)
        self._closing = Closing(
            state, pipeline.timeline, self._intake, self._keeping, taps, self._shelf, files, configure.horizon
        )
        self.desk = Desk(
            configure, memory, taps, pipeline.sources, self._intake, self._shelf, self._closing, self._filters, files, say
        )
        self._tick = Tick(self._loop, configure.tick_ns, self._slice)
        self._reports = Reports(state, self._tick, self._shelf.writer, self._commit)
        self._recovery = Recovery(state, slab, self._intake, drain, taps, self._shelf, files)

    def recover(self) -> None:
        """Rule K5; with a fresh memory there is nothing, and it is quick."""
        self._recovery.run(self._configure.index)
        if not self._memory.fresh:
            log.warning("worker took up what another left", **self._recovery.found)

    def start(self) -> None:
        """Begin to read, and to report."""
        self._tick.start()
        self._loop.call_later(REPORT_S, self._report)

    async def end(self) -> None:
        """Control is gone: drain, commit, leave. What is open is finished by the next start (rule C5)."""
        self._tick.stop()
        await self.desk.finish_all()
        taps = np.concatenate([self._intake.members(group) for group in range(GROUPS)])
        self._intake.read(taps, time.monotonic_ns(), every=True)
        self._keeping.drain(taps, time.monotonic_ns(), ending=True)
        await self._loop.run_in_executor(None, self._commit.close)
        self._shelf.writer.close()

    def _slice(self, group: int, now_ns: int) -> None:
        slots = self._intake.members(group)
        self._intake.read(slots, now_ns)
        self._shelf.write_logs()
        if self._intake.starved.size:
            self._keeping.hurry(self._intake.starved, now_ns)
        self._keeping.slice(group, slots, now_ns)
        if group == 0:
            now_ns, offset_ns = clocks()
            self._keeping.review(now_ns, now_ns + offset_ns)
            self._intake.tell()
        self._filters.review(now_ns)

    def _news(self, news: list[News]) -> None:
        self.desk.happened(news)
        for tap, event, source in news:
            if event in ("source_changed", "source_conflict"):
                recording = self._state.live.taps["recording"][tap].decode()
                log.warning(event, recording=recording, source=str(source.address), port=source.port)

    def _roll(self, slot: int) -> None:
        self._closing.roll(slot, self.desk.draft(slot))

    def _report(self) -> None:
        for report in self._reports.make():
            self._say(report)
        self._loop.call_later(REPORT_S, self._report)

    # -- called in other threads

    def _committed(self, marks: list[Mark], duration_ns: int) -> None:
        self._loop.call_soon_threadsafe(self._keeping.durable, marks)

    def _commit_failed(self, marks: list[Mark], error: OSError) -> None:
        names = {mark.file.name for mark in marks}
        log.error("commit failed", files=len(names), error=str(error), hint="these recordings will be degraded")
        self._loop.call_soon_threadsafe(self._shelf.suspect, names, str(error))

    def _slow(self, duration_ns: int) -> None:
        log.warning("syncfs is slow, each file is synced by itself from now on", seconds=round(duration_ns / 1e9, 3))

    def _write_failed(self, name: str, error: Exception) -> None:
        log.error("write failed", file=name, error=str(error), hint="its samples will be a gap")
        self._loop.call_soon_threadsafe(self._shelf.suspect, {name}, str(error))


async def run(index: int, descriptor: int) -> None:
    """Live until the link ends. Raises what makes a worker useless: it is started again."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_die)
    end = link.worker_end(descriptor)
    first = await end.receive()
    if first is None or not isinstance(first.message, link.Configure):
        return
    configure = first.message
    files = Files(configure.path)
    memory = Memory(first.descriptors[0], configure.taps, configure.window)
    worker = Worker(configure, memory, files, end.send)
    if configure.repair:
        taps = memory.state.live.taps
        living = {text.decode() for text in taps["recording"][taps["state"] != TapState.FREE]}
        repaired = await loop.run_in_executor(None, repair, files, living, story.described)
        end.send(link.Repaired([sidecar.encode(document) for document in repaired]))
    worker.recover()
    end.send(link.Ready(index, os.getpid(), memory.fresh))
    worker.start()
    while (received := await end.receive()) is not None:
        worker.desk.take(received.message, received.descriptors)
    await worker.end()


def _die(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What nobody caught ends the process: the memory is whole, and the next worker goes on (rule K5)."""
    log.critical("worker fails", error=str(context.get("message")), exc_info=context.get("exception"))
    os._exit(1)
