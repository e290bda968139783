"""Pause and resume of a tap, by arrival: what reaches this host inside a pause is counted and never placed.

A tap's **turns** are the instants at which it was paused (even numbers) and resumed (odd ones). They lie in columns, so
a successor knows them (rule K8), and a packet that waited in a socket is judged by when it came, not by when it is
read. Of a pause the columns also know which frames it left absent, as well as anybody can: from the frame that the
fastest packet has at the first instant to the one it has at the second, and every packet that was kept out.

A key that is pressed takes a while, and its packets are repeated: one that began inside a pause is none of the
recording, though its last packets arrive behind it (`outlasted`).

An order takes its way, and the socket may be read meanwhile. What was read too early of a pause is erased again: all
sound that cannot have been sent before its instant. Of a resumption it is kept out, and the pause is so much longer.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from receiver.media.block import ABSENT
from receiver.media.clock import Clock
from receiver.media.columns import FAR, LONGEST_PACKET, NS_PER_SAMPLE, PAUSES, TURNS, NoteKind, Role
from receiver.media.journal import Journal
from receiver.media.keys import Keys
from receiver.media.state import State
from receiver.media.timeline import Timeline

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
FORGOTTEN = -1  # a pause that the columns do not know any more


class Pauses:
    """The verbs, each part of the present turn of the state; ``inside`` only looks."""

    def __init__(self, state: State, timeline: Timeline, clock: Clock, journal: Journal, keys: Keys) -> None:
        self._state, self._timeline, self._clock, self._journal, self._keys = state, timeline, clock, journal, keys

    def turn(self, tap: int, at_ns: int, wall_ns: int) -> None:
        """Pause a tap that goes on, or let a paused one go on, from this monotonic instant (which may be past)."""
        self._state.touch("taps", tap)
        self._state.touch("taps_aside", tap)
        record, aside = self._state.now.taps[tap], self._state.now.taps_aside[tap]
        number = int(record["turns"])
        least_ns = int(aside["turned_ns"][(number - 1) % TURNS]) if number else 0
        if number % 2:
            least_ns = max(least_ns, int(record["heard_ns"]) + 1)  # what was heard so far was kept out
        wall_ns += max(least_ns - at_ns, 0)
        at_ns = max(least_ns, at_ns)
        pause, place = number // 2, number // 2 % PAUSES
        frame = self._frame(record, at_ns)
        if number % 2 == 0:
            if pause >= PAUSES:
                self._note(tap, aside, pause - PAUSES)
            begin = frame if record["first_ns"] else FAR  # what is kept out of it will tell
            aside["pause_frame"][place], aside["pause_end"][place] = begin, FAR
            self._erase(tap, at_ns)
        else:
            end = max(frame, self._newest(record, int(aside["turned_ns"][2 * pause % TURNS])))
            begin = int(aside["pause_frame"][place])
            aside["pause_frame"][place] = begin = min(begin, end) if begin == FAR else begin
            aside["pause_end"][place] = max(end, begin)
        aside["turned_ns"][number % TURNS], aside["turned_wall_ns"][number % TURNS] = at_ns, wall_ns
        record["turns"] = number + 1
        self._note(tap, aside, pause)

    def inside(self, tap: NDArray[Any], arrival_ns: Ints) -> tuple[Bools, Ints] | None:
        """Which datagrams came inside a pause of their tap, and of those in which; None: none of these taps ever was
        paused.

        What came before the oldest turn that is known came at an unknown side of it, and is kept out.
        """
        turns, asides = self._state.now.taps["turns"][tap], self._state.now.taps_aside
        some = np.flatnonzero(turns)
        if not some.size:
            return None
        turns = turns[some]
        known = np.arange(TURNS) < turns[:, None]
        passed = ((asides["turned_ns"][tap[some]] <= arrival_ns[some, None]) & known).sum(axis=1)
        forgotten = np.maximum(turns - TURNS, 0)
        unknown = (forgotten > 0) & (passed == 0)
        muted, pause = np.zeros(tap.size, np.bool_), np.full(tap.size, FORGOTTEN, np.int64)
        muted[some] = ((forgotten + passed) % 2 == 1) | unknown
        pause[some] = np.where(unknown, FORGOTTEN, (forgotten + passed - 1) // 2)
        return muted, pause

    def cover(self, row: Ints, position: Ints, size: Ints, pause: Ints) -> None:
        """Packets were kept out: a pause reaches as far as they do. Rows of candidates have no frames yet."""
        rows, taps, asides = self._state.now.rows, self._state.now.taps, self._state.now.taps_aside
        tap = rows["tap"][row].astype(np.int64)
        at = pause % PAUSES
        lowest, shift = position + rows["shift"][row], rows["splice_shift"][row, rows["splices"][row] - 1]
        highest = position + size + np.where(rows["splices"][row] > 0, shift, rows["shift"][row])
        beyond = (lowest < asides["pause_frame"][tap, at]) | (highest > asides["pause_end"][tap, at])
        beyond &= (taps["row"][tap] == row) & (pause != FORGOTTEN)
        for k in np.flatnonzero(beyond).tolist():
            aside, frame = asides[int(tap[k])], self._timeline.frame(int(row[k]), int(position[k]))
            self._state.touch("taps_aside", int(tap[k]))
            aside["pause_frame"][at[k]] = min(int(aside["pause_frame"][at[k]]), frame)
            aside["pause_end"][at[k]] = max(int(aside["pause_end"][at[k]]), frame + int(size[k]))

    def outlasted(self, stream: int, pause: int, timestamp: int, duration: int, arrival_ns: int) -> bool:
        """Whether a key, of which a packet came behind this pause, had begun before the pause ended.

        By its duration, or by the sender's clock: had it begun later, no packet with its timestamp could have come as
        early as the fastest one does.
        """
        record = self._state.now.streams[stream]
        resumed_ns = int(self._state.now.taps_aside["turned_ns"][int(record["tap"]), (2 * pause + 1) % TURNS])
        if arrival_ns - duration * NS_PER_SAMPLE < resumed_ns:
            return True
        if record["line_sequence"] == FAR or record["envelope"].min() == FAR:
            return False
        return timestamp + int(record["offset"]) < self._clock.expected(stream, resumed_ns)

    def _frame(self, record: Any, at_ns: int) -> int:
        """The frame of a packet that arrives at this instant and was not delayed by the network."""
        row, stream = int(record["row"]), int(record["stream"])
        if not record["first_ns"]:
            return 0
        position = int(self._state.now.rows["edge"][row])
        if stream >= 0 and self._state.now.streams["envelope"][stream].min() < FAR:
            position = self._clock.expected(stream, at_ns)
        return max(self._timeline.frame(row, position), 0)

    def _newest(self, record: Any, since_ns: int) -> int:
        """One past the last frame of the newest packet, if it came since then: 0 if not."""
        stream = self._state.now.streams[int(record["stream"])]
        if record["stream"] < 0 or stream["arrival_ns"] < since_ns or stream["line_sequence"] == FAR:
            return 0
        position = int(stream["timestamp"] + stream["offset"])
        return self._timeline.frame(int(record["row"]), position) + int(stream["step"])

    def _erase(self, tap: int, at_ns: int) -> None:
        """Make absent what came after this instant, as far as it was sent after it: in the ring, and in the part."""
        streams, rows = self._state.now.streams, self._state.now.rows
        heard = (streams["tap"] == tap) & (streams["role"] != Role.FREE) & (streams["heard_ns"] >= at_ns)
        for stream in np.flatnonzero(heard).tolist():
            self._state.touch("streams_aside", stream)
            self._keys.pause(stream, at_ns)
            row = int(streams["row"][stream])
            start, stop = self._clock.expected(stream, at_ns), int(rows["edge"][row])
            if streams["envelope"][stream].min() == FAR:
                start = int(rows["playout"][row])  # no speech of it is in its place yet, or its clock began anew
            if row == self._state.now.taps["row"][tap] or rows["further"][row]:
                self._erase_written(tap, row, max(start, 0), min(stop, int(rows["playout"][row])))
            self._timeline.erase(row, max(start, int(self._state.cleared[row])), stop)

    def _erase_written(self, tap: int, row: int, start: int, stop: int) -> None:
        """Through the patch log (rule K6), one run of frames after the other; each row into its own part."""
        now, further = self._state.now, int(self._state.now.rows["further"][row])
        begun = int(now.rows["segment_frame"][row] if further else now.taps["segment_frame"][tap])
        while start < stop:
            frame, length = self._timeline.frame(row, start), min(stop - start, LONGEST_PACKET)
            while self._timeline.frame(row, start + length - 1) - frame >= length:  # a splice lies between
                length //= 2
            if frame >= begun:
                self._journal.patch(tap, frame, np.full(length, ABSENT, np.int16), further)
            start += length

    def _note(self, tap: int, aside: Any, pause: int) -> None:
        """For who finds nothing but the notes, or the columns with later pauses in this one's place."""
        begin, place = 2 * pause % TURNS, pause % PAUSES
        frame, end = int(aside["pause_frame"][place]), int(aside["pause_end"][place])
        number = {"timestamp": pause, "frame": frame}
        if end == FAR:
            self._journal.note(tap, NoteKind.PAUSE, wall_ns=aside["turned_wall_ns"][begin], **number)
        else:
            wall_ns = aside["turned_wall_ns"][begin + 1]
            self._journal.note(tap, NoteKind.RESUME, wall_ns=wall_ns, frames=end - frame, **number)
