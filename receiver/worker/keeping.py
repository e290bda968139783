"""When what is ripe becomes durable, and when its room is free again (rules C2, K4, K5)."""

from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.archive.commit import Commit
from receiver.archive.writer import Mark
from receiver.media.cutting import Cutting
from receiver.media.drain import Drain
from receiver.media.pipeline import Pipeline
from receiver.media.state import State
from receiver.media.taps import Taps
from receiver.net.tick import GROUPS
from receiver.worker.shelf import Shelf, scale

Slots = NDArray[np.int64]
Known = int | NDArray[np.int64]
LATE_NS: Final = 2_000_000_000  # a commit that takes longer is late: room is given back at `written` (rule K5)
ROOMS_A_SLICE: Final = 800  # rows cleared in one slice: a second's worth of 4,000 taps spread over its ticks
LONGEST_SEGMENT: Final = (1 << 31) // 2 - (1 << 20)  # frames of PCM16 in 2 GiB (rule C7), and room for a header


class Keeping:
    """Drains one group of taps a slice once per commit interval, then asks for the commit; gives room back after it.

    ``rolled(slots)`` is called when the columns say that a recording, whose taps these are, goes on in its next parts.
    """

    def __init__(
        self, state: State, pipeline: Pipeline, drain: Drain, taps: Taps, shelf: Shelf, commit: Commit,
        segment_frames: int, rolled: Callable[[list[int]], None],
    ) -> None:  # fmt: skip
        self._state, self._pipeline, self._drain, self._taps = state, pipeline, drain, taps
        self._shelf, self._commit, self._rolled = shelf, commit, rolled
        self._cutting = Cutting(state, pipeline.timeline, drain.horizon)
        self._segment_frames = min(segment_frames or LONGEST_SEGMENT, LONGEST_SEGMENT)
        self._waiting: set[int] = set()  # groups that are still to be drained for the next commit
        self._begun_ns = 0
        self._behind = (0, 0)  # patches and notes that the commit under way covers
        self._returned: deque[int] = deque()

    def slice(self, group: int, slots: Slots, now_ns: int, known_ns: Known) -> None:
        """Drain a group if a commit is due, ask for the commit behind the last group."""
        if not self._waiting and not self._commit.underway and now_ns - self._begun_ns >= self._commit.interval_ns:
            self._waiting, self._begun_ns = set(range(GROUPS)), now_ns
        if group in self._waiting:
            self.drain(slots, known_ns)
            self._waiting.discard(group)
            if not self._waiting:
                self._request()
        self._give_back()

    def soon(self) -> None:
        """What a decoder makes after its start waits for no interval: it is what the ring kept longest."""
        self._begun_ns = 0

    def hurry(self, starved: Slots, now_ns: int, known_ns: Known) -> None:
        """Taps whose ring is full: drain them at once; where the commit is late, give back what is written."""
        self._give_back()
        self.drain(starved, known_ns)
        state = self._state
        rows = self._drain.rows(starved)
        if self._commit.underway:
            if now_ns - self._begun_ns > LATE_NS:
                self.give_back_late(rows.tolist())
        elif not self._waiting and (state.written[rows] > state.committed[rows]).any():
            self._begun_ns = now_ns
            self._request()

    def drain(self, slots: Slots, known_ns: Known) -> None:
        """Hand on what is ripe of these taps, in one turn; then queue it, and the logs behind it (rules K3, K6).

        ``known_ns``: as `Drain.ripe` has it.
        """
        spans = self._drain.hand_on(slots, known_ns)
        rolls = self._roll(spans, np.broadcast_to(known_ns, self._state.now.taps.size))
        self._queue(spans)
        for slots_of_one in rolls:
            self._rolled(slots_of_one)
        self._shelf.write_logs()

    def end(self, slots: Slots, now_ns: int, wall_ns: int) -> None:
        """The last drain of these taps: nothing more is waited for, and no segment is begun."""
        for slot in slots.tolist():
            self._pipeline.sources.conclude(slot, now_ns, wall_ns)
        self._state.commit()
        self._queue(self._drain.hand_on(slots, now_ns, ending=True))
        self._state.commit()  # what the shelf had to say of it
        self._shelf.write_logs()

    def review(self, known_ns: Known, wall_ns: int) -> None:
        """What time alone decides about sources, in a turn of its own."""
        self._pipeline.sources.review(known_ns, wall_ns)
        self._state.commit()

    def durable(self, marks: list[Mark]) -> None:
        """A commit has returned: raise ``committed`` and free the logs. Files are compared: a row may have moved on."""
        state, slot_of = self._state, self._shelf.slot_of
        tap_of = state.live.rows["tap"].tolist()
        ours = [mark for mark in marks if mark.cursor is state.written and tap_of[mark.index] == slot_of(mark.file)]
        rows = [mark.index for mark in ours]
        np.maximum.at(state.committed, rows, [mark.upto for mark in ours])
        self._returned.extend(rows)
        self.free_logs()

    def free_logs(self) -> None:
        """A commit was answered, well or not: the places of the patches and notes before it are used again.

        By what was queued when it was asked for, not by its marks: what the disk refused, or belonged to a published
        recording, has none, and must not block the log for ever.
        """
        state = self._state
        patches, notes = self._behind
        state.patches_freed[0] = max(int(state.patches_freed[0]), patches)
        state.notes_freed[0] = max(int(state.notes_freed[0]), notes)

    def give_back_late(self, rows: list[int]) -> None:
        """Rule K5: free the room of what is written, though no commit says that it is durable. Counted."""
        for row in rows:
            self._drain.give_back(row, late=True)
        self._state.commit()

    def _give_back(self) -> None:
        """Clear what commits have made durable, some of it; the room counts from the next turn's end on."""
        for _ in range(min(len(self._returned), ROOMS_A_SLICE)):
            self._drain.give_back(self._returned.popleft())

    def _request(self) -> None:
        self._behind = self._shelf.write_logs()
        self._commit.request()

    def _queue(self, spans: list[tuple[int, int, int, int]]) -> None:
        if spans:
            self._state.commit()
        for span in spans:
            self._shelf.write(self._drain.cut(*span))

    def _roll(self, spans: list[tuple[int, int, int, int]], known_ns: Slots) -> list[list[int]]:
        """Rule C7, in the same turn: recordings whose present part is long enough go on in the next one.

        Not before the part before is a WAV: at any death at most two parts of a channel are unfinished.
        """
        rolls = []
        for slot, row, _, upto in spans:
            if self._state.now.rows["further"][row]:
                continue
            frame = self._pipeline.timeline.frame(row, upto)
            longest = min(self._segment_frames, LONGEST_SEGMENT // scale(self._state.now.taps[slot]))
            if frame - int(self._state.now.taps["segment_frame"][slot]) < longest:
                continue
            if not self._shelf.may_roll(slot):
                continue
            slots = self._shelf.beside(slot)
            rows = [each for one in slots for each in self._taps.rows(one)]
            frames: list[int] | None = [frame] if self._cutting.settled(row, upto, known_ns) else None
            if len(rows) > 1:
                frames = self._cutting.together(rows, known_ns)
            if frames is not None:
                self._begin_segment(rows, frames)
                rolls.append(slots)
        return rolls

    def _begin_segment(self, rows: list[int], frames: list[int]) -> None:
        columns = self._state.now.rows
        for row, frame in zip(rows, frames, strict=True):
            if columns["further"][row]:
                self._taps.roll_further(row, frame)
            else:
                self._taps.roll(int(columns["tap"][row]), frame)

    def rows(self, slots: Slots) -> list[int]:
        """All rows of these taps."""
        found: list[int] = self._drain.rows(slots).tolist()
        return found
