"""Where the channels of a recording are cut at the same moment, so that a next segment begins for all of them (C7).

Each channel's row has positions of its own. A position's moment is when it would arrive if the network delayed it as
little as anything of late: the lower envelope of its transit says so, and follows the drift of the sender's clock.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import FAR, NS_PER_SAMPLE
from receiver.media.state import State
from receiver.media.timeline import Timeline

SETTLED_NS = 2_000_000_000  # of silence: nothing that was overtaken is under way any more


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
        playout: NDArray[np.int64] = now.rows["playout"][now.taps["row"][heard]]
        if not all(self.settled(tap, upto, now_ns) for tap, upto in zip(heard, playout.tolist(), strict=True)):
            return None
        moments = {tap: upto + self._transit(tap) for tap, upto in zip(heard, playout.tolist(), strict=True)}
        moment = max(moments.values())
        frames = {tap: self._frame(tap, moment - self._transit(tap)) for tap in heard}
        return [frames.get(tap, 0) for tap in taps]

    def _frame(self, tap: int, position: int) -> int:
        return self._timeline.frame(int(self._state.now.taps["row"][tap]), position)

    def _transit(self, tap: int) -> int:
        """Samples from a position of a tap's row to its arrival, the least of late."""
        now = self._state.now
        stream, row = int(now.taps["stream"][tap]), now.rows[int(now.taps["row"][tap])]
        least = int(now.streams["envelope"][stream].min()) if stream >= 0 else int(row["transit"])
        return least if least != FAR else int(row["anchor_ns"]) // NS_PER_SAMPLE - self._horizon
