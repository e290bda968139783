"""Rule C1: draft and part are durable before a tap may be asked for. Starts that come together share the sync."""

import asyncio
import os
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import structlog

from receiver import link
from receiver.archive import finish as finishing
from receiver.archive import part
from receiver.archive.files import Files
from receiver.archive.part import Part
from receiver.archive.sidecar import Draft, Ending, Outcome, Problem
from receiver.media.columns import TapState
from receiver.media.state import State
from receiver.media.taps import Taps, Wanted
from receiver.worker.errands import Errands
from receiver.worker.intake import clocks
from receiver.worker.memory import Memory
from receiver.worker.shelf import Shelf

TOGETHER_S: Final = 0.02
SPARE: Final = 64  # rows for candidates, and one more for every second tap: all senders may change at the same moment
HINTS: Final = {
    "storage": "look at free space and permissions of the storage folder",
    "memory": "lower [media].max_taps, or give the host more memory",
    "order": "this is a defect: please report it",
}
log = structlog.get_logger("worker")


class Side(NamedTuple):
    """One tap of a recording that was asked for. The descriptor is its socket."""

    order: link.Open
    wanted: Wanted
    descriptor: int


class Start(NamedTuple):
    """One recording that was asked for, with all its taps, by their channels."""

    draft: Draft
    sides: tuple[Side, ...]

    @property
    def recording_id(self) -> str:
        """Which one."""
        return self.draft.recording_id


class Starting:
    """Collects starts. ``opened(start)``: its files are durable, its columns made; else ``refused(message)`` for each
    tap."""

    def __init__(
        self, memory: Memory, taps: Taps, shelf: Shelf, errands: Errands, files: Files,
        opened: Callable[[Start], None], refused: Callable[[link.Refused], None],
    ) -> None:  # fmt: skip
        self._memory, self._taps, self._shelf, self._errands, self._files = memory, taps, shelf, errands, files
        self._state: State = memory.state
        self._opened, self._refused = opened, refused
        self._together: list[Start] = []
        self._under_way: dict[str, Start] = {}

    def knows(self, recording_id: str) -> bool:
        """Whether this one was asked for and is neither opened nor refused yet."""
        return recording_id in self._under_way

    def add(self, start: Start) -> None:
        """Begin soon, with all that come within 20 ms."""
        self._under_way[start.recording_id] = start
        self._together.append(start)
        if len(self._together) == 1:
            self._errands.start(self._begin())

    def refuse(self, order: link.Open, descriptor: int, code: str, error: Exception) -> None:
        """Say why a tap cannot be recorded, and let go of its socket."""
        os.close(descriptor)
        self._under_way.pop(order.recording_id, None)
        log.error("tap refused", recording=order.recording_id, code=code, error=str(error), hint=HINTS[code])
        self._refused(link.Refused(order.slot, order.recording_id, code, str(error), HINTS[code]))

    async def _begin(self) -> None:
        await asyncio.sleep(TOGETHER_S)
        starts, self._together = self._together, []
        begun = await asyncio.to_thread(part.begin, self._files, [(start.draft, len(start.sides)) for start in starts])
        for start, parts in zip(starts, begun, strict=True):
            if isinstance(parts, OSError):
                self._refuse(start, "storage", parts)
            else:
                self._open(start, parts)

    def _open(self, start: Start, parts: tuple[Part, ...]) -> None:
        rows: list[int] = []
        packed = any(side.wanted.opus > 0 for side in start.sides)
        try:
            for _ in start.sides:
                rows.append(self._row(rows, packed))
        except (OSError, MemoryError) as error:
            for part in parts:
                part.close()
            self._errands.start(self._account_for(start, error))
            return
        for side, part, row in zip(start.sides, parts, rows, strict=True):
            slot = side.order.slot
            tap = self._state.live.taps[slot]
            if tap["state"] != TapState.FREE:  # booked, else it were not given again; the worker before us was told
                stale = tap["recording"].decode()
                self._errands.start(self._errands.insist("forget", finishing.forget, self._files, stale))
            self._shelf.add(slot, part)
            self._taps.open(slot, side.wanted, row, clocks()[0])
        self._state.commit()
        self._memory.keep_spare(SPARE + int(np.count_nonzero(self._state.live.taps["state"])) // 2)
        if packed:
            self._memory.keep_spare_packed()
        del self._under_way[start.recording_id]
        self._opened(start)

    def _row(self, but: list[int], packed: bool) -> int:
        """One that is free, its memory taken. Raises ``MemoryError``, ``OSError``."""
        row = self._taps.free_row(but, packed=packed)
        if row < 0:
            raise MemoryError("every ring row is in use")
        self._memory.allocate(row, packed)
        return row

    def _refuse(self, start: Start, code: str, error: Exception) -> None:
        for side in start.sides:
            self.refuse(side.order, side.descriptor, code, error)

    async def _account_for(self, start: Start, error: Exception) -> None:
        """Promise P6: it was begun on the disk, so its outcome stands there, too; then it is refused."""
        problem = Problem("memory", f"There is too little memory for this tap: {error}.", HINTS["memory"])
        ending = Ending.REFUSED, Outcome.FAILED, problem, sum(clocks())
        await self._errands.insist("refuse", finishing.refuse, self._files, start.draft, *ending)
        self._refuse(start, "memory", error)
