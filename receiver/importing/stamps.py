"""The stamps of a capture as a clock that only goes forward, as the pipeline wants it (rule A18)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
SECOND_NS: Final = 1_000_000_000
BEGIN_NS: Final = 1_000 * SECOND_NS  # anything but 0, which means "never" in the columns
SLIP_NS: Final = SECOND_NS
"""Frames of several interfaces, or of several queues of one card, may lie in a capture a little out of order."""


class Stamps:
    """Wall stamps to monotonic arrival times, in order of the file.

    A stamp before the one before it counts as the same time if it is at most a second back, else as a clock that was
    set: time goes on from where it stood. A pause longer than ``longest_ns`` is cut down to it: behind it every stream
    is over, and what a damaged stamp says must not become silence of a century on the disk.
    """

    def __init__(self, longest_ns: int) -> None:
        self._longest_ns = longest_ns
        self._before_ns: int | None = None
        self._at_ns = self.now_ns = BEGIN_NS
        self.steps = 0
        """How often the clock was set back or jumped."""

    @property
    def offset_ns(self) -> int:
        """How far the capture's wall clock is ahead of ours, now."""
        return 0 if self._before_ns is None else self._before_ns - self._at_ns

    def arrivals(self, stamp_ns: Ints) -> Ints:
        """Arrival times of the next frames; never falling."""
        if not stamp_ns.size:
            return stamp_ns.copy()
        before_ns = int(stamp_ns[0]) if self._before_ns is None else self._before_ns
        passed = np.diff(stamp_ns, prepend=before_ns)
        self.steps += int(((passed < -SLIP_NS) | (passed > self._longest_ns)).sum())
        passed[passed < -SLIP_NS] = 0
        at_ns = self._at_ns + np.cumsum(np.minimum(passed, self._longest_ns))
        arrival_ns: Ints = np.maximum.accumulate(np.maximum(at_ns, self.now_ns))
        self._before_ns, self._at_ns, self.now_ns = int(stamp_ns[-1]), int(at_ns[-1]), int(arrival_ns[-1])
        return arrival_ns
