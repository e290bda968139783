"""What drain cuts off a tap of Opus goes to the decoder, and comes back as blocks for its part (design, section 3).

``written`` rises behind the samples, so what is with the decoder is in the ring as well, and what holds for a worker
that dies (rules K) holds for a decoder: the next one is told again all that has not come back, from there on where the
samples are in the part. It does not remember what the one before did; so it hears 800 ms of packets first that stayed
in the ring for it, and 80 ms from there on are noted as what may differ.
"""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from receiver.archive.gaps import Stretch
from receiver.archive.sidecar import Reason
from receiver.decoder import Decode, Decoded, Drop, worker_end
from receiver.media.block import ABSENT, Block
from receiver.media.columns import NoteKind
from receiver.media.drain import Cut
from receiver.media.journal import Journal
from receiver.media.packets import DIFFERS, Parcel
from receiver.media.state import State
from receiver.media.taps import Damage, Taps
from receiver.media.timeline import Timeline
from receiver.socketpair import Link, LinkBroken, pair
from receiver.wire.opus import TICKS
from receiver.worker.shelf import Shelf, Shelved

COMMAND: Final = (sys.executable, "-m", "receiver", "decoder")
BACK_OFF_S: Final = (0.0, 0.1, 0.5, 2.0)  # the last one from then on
DEATHS: Final = 3  # over one order: it is given up, as a slab is that workers died on (rule K7)
log = structlog.get_logger("worker")


@dataclass
class _Order:
    """A parcel on its way. ``deaths``: how many decoders were at it when they died."""

    number: int
    cut: Cut
    parcel: Parcel
    shelved: Shelved
    deaths: int = 0


class Decoding:
    """One decoder process at a time, started when the first parcel comes; parcels come back in their order.

    ``back`` is called when the first parcel has come back from a decoder that was started.
    """

    def __init__(
        self, state: State, timeline: Timeline, journal: Journal, taps: Taps, shelf: Shelf,
        back: Callable[[], None] = lambda: None, command: Sequence[str] = COMMAND,
        back_off_s: Sequence[float] = BACK_OFF_S,
    ) -> None:  # fmt: skip
        self._state, self._timeline, self._journal, self._taps, self._shelf = state, timeline, journal, taps, shelf
        self._command, self._back_off_s, self._back = command, back_off_s, back
        self._fresh = True  # the present decoder has not answered yet
        self._orders: deque[_Order] = deque()
        self._count = 0
        self._end: Link[Decode | Drop, Decoded] | None = None
        self._knows: dict[int, Shelved] = {}  # whose stream the present decoder has, by row
        self._task: asyncio.Task[None] | None = None
        self._deaths = 0  # in a row, without an answer between
        self._leaving = False
        self._waiting: deque[tuple[int, asyncio.Event]] = deque()  # for all orders up to this one
        self.pid: int | None = None
        """Of the process, while there is one."""

    def feed(self, cut: Cut, shelved: Shelved) -> None:
        """Have a parcel decoded and its blocks written."""
        assert cut.parcel is not None
        self._count += 1
        order = _Order(self._count, cut, cut.parcel, shelved)
        self._orders.append(order)
        if self._end is not None:
            self._tell(self._end, order)
        elif self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep())
            self._task.add_done_callback(self._kept)

    async def settled(self) -> None:
        """Wait until all that is with the decoder now has come back."""
        if self._orders:
            behind = asyncio.Event()
            self._waiting.append((self._count, behind))
            await behind.wait()

    def has(self, slot: int) -> bool:
        """Whether something of this tap is with the decoder."""
        return any(order.cut.tap == slot for order in self._orders)

    def forget(self, shelved: Shelved) -> None:
        """A tap is over."""
        for row in [row for row, known in self._knows.items() if known is shelved]:
            del self._knows[row]
            if self._end is not None:
                self._end.send(Drop(row))

    async def close(self) -> None:
        """Hang up, and wait for the process: it ends by that."""
        self._leaving = True
        if self._end is not None:
            self._end.close()
        elif self._task is not None:
            self._task.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])

    # -- the process

    async def _keep(self) -> None:
        """One process after the other, as long as there is work for one."""
        while self._orders:
            await asyncio.sleep(self._back_off_s[min(self._deaths, len(self._back_off_s) - 1)])
            try:
                await self._live()
            except OSError as error:  # no memory, no process, no descriptor left
                log.error("decoder cannot be started", error=str(error))
            if self._leaving:
                return
            self._died()

    async def _live(self) -> None:
        ours, theirs = pair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, "--link", str(theirs.fileno()), stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), env=os.environ, process_group=0,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid, self._end, self._fresh = process.pid, worker_end(ours), True
        try:
            for order in self._orders:
                self._tell(self._end, order)
            if self._leaving:
                self._end.close()
            while (received := await self._end.receive()) is not None:
                self._take(received.message)
        except LinkBroken as error:
            log.error("decoder said nonsense", error=str(error))
        finally:
            self._end.close()
            self._end, self.pid = None, None
            self._knows.clear()
        if process.returncode is None and not self._leaving:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()

    def _kept(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "the keeper of the decoder failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    def _died(self) -> None:
        """Rule K7's like: who died over the same packets again and again is not told them for ever."""
        self._deaths += 1
        log.error("decoder died", in_hand=len(self._orders), deaths=self._deaths)
        if self._orders:
            self._orders[0].deaths += 1
        while self._orders and self._orders[0].deaths >= DEATHS:
            order = self._orders.popleft()
            self._give_up(order)
            if self._deaths > DEATHS and self._orders:  # it does not come up at all: nobody waits for ever
                self._orders[0].deaths = DEATHS
        self._settle()

    # -- parcels

    def _tell(self, end: Link[Decode | Drop, Decoded], order: _Order) -> None:
        row, parcel = order.cut.row, order.parcel
        before = None
        if self._knows.get(row) is not order.shelved:
            self._knows[row] = order.shelved
            before = self._anew(order)
        frames = [frame * TICKS for frame in parcel.frames]
        end.send(Decode(order.number, row, frames, parcel.packets, before))

    def _anew(self, order: _Order) -> list[bytes]:
        """What a decoder must hear that takes up a recording; noted, unless it begins here."""
        row, start = order.cut.row, order.parcel.start
        if start == 0 or self._shelf.taps.get(order.cut.tap) is not order.shelved:
            return []
        frame = self._timeline.frame(row, start)
        self._journal.note(order.cut.tap, NoteKind.DECODER, row, frame=frame, frames=DIFFERS)
        self._state.commit()
        low = max(int(self._state.cleared[row]), start - self._timeline.packets.preroll)
        return self._timeline.parcel(row, low, start).packets

    def _take(self, answer: Decoded) -> None:
        order = self._orders.popleft()
        if order.number != answer.number:
            raise LinkBroken(f"answer {answer.number} to order {order.number}")
        self._deaths = 0
        if answer.refused:
            log.error("packets could not be decoded", slot=order.cut.tap, packets=answer.refused)
        blocks = [
            Block(order.cut.row, frame, np.frombuffer(sound, "<i2"))
            for frame, sound in zip(answer.frames, answer.sound, strict=True)
        ]
        reached = blocks[-1].frame + blocks[-1].samples.size if blocks else 0
        self._write(order, blocks, max(reached, (order.parcel.upto - order.parcel.silent) * TICKS))
        if self._fresh:
            self._fresh = False
            self._back()
        self._settle()

    def _settle(self) -> None:
        """Tell those who wait for what has come back, or was given up."""
        first = self._orders[0].number if self._orders else self._count + 1
        while self._waiting and self._waiting[0][0] < first:
            self._waiting.popleft()[1].set()

    def _give_up(self, order: _Order) -> None:
        """Its place stays empty, and that is said."""
        begin = order.parcel.frames[0] if order.parcel.frames else order.parcel.upto
        frames = (order.parcel.upto - begin) * TICKS
        log.error("packets are given up", slot=order.cut.tap, packets=len(order.parcel.packets))
        if self._shelf.taps.get(order.cut.tap) is order.shelved:
            self._taps.blame(order.cut.tap, Damage.NOT_DECODED)
            channel = self._shelf.strand(order.cut.tap, order.cut.row).part.channel
            order.shelved.unwritten.append(Stretch(begin * TICKS, frames, channel, Reason.RESTART))
        self._write(order, [], begin * TICKS)

    def _write(self, order: _Order, blocks: list[Block], silent_from: int) -> None:
        """Blocks, then absence up to the cut's end, so that the part reaches there; unless the recording is over."""
        if self._shelf.taps.get(order.cut.tap) is not order.shelved:
            return
        silent = order.parcel.upto * TICKS - silent_from
        if silent > 0:
            blocks.append(Block(order.cut.row, silent_from, np.full(silent, ABSENT, np.int16)))
        self._shelf.write(Cut(order.cut.tap, order.cut.row, blocks, order.cut.upto))
