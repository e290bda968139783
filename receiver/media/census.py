"""Who is where in the present turn: a tap's streams, free streams, spare rows.

Everything is read from the columns when a turn first asks, and forgotten with the turn, so that nothing lives only here
(rule K8): contiguous copies of three columns instead of a scan over the records for every new source.
"""

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import Role
from receiver.media.state import PACKED, SOUND, State

NOBODY = -1
MOST_LIVE = 4  # SSRCs of a tap that are alive at once (rule A12): each has a row


class Census:
    """Kept true within a turn by whoever lets streams come and go (`Joining`, `Sources`)."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._turn = -1
        self._tap_of: NDArray[np.int32] = np.empty(0, np.int32)
        self._free: list[int] = []
        self._spare: tuple[list[int], list[int]] = ([], [])  # of sound, of packets
        self._written: NDArray[np.bool_] = np.empty(0, np.bool_)

    def of(self, tap: int) -> list[int]:
        """The streams of a tap, in order of their numbers."""
        self._read()
        found: list[int] = np.flatnonzero(self._tap_of == tap).tolist()
        return found

    def further(self, tap: int) -> list[int]:
        """The rows of a tap that are channels beside its own (rule A12), in the order in which they came to be so."""
        rows = self._state.now.rows
        if not self._state.now.taps["further"][tap]:
            return []
        found = np.flatnonzero((rows["tap"] == tap) & (rows["further"] > 0)).tolist()
        return sorted(found, key=lambda row: int(rows["further"][row]))

    def enrol(self, tap: int) -> int:
        """A free stream, now the tap's; −1: none is left. What became free in this turn stays free until the next."""
        self._read()
        if not self._free:
            return NOBODY
        stream = self._free.pop()
        self._tap_of[stream] = tap
        return stream

    def leave(self, stream: int) -> None:
        """A stream is nobody's any more."""
        self._read()
        self._tap_of[stream] = NOBODY

    def spare_row(self, packed: bool = False) -> int:
        """A row that nobody has and nobody had when the turn began, its memory allocated; −1: none.

        ``packed``: one that has room for packets; without, one that has none is taken first.
        """
        self._read()
        taken = self._state.now.rows["tap"]
        for spare in self._spare[packed:]:
            while spare and taken[spare[-1]] >= 0:
                spare.pop()
            if spare:
                return spare[-1]
        return NOBODY

    def untouched(self, row: int) -> bool:
        """Whether no stream wrote into a row when the turn began, or does now."""
        self._read()
        return not self._written[row]

    def write(self, row: int) -> None:
        """A stream writes into this row from now on."""
        self._read()
        self._written[row] = True

    def _read(self) -> None:
        if self._turn == self._state.turn:
            return
        self._turn = self._state.turn
        now, live = self._state.now, self._state.live
        self._tap_of = np.where(now.streams["role"] != Role.FREE, now.streams["tap"], NOBODY).astype(np.int32)
        self._free = np.flatnonzero(self._tap_of < 0)[::-1].tolist()
        self._written = np.zeros(now.rows.size, np.bool_)
        for copy in (now, live):
            self._written[copy.streams["row"][copy.streams["role"] != Role.FREE]] = True
        idle = (now.rows["tap"] < 0) & (live.rows["tap"] < 0)
        allocated = [np.flatnonzero(idle & (self._state.allocated == kind))[::-1].tolist() for kind in (SOUND, PACKED)]
        self._spare = allocated[0], allocated[1]
