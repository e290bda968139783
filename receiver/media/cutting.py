"""Where the channels of a recording are cut at the same moment, so that a next segment begins for all of them (C7).

Each channel's row has positions of its own, and its sender a clock of its own. A position's moment is when it would
arrive if the network delayed it as little as anything of late: the lower envelope of its transit says so. A channel
that lags behind the foremost is cut as much earlier, in steps of 10 ms (rule A15): so the channels are level where the
next segment begins, however long the one before was.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import CLOCK_RATE, ENVELOPE_SECONDS, FAR, NS_PER_SAMPLE
from receiver.media.state import State
from receiver.media.timeline import Timeline

Ints = NDArray[np.int64]
SETTLED_NS = 2_000_000_000  # of silence: nothing that was overtaken is under way any more
STEP = CLOCK_RATE // 100
LEAST = ENVELOPE_SECONDS * CLOCK_RATE  # of a segment, for the envelope to be believed


class Cutting:
    """Reads the present turn; changes nothing. ``known_ns``: of each tap, up to when all that came was read."""

    def __init__(self, state: State, timeline: Timeline, horizon: int) -> None:
        self._state, self._timeline, self._horizon = state, timeline, horizon

    def settled(self, row: int, upto: int, known_ns: Ints) -> bool:
        """Whether what overtook each other before ``upto`` has come: late beyond a published segment is lost.

        A row that was silent for a horizon is handed on up to its edge. It may have been the network that was silent,
        or a worker that was dead, and late is not lost in a part that is open: a segment ends a horizon before the
        edge, or in silence that lasts.
        """
        behind = int(self._state.now.rows["edge"][row]) - upto >= self._horizon
        return behind or int(known_ns[self._state.now.rows["tap"][row]]) - self._heard_ns(row) > SETTLED_NS

    def together(self, rows: Sequence[int], known_ns: Ints) -> list[int] | None:
        """A frame for each row, all of one moment, none before what was handed on; None: not now.

        One that nothing came for yet has frame 0.
        """
        now = self._state.now
        heard = [row for row in rows if now.taps["first_ns"][now.rows["tap"][row]] and now.rows["anchor_ns"][row]]
        playout = {row: int(now.rows["playout"][row]) for row in heard}
        if not all(self.settled(row, upto, known_ns) for row, upto in playout.items()):
            return None
        moment = max(upto + self._transit(row) for row, upto in playout.items())
        begins = self._begins(heard)
        reached = {row: self._timeline.frame(row, moment - self._transit(row)) - begins[row] for row in heard}
        front = max(reached.values())
        lags = {row: front - upto if front >= LEAST else 0 for row, upto in reached.items()}
        cut = {row: begins[row] + front - (lag // STEP * STEP if lag >= 2 * STEP else 0) for row, lag in lags.items()}
        return [cut.get(row, 0) for row in rows]

    def _begins(self, heard: Sequence[int]) -> dict[int, int]:
        """The frame of each row at which the present segment began (`receiver.archive.axes` says the same): where it
        was cut, or, of one that had not been heard by then, as it came beside the others."""
        now = self._state.now
        anchors = {row: int(now.rows["anchor_ns"][row]) for row in heard}
        first_ns = min(anchors.values())
        offsets = {row: round((at - first_ns) * CLOCK_RATE / 1_000_000_000) for row, at in anchors.items()}
        cut = {row: self._segment_frame(row) for row in heard}
        began = max((cut[row] + offsets[row] for row in heard if cut[row]), default=0)
        return {row: cut[row] or began - offsets[row] for row in heard}

    def _segment_frame(self, row: int) -> int:
        now = self._state.now
        beside = now.rows["further"][row]
        return int(now.rows["segment_frame"][row] if beside else now.taps["segment_frame"][now.rows["tap"][row]])

    def _stream(self, row: int) -> int:
        now = self._state.now
        return int(now.rows["stream"][row] if now.rows["further"][row] else now.taps["stream"][now.rows["tap"][row]])

    def _heard_ns(self, row: int) -> int:
        now, stream = self._state.now, self._stream(row)
        if now.rows["further"][row]:
            return int(now.streams["heard_ns"][stream])
        return int(now.taps["heard_ns"][now.rows["tap"][row]])

    def _transit(self, row: int) -> int:
        """Samples from a position of a row to its arrival, the least of late."""
        now, stream = self._state.now, self._stream(row)
        record = now.rows[row]
        least = int(now.streams["envelope"][stream].min()) if stream >= 0 else int(record["transit"])
        return least if least != FAR else int(record["anchor_ns"]) // NS_PER_SAMPLE - self._horizon
