"""The only policy about waiting: how far a row may be handed on, and how much of it is free again.

A row is ripe up to ``edge − horizon``; if nothing arrived for a horizon, up to ``edge``. What may still turn out to lie
behind a pause of the sender's clock (rule A17) waits until that is decided. Nobody listens, so waiting costs only room.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media.block import Block
from receiver.media.columns import CLOCK_RATE, LONGEST_PACKET, NS_PER_SAMPLE, TapState
from receiver.media.packets import Parcel
from receiver.media.state import Columns, State
from receiver.media.timeline import Timeline

Ints = NDArray[np.int64]
MOST_PACKETS = 64  # of one tap in one tick
USUAL_PACKETS = 24  # more than a tap sends in the longest tick
RESERVE = 2 * CLOCK_RATE  # ring room that one packet may ask for beyond what is queued: a splice's margins (rule A7)


class Cut(NamedTuple):
    """What one drain cuts off one row: blocks for the writer, and where ``written`` stands after them."""

    tap: int
    row: int
    blocks: list[Block]
    upto: int
    parcel: Parcel | None = None
    """Of a row of packets, instead of blocks."""


class Drain:
    """Cuts ripe blocks, gives room back, and says which sockets may be read."""

    def __init__(self, state: State, timeline: Timeline, horizon: int) -> None:
        self._state, self._timeline, self.horizon = state, timeline, horizon
        self._patience = timeline.packets.patience(horizon)
        self._preroll = timeline.packets.preroll

    def ripe(self, taps: Ints, known_ns: int | Ints, ending: bool = False) -> tuple[Ints, Ints, Ints]:
        """Taps with something to hand on, their rows, and up to which position; at the ``ending`` all of it.

        ``known_ns``: up to which monotonic instant all that came was read, of every tap or of each.
        """
        now = self._state.now
        taps = taps[(now.taps["first_ns"][taps] > 0) & (now.taps["row"][taps] >= 0)]
        row, stream = now.taps["row"][taps].astype(np.int64), now.taps["stream"][taps]
        heard_ns = now.taps["heard_ns"][taps]
        further = self._further(now, taps)
        if further.size:  # rule A12: rare
            also = now.rows["stream"][further]
            taps, row = np.concatenate((taps, now.rows["tap"][further])), np.concatenate((row, further))
            stream, heard_ns = np.concatenate((stream, also)), np.concatenate((heard_ns, now.streams["heard_ns"][also]))
        edge = now.rows["edge"][row]
        if ending:
            upto = edge.copy()
        else:
            wait: Ints | int = self.horizon
            unread: NDArray[np.bool_] | np.bool_ = np.False_
            if now.world["opus"][0]:
                packed = now.rows["packed"][row] > 0
                wait = np.where(packed, self._patience, self.horizon)
                # Where a full ring kept us from reading, nobody knows whether something came
                full = edge + RESERVE >= now.rows["freed"][row] + self._state.shape.window
                unread = packed & full
            silent_ns = np.broadcast_to(known_ns, now.taps.size)[taps] - heard_ns
            still = (silent_ns > wait * NS_PER_SAMPLE) & ~unread
            upto = np.where(still, edge, edge - wait)
            waits = (stream >= 0) & (now.streams["run_packets"][stream] > 0)
            upto[waits] = np.minimum(upto[waits], now.streams["run_position"][stream[waits]])
        more = upto > now.rows["playout"][row]
        return taps[more], row[more], upto[more]

    def hand_on(self, taps: Ints, known_ns: int | Ints, ending: bool = False) -> list[tuple[int, int, int, int]]:
        """Raise ``playout`` of all that is ripe, in this turn: (tap, row, from, to). Cut after the commit."""
        taps, rows, upto = self.ripe(taps, known_ns, ending)
        if not taps.size:
            return []
        playout = self._state.now.rows["playout"]
        self._state.touch("rows", rows)
        spans = list(zip(taps.tolist(), rows.tolist(), playout[rows].tolist(), upto.tolist(), strict=True))
        playout[rows] = upto
        return spans

    def rows(self, taps: Ints) -> Ints:
        """All rows of these taps that are handed on, of the committed turn."""
        live = self._state.live
        return np.concatenate((live.taps["row"][taps].astype(np.int64), self._further(live, taps)))

    @staticmethod
    def _further(columns: Columns, taps: Ints) -> Ints:
        """The rows of taps beside their own (rule A12)."""
        found = np.flatnonzero(columns.rows["further"])
        return found[np.isin(columns.rows["tap"][found], taps)] if found.size else found

    def cut(self, tap: int, row: int, start: int, stop: int) -> Cut:
        """The blocks of [start, stop); committed turns only."""
        if self._state.live.rows["packed"][row] and start < stop:
            return Cut(tap, row, [], stop, self._timeline.parcel(row, start, stop))
        return Cut(tap, row, list(self._timeline.blocks(row, start, stop)), stop)

    def unwritten(self) -> list[Cut]:
        """Rule K5: what was handed on and never reached its part, of every tap, absence with it.

        A cut without blocks: all of it lies there, and no commit has said so yet. Somebody must name that file once
        more: a ring that nobody gives back has no room for what would be written next.
        """
        live = self._state.live
        heard = (live.taps["first_ns"] > 0) & (live.taps["row"] >= 0)
        taps = np.flatnonzero(heard & (live.taps["state"] != TapState.FREE))
        rows, further = live.taps["row"][taps].astype(np.int64), self._further(live, taps)
        taps, rows = np.concatenate((taps, live.rows["tap"][further])), np.concatenate((rows, further))
        written = self._state.written[rows]
        behind = (written < live.rows["playout"][rows]) | (self._state.committed[rows] < written)
        return [
            self.cut(tap, row, int(self._state.written[row]), int(live.rows["playout"][row]))
            for tap, row in zip(taps[behind].tolist(), rows[behind].tolist(), strict=True)
        ]

    def give_back(self, row: int, late: bool = False) -> None:
        """Clear what is committed; with ``late`` what is only written (rule K5), which a power cut may then lose.

        The room counts from the next commit of a turn on.
        """
        kept = self._preroll if self._state.live.rows["packed"][row] else 0
        committed = int(self._state.committed[row]) - kept
        upto = int(self._state.written[row]) - kept if late else committed
        if upto > self._state.cleared[row]:
            self._timeline.clear(row, upto)
            if upto > committed:
                self._state.now.world["given_back"] += 1

    def room(self, taps: Ints) -> Ints:
        """How many packets may be read from each tap's socket now: 0 leaves them to the kernel (design 3.2).

        So many that they fit whatever their length is; more, up to a usual tick's, if they are as long as those so far.
        """
        now = self._state.now
        row, stream = now.taps["row"][taps].astype(np.int64), now.taps["stream"][taps].astype(np.int64)
        free = np.maximum(now.rows["freed"][row] + self._state.shape.window - now.rows["edge"][row] - RESERVE, 0)
        further = self._further(now, taps)
        if further.size:  # rule A12: the fullest of a tap's rows counts
            at = np.searchsorted(taps, now.rows["tap"][further], sorter=np.argsort(taps))
            at = np.argsort(taps)[at]
            left = now.rows["freed"][further] + self._state.shape.window - now.rows["edge"][further] - RESERVE
            np.minimum.at(free, at, np.maximum(left, 0))
        longest = np.where(stream >= 0, np.maximum(now.streams["longest"][stream], CLOCK_RATE // 100), CLOCK_RATE // 50)
        most = np.maximum(free // LONGEST_PACKET, np.minimum(free // longest, USUAL_PACKETS))
        return np.where(now.taps["first_ns"][taps] > 0, np.minimum(most, MOST_PACKETS), MOST_PACKETS)
