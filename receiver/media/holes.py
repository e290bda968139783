"""Rule A7: which absent frames nobody sent. A **hole** is time between two packets of speech that are neighbours.

Its sender was silent if every number between the two came and was no speech (comfort noise, events); else something
was lost in it. Packets come in any order, and the later neighbour may be there long before the earlier one, so the
last few holes of a stream stay in its columns: what comes into one parts it, and once all its numbers are there it is
noted. Holes that are never noted are loss. Neither samples nor positions depend on any of this.

A stream in plain order has its newest packet at ``highest_sequence`` and ``timestamp``; where comfort noise or events
came behind it, the newest speech is **held** in columns of its own, and the stream is read packet by packet.
"""

from typing import Any, NamedTuple

import numpy as np

from receiver.media.columns import CLOCK_RATE, FAR, HOLES, SEEN_WORDS, NoteKind, Role
from receiver.media.journal import Journal
from receiver.media.state import State
from receiver.media.timeline import Timeline

NOTES_A_SECOND = 10  # stretches that one tap may write in the long run: the log is everybody's
NOTES_AT_ONCE = 64
FARTHEST = 256  # numbers: where one comes later than so many others, nobody looks for its neighbours


class Newest(NamedTuple):
    """The newest speech of a stream: its number, the position behind it, its length."""

    sequence: int
    end: int
    step: int


class Holes:
    """Keeps the holes of one stream; changes the columns of the present turn."""

    def __init__(self, state: State, timeline: Timeline, journal: Journal) -> None:
        self._state, self._timeline, self._journal = state, timeline, journal

    def spoke(self, stream: int, sequence: int, begin: int, size: int, newest: Newest | None) -> None:
        """Fresh speech was counted and lies at [begin, begin + size).

        ``newest``: the newest speech so far, as ``newest`` told before this packet was counted.
        """
        record, aside = self._records(stream)
        end = begin + size
        if newest is None or sequence > newest.sequence:
            if newest is not None and begin > newest.end:
                self._put(record, aside, newest, sequence, begin, size)
            if sequence == record["statistics"]["highest_sequence"]:
                aside["held"] = 0
            else:
                self._hold(record, aside, sequence, end)
            self._watch(record, aside)
        else:
            self._reveal(record, aside, sequence, newest, (begin, size))
            self._part(aside, sequence, begin, end)
        self.settle(stream)

    def newest(self, stream: int) -> Newest | None:
        """The newest speech, None before any. To be asked before a packet is counted or placed."""
        record, aside = self._records(stream)
        step = int(record["step"])
        if aside["held"]:
            return Newest(int(aside["held_sequence"]), int(aside["held_end"]), step)
        if record["line_sequence"] == FAR:
            return None
        end = int(record["timestamp"]) + int(record["offset"]) + step
        return Newest(int(record["statistics"]["highest_sequence"]), end, step)

    def quiet(self, stream: int, sequence: int, newest: Newest | None) -> None:
        """A fresh packet that is no speech was counted."""
        record, aside = self._records(stream)
        if newest is not None and sequence > newest.sequence:
            if not aside["held"]:
                self._hold(record, aside, newest.sequence, newest.end)
                self._watch(record, aside)
            aside["held_solid"] = self._solid(record, int(aside["held_solid"]))
        elif newest is not None:
            self._reveal(record, aside, sequence, newest)
        self.settle(stream)

    def spoil(self, stream: int, sequence: int) -> None:
        """Speech came that found no place any more: what lies around it is no silence."""
        holes = self._state.now.streams_aside["holes"][stream]
        for hole in holes:
            if hole["low"] < sequence < hole["high"]:
                hole["noted"] = 1

    def settle(self, stream: int) -> None:
        """Note every hole whose numbers are all there. A candidate's wait until it is admitted."""
        record, aside = self._records(stream)
        if record["role"] == Role.PROBATION:
            return
        for hole in aside["holes"]:
            if hole["noted"] or hole["high"] == hole["low"]:
                continue
            hole["solid"] = self._solid(record, int(hole["solid"]), int(hole["high"]))
            if hole["solid"] + 1 >= hole["high"]:
                hole["noted"] = 1
                self._note(record, int(hole["begin"]), int(hole["end"]))

    def moved(self, stream: int, position: int) -> None:
        """A splice was put in at a position: holes behind it have other frames now, and are noted anew."""
        for hole in self._state.now.streams_aside["holes"][stream]:
            hole["noted"] &= bool(hole["end"] <= position) or hole["solid"] + 1 < hole["high"]
        self.settle(stream)

    @staticmethod
    def shift(aside: Any, delta: int) -> None:
        """From positions in one row to positions in another."""
        aside["held_end"] += delta
        aside["holes"]["begin"] += delta
        aside["holes"]["end"] += delta

    # -- inside

    def _records(self, stream: int) -> tuple[Any, Any]:
        return self._state.now.streams[stream], self._state.now.streams_aside[stream]

    def _hold(self, record: Any, aside: Any, sequence: int, end: int) -> None:
        solid = max(sequence, int(aside["held_solid"])) if aside["held"] else sequence
        aside["held"], aside["held_sequence"], aside["held_end"] = 1, sequence, end
        aside["held_solid"] = self._solid(record, solid)

    @staticmethod
    def _watch(record: Any, aside: Any) -> None:
        """Which packets of this stream must be read one by one: all while speech is held, else what may part a hole."""
        record["watch"] = FAR if aside["held"] else aside["holes"][0]["high"]

    def _put(self, record: Any, aside: Any, newest: Newest, high: int, end: int, size: int) -> None:
        """Speech came behind the newest. Where as much is absent as numbers are, it looks like loss: see `_reveal`."""
        low, row = newest.sequence, int(record["row"])
        frames = self._timeline.frame(row, end) - self._timeline.frame(row, newest.end)
        if not aside["held"] and size == newest.step and frames == (high - low - 1) * size:
            return
        solid = min(int(aside["held_solid"]), high - 1) if aside["held"] else low
        self._insert(aside, 0, (low, high, newest.end, end, max(low, solid), 0))

    def _part(self, aside: Any, sequence: int, begin: int, end: int) -> None:
        """Speech inside a hole makes two of it, or one, or none."""
        holes = aside["holes"]
        for k in range(HOLES):
            low, high, hole_begin, hole_end, solid, noted = holes[k].tolist()
            if noted or not low < sequence < high:
                continue
            holes[k] = low, sequence, hole_begin, begin, min(solid, sequence - 1), int(begin <= hole_begin)
            if end < hole_end:
                self._insert(aside, k, (sequence, high, end, hole_end, sequence, 0))
            return

    def _reveal(
        self, record: Any, aside: Any, sequence: int, newest: Newest, speech: tuple[int, int] | None = None
    ) -> None:
        """What looked like loss was none: its number came, later than the speech behind it, and is no ``speech``
        (position, size) that lies where its number says.

        Around it speech went on evenly, or there would be a hole: so numbers tell where its neighbours lie.
        """
        holes = aside["holes"]
        if ((holes["low"] < sequence) & (sequence < holes["high"])).any() or newest.sequence - sequence > FARTHEST:
            return
        low, high = sequence - 1, sequence + 1
        while high < newest.sequence and not self._seen(record, high):
            high += 1
        while sequence - low < FARTHEST and not self._seen(record, low):
            low -= 1
        if sequence - low == FARTHEST:
            return
        k = int(np.count_nonzero((holes["low"] >= high) & (holes["high"] > holes["low"])))
        known, end = (int(holes["low"][k - 1]), int(holes["begin"][k - 1])) if k else newest[:2]
        step = int(record["step"])
        begin = end - (known - low) * step
        if speech == (begin + (sequence - low - 1) * step, step):
            return
        self._insert(aside, k, (low, high, begin, end - (known - high + 1) * step, low, 0))
        self._watch(record, aside)

    @staticmethod
    def _insert(aside: Any, k: int, hole: tuple[int, ...]) -> None:
        """Put a hole at its place; the oldest that is told already makes room, or the oldest of all."""
        holes = aside["holes"]
        done = np.flatnonzero(holes["noted"] | (holes["high"] == holes["low"]))
        out = int(done[-1]) if done.size else HOLES - 1
        if out < k:
            holes[out : k - 1] = holes[out + 1 : k].copy()
            holes[k - 1] = hole
        elif k < HOLES:
            holes[k + 1 : out + 1] = holes[k:out].copy()
            holes[k] = hole

    @staticmethod
    def _solid(record: Any, solid: int, limit: int = FAR.item()) -> int:
        """The highest number up to which all came, from one up to which all came; as far as ``seen`` remembers."""
        while solid + 1 < limit and Holes._seen(record, solid + 1):
            solid += 1
        return solid

    @staticmethod
    def _seen(record: Any, number: int) -> bool:
        """Whether a number came; False for those that are too old to be remembered."""
        highest = int(record["statistics"]["highest_sequence"])
        if number > highest or (highest >> 6) - (number >> 6) >= SEEN_WORDS:
            return False
        return bool(record["seen"][(number >> 6) % SEEN_WORDS] & np.uint64(1 << (number & 63)))

    def _note(self, record: Any, begin: int, end: int) -> None:
        row, tap = int(record["row"]), int(record["tap"])
        frame = self._timeline.frame(row, begin)
        if self._may_note(tap, self._timeline.frame(row, end)):
            frames = self._timeline.frame(row, end) - frame
            self._journal.note(tap, NoteKind.STRETCH, row, ssrc=record["ssrc"], frame=frame, frames=frames)

    def _may_note(self, tap: int, frame: int) -> bool:
        """A sender whose timestamps tremble makes a hole of every packet: so many are told, the rest counts as loss.

        Counted in the recording's own time. A tap that is over it has an allowance as old as its newest hole.
        """
        self._state.touch("taps", tap)
        record = self._state.now.taps[tap]
        cost = CLOCK_RATE // NOTES_A_SECOND
        due = max(int(record["stretch_frame"]), frame - NOTES_AT_ONCE * cost)
        if due > frame:
            return False
        record["stretch_frame"] = due + cost
        return True
