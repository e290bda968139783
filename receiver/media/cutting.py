"""Where the channels of a recording are cut at the same moment, so that a next segment begins for all of them (C7).

Each channel's row has positions of its own, and its sender a clock of its own. A position's moment is when it would
arrive if the network delayed it as little as anything of late: the lower envelope of its transit says so. A channel
that lags behind the foremost is cut as much earlier, in steps of 10 ms (rule A15): so the channels are level where the
next segment begins, however long the one before was.
"""

from collections.abc import Sequence

from receiver.media.columns import CLOCK_RATE, ENVELOPE_SECONDS, FAR, NS_PER_SAMPLE
from receiver.media.state import State
from receiver.media.timeline import Timeline

SETTLED_NS = 2_000_000_000  # of silence: nothing that was overtaken is under way any more
STEP = CLOCK_RATE // 100
LEAST = ENVELOPE_SECONDS * CLOCK_RATE  # of a segment, for the envelope to be believed


class Cutting:
    """Reads the present turn; changes nothing."""

    def __init__(self, state: State, timeline: Timeline, horizon: int) -> None:
        self._state, self._timeline, self._horizon = state, timeline, horizon

    def settled(self, tap: int, upto: int, now_ns: int) -> bool:
        """Whether what overtook each other before ``upto`` has come: late beyond a published segment is lost.

        A tap that was silent for a horizon is handed on up to its edge. It may have been the network that was silent,
        or a worker that was dead, and late is not lost in a part that is open: a segment ends a horizon before the
        edge, or in silence that lasts.
        """
        now = self._state.now
        behind = int(now.rows["edge"][now.taps["row"][tap]]) - upto >= self._horizon
        return behind or now_ns - int(now.taps["heard_ns"][tap]) > SETTLED_NS

    def together(self, taps: Sequence[int], now_ns: int) -> list[int] | None:
        """A frame for each tap, all of one moment, none before what was handed on; None: not now.

        A tap that nothing came for yet has frame 0.
        """
        now = self._state.now
        heard = [tap for tap in taps if now.taps["first_ns"][tap] and now.rows["anchor_ns"][now.taps["row"][tap]]]
        playout = {tap: int(now.rows["playout"][now.taps["row"][tap]]) for tap in heard}
        if not all(self.settled(tap, upto, now_ns) for tap, upto in playout.items()):
            return None
        moment = max(upto + self._transit(tap) for tap, upto in playout.items())
        begins = self._begins(heard)
        reached = {tap: self._frame(tap, moment - self._transit(tap)) - begins[tap] for tap in heard}
        front = max(reached.values())
        lags = {tap: front - upto if front >= LEAST else 0 for tap, upto in reached.items()}
        cut = {tap: begins[tap] + front - (lag // STEP * STEP if lag >= 2 * STEP else 0) for tap, lag in lags.items()}
        return [cut.get(tap, 0) for tap in taps]

    def _begins(self, heard: Sequence[int]) -> dict[int, int]:
        """The frame of each tap at which the present segment began (`receiver.archive.axes` says the same): where it
        was cut, or, of one that had not been heard by then, as it came beside the others."""
        now = self._state.now
        anchors = {tap: int(now.rows["anchor_ns"][now.taps["row"][tap]]) for tap in heard}
        first_ns = min(anchors.values())
        offsets = {tap: round((at - first_ns) * CLOCK_RATE / 1_000_000_000) for tap, at in anchors.items()}
        cut = {tap: int(now.taps["segment_frame"][tap]) for tap in heard}
        began = max((cut[tap] + offsets[tap] for tap in heard if cut[tap]), default=0)
        return {tap: cut[tap] or began - offsets[tap] for tap in heard}

    def _frame(self, tap: int, position: int) -> int:
        return self._timeline.frame(int(self._state.now.taps["row"][tap]), position)

    def _transit(self, tap: int) -> int:
        """Samples from a position of a tap's row to its arrival, the least of late."""
        now = self._state.now
        stream, row = int(now.taps["stream"][tap]), now.rows[int(now.taps["row"][tap])]
        least = int(now.streams["envelope"][stream].min()) if stream >= 0 else int(row["transit"])
        return least if least != FAR else int(row["anchor_ns"]) // NS_PER_SAMPLE - self._horizon
