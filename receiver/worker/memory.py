"""The memory file, as a worker sees it: sized by the first worker, mapped by every one.

Control owns the file and never looks into it. What the kernel writes into is allocated here before the first receive
(rule K1), the space of a ring row when the row is handed out: a lack of memory refuses a tap, it never kills a worker.
"""

import mmap
import os

from receiver.media.state import Shape, State
from receiver.net.slab import slab_octets

SLAB_ROWS = 4_096


class Memory:
    """One mapping of the file behind ``descriptor``. Raises OSError, or LayoutError for another version's memory."""

    def __init__(self, descriptor: int, taps: int, window: int) -> None:
        self._descriptor = descriptor
        shape = Shape.of(taps, window, slab_octets(SLAB_ROWS))
        octets, before_ring = State.needed(shape)
        self.fresh = os.fstat(descriptor).st_size == 0
        if self.fresh:
            os.ftruncate(descriptor, octets)
        os.posix_fallocate(descriptor, 0, before_ring)
        self._map = mmap.mmap(descriptor, min(octets, os.fstat(descriptor).st_size))
        self.state = State(self._map, shape)
        for row in range(shape.taps, shape.rows):  # spare ones: probation cannot wait for memory
            self.allocate(row)

    def allocate(self, row: int) -> None:
        """Have the memory of a ring row, now; OSError (ENOSPC) where there is none."""
        if not self.state.allocated[row]:
            os.posix_fallocate(self._descriptor, *self.state.ring_extent(row))
            self.state.allocated[row] = 1
