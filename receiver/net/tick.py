"""The tick: when which taps are read. It owns timing only; what a slice does is its owner's.

Every tap is asked once per period. The slots are split into five groups, one after the other, so that the loop is never
blocked for long. Under load the period stretches up to 200 ms: fewer calls, more datagrams in each (design, section 3).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

GROUPS: Final = 5
LONGEST_NS: Final = 200_000_000
"""As far as the period stretches."""
QUIET_NS: Final = 2_000_000_000
"""After so much silence a tap is quiet,"""
QUIET_EVERY_NS: Final = 500_000_000
"""and asked only so often."""

_BUSY, _IDLE = 0.7, 0.4
"""Shares of a round spent in slices, above which the period grows by a quarter, and below which it shrinks again."""
_GROWTH = 1.25


class Tick:
    """Calls ``slice(group, now_ns)`` for the groups 0 to 4 in turn, one every fifth of the period.

    ``tick_ns`` is the period without load. ``clock`` is the loop's clock in ns. If ``slice`` raises, the tick ends
    there and the loop's exception handler gets the exception: a worker that cannot read must not seem to.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tick_ns: int,
        slice: Callable[[int, int], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._loop = loop
        self._tick_ns = tick_ns
        self._slice = slice
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None
        self._group = 0
        self._planned_ns = 0
        self._round_began_ns = 0
        self._round_busy_ns = 0
        self._round_was_late = False
        self.period_ns = tick_ns
        """In which every group is read once, at present."""
        self.late = 0
        """Slices that began when the next one was due already."""
        self.moved_ns = 0
        """When the last slice ended; a watchdog looks at it."""

    def start(self) -> None:
        """Read the first group with the next turn of the loop."""
        self.stop()
        self._group = 0
        self._planned_ns = self.moved_ns = self._clock()
        self._begin_round(self._planned_ns)
        self._handle = self._loop.call_at(self._planned_ns / 1e9, self._run)

    def stop(self) -> None:
        """No slice after this; twice is once."""
        if self._handle:
            self._handle.cancel()
            self._handle = None

    def _run(self) -> None:
        began_ns = self._clock()
        if began_ns - self._planned_ns >= self.period_ns // GROUPS:
            # What was missed is not made up for: a group that is read late finds more in its sockets, nothing is lost.
            self.late += 1
            self._round_was_late = True
            self._planned_ns = began_ns
        self._slice(self._group, began_ns)
        self.moved_ns = self._clock()
        self._round_busy_ns += self.moved_ns - began_ns
        self._group = (self._group + 1) % GROUPS
        if self._group == 0:
            self._adapt()
        self._planned_ns += self.period_ns // GROUPS
        if self._handle:
            self._handle = self._loop.call_at(self._planned_ns / 1e9, self._run)

    def _adapt(self) -> None:
        """After each round: stretch the period while there is too little time, let it shrink when there is plenty."""
        busy = self._round_busy_ns / max(self.moved_ns - self._round_began_ns, 1)
        if busy > _BUSY or self._round_was_late:
            self.period_ns = min(int(self.period_ns * _GROWTH), max(LONGEST_NS, self._tick_ns))
        elif busy < _IDLE:
            self.period_ns = max(int(self.period_ns / _GROWTH), self._tick_ns)
        self._begin_round(self.moved_ns)

    def _begin_round(self, now_ns: int) -> None:
        self._round_began_ns, self._round_busy_ns, self._round_was_late = now_ns, 0, False


def due(now_ns: int, heard_ns: NDArray[np.int64], asked_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which taps to ask in this slice: one that was heard in the last 2 s always, a quiet one every 500 ms.

    ``heard_ns`` is when a packet last came, or when the tap was opened; ``asked_ns`` when it was last read. Monotonic.
    """
    return (now_ns - heard_ns < QUIET_NS) | (now_ns - asked_ns >= QUIET_EVERY_NS)
