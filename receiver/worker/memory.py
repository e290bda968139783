"""The memory file, as a worker sees it: sized by the first worker, mapped by every one.

Control owns the file and never looks into it. What the kernel writes into is allocated here before the first receive
(rule K1), the space of a ring row when the row is handed out: a lack of memory refuses a tap, it never kills a worker.
"""

import mmap
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import structlog

from receiver.media.packets import DENSITY
from receiver.media.state import LAYOUT, MAGIC, PACKED, SOUND, LayoutError, Shape, State
from receiver.net.slab import slab_octets

SLAB_ROWS: Final = 4_096
SPARE_PACKED: Final = 4
_HEAD: Final = MAGIC + LAYOUT.to_bytes(8, sys.byteorder)  # how a memory begins that this version laid out
log = structlog.get_logger("worker")


def choose(descriptors: Sequence[int], taps: int, window: int) -> tuple["Memory", int]:
    """Map the first that can be, and say which. Raises what `Memory` raises where none can."""
    for number, descriptor in enumerate(descriptors):
        try:
            return Memory(descriptor, taps, window), number
        except LayoutError as error:
            if number == len(descriptors) - 1:
                raise
            log.warning("a memory is not understood", why=str(error), hint="another version, or other settings")
    raise ValueError("no memory to choose from")


class Memory:
    """One mapping of the file behind ``descriptor``.

    Raises OSError where even what all taps share has no space, and LayoutError for the memory of another version or of
    other settings, of which nothing is changed or mapped.
    """

    def __init__(self, descriptor: int, taps: int, window: int) -> None:
        self._descriptor = descriptor
        shape = Shape.of(taps, window, slab_octets(SLAB_ROWS))._replace(density=DENSITY)
        octets, before_ring = State.needed(shape)
        self._require(octets)
        os.ftruncate(descriptor, octets)
        os.posix_fallocate(descriptor, 0, before_ring)
        self._map = mmap.mmap(descriptor, octets)
        self.state = State(self._map, shape)
        self.fresh = self.state.fresh
        """Whether nobody had it before us, or only somebody who died before it was laid out."""
        self._allocate_spares(shape)

    def allocate(self, row: int, packed: bool = False) -> None:
        """Have the memory of a ring row, now, and that of its packets; OSError (ENOSPC) where there is none."""
        if not self.state.allocated[row]:
            os.posix_fallocate(self._descriptor, *self.state.ring_extent(row))
            self.state.allocated[row] = SOUND
        if packed and self.state.allocated[row] != PACKED:
            os.posix_fallocate(self._descriptor, *self.state.packed_extent(row))
            self.state.allocated[row] = PACKED

    def keep_spare(self, wanted: int) -> None:
        """Have so many idle rows allocated, as far as there are any and memory allows: probation cannot wait."""
        rows = self.state.live.rows["tap"] < 0, self.state.now.rows["tap"] < 0
        idle = rows[0] & rows[1]
        missing = wanted - int(np.count_nonzero(idle & (self.state.allocated != 0)))
        if missing > 0:
            self._allocate_all(np.flatnonzero(idle & (self.state.allocated == 0))[:missing].tolist())

    def keep_spare_packed(self) -> None:
        """The same for candidates at taps of Opus: one idle row for every eight of them, and a few."""
        live = self.state.live
        idle = (live.rows["tap"] < 0) & (self.state.now.rows["tap"] < 0)
        wanted = SPARE_PACKED + int(np.count_nonzero((live.taps["opus"] > 0) & (live.taps["state"] != 0))) // 8
        missing = wanted - int(np.count_nonzero(idle & (self.state.allocated == PACKED)))
        if missing > 0:
            # those for taps come from the front: these from the back
            rows = np.flatnonzero(idle & (self.state.allocated != PACKED))[::-1][:missing]
            self._allocate_all(rows.tolist(), packed=True)

    def _require(self, octets: int) -> None:
        """Look before anything is changed: an empty file, one not laid out yet, or one of ours of this size."""
        size, head = os.fstat(self._descriptor).st_size, os.pread(self._descriptor, len(_HEAD), 0)
        if any(head[: len(MAGIC)]) and head != _HEAD:
            raise LayoutError(f"the memory begins with {head!r}, not with {_HEAD!r}")
        if size not in (0, octets):
            raise LayoutError(f"the memory has {size} octets, these settings need {octets}")

    def _allocate_spares(self, shape: Shape) -> None:
        """Probation cannot wait for memory; where there is too little of it, fewer sources are tried at a time."""
        self._allocate_all(range(shape.taps, shape.rows))

    def _allocate_all(self, rows: Iterable[int], packed: bool = False) -> None:
        try:
            for row in rows:
                self.allocate(row, packed)
        except OSError as error:
            log.error("too little memory for all spare rows", error=str(error), hint="lower [media].max_taps")
