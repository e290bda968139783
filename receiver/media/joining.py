"""How a stream comes to a row and leaves it. Rare, one stream at a time.

A row that this turn made free is handed out from the next turn on only: a turn that is run again needs what lies in it.
Samples are copied from a candidate's row to the tap's, never moved, for the same reason.
"""

import numpy as np

from receiver.media import lines
from receiver.media.census import MOST_LIVE, NOBODY, Census
from receiver.media.clock import MARGIN, Clock, Packet
from receiver.media.columns import FAR, NoteKind, Role
from receiver.media.holes import Holes
from receiver.media.journal import Journal
from receiver.media.keys import Keys
from receiver.media.state import State
from receiver.media.timeline import Timeline
from receiver.wire.rtp import Verdict

BURIED = ("packets", "duplicate", "reordered", "late", "late_lost")  # counters that add up over streams


class Joining:
    """Gives rows to streams, joins a candidate to its tap's row, lets streams go."""

    def __init__(self, state: State, timeline: Timeline, journal: Journal, clock: Clock) -> None:
        self._state, self._timeline, self._journal, self._clock = state, timeline, journal, clock
        self.census, self.keys = Census(state), Keys(state, timeline, journal)

    def spare_row(self) -> int:
        """A row that may be handed out in this turn, its memory allocated; −1: none."""
        return self.census.spare_row()

    def give_row(self, tap: int, row: int) -> None:
        """Hand an idle row to a tap, empty. Its first speech lies one horizon behind its beginning (rule A2)."""
        self._state.wipe("rows", row)
        self._timeline.hand_out(row)
        rows = self._state.now.rows
        rows["tap"][row], rows["low"][row], rows["transit"][row], rows["reference"][row] = tap, FAR, FAR, -FAR
        rows["packed"][row] = self._state.now.taps["opus"][tap] > 0

    def candidate(self, tap: int, source: tuple[int, int, int], ssrc: int, packet: Packet) -> int:
        """A new stream on probation with a row to write into (rule A3); −1 where no stream or no row is left.

        The row is the tap's own if nobody else writes, or wrote when this turn began, into it.
        """
        now = self._state.now
        row = int(now.taps["row"][tap])
        if row < 0 or now.taps["first_ns"][tap] or not self.census.untouched(row):
            row = self.census.spare_row(bool(now.taps["opus"][tap]))
        stream = self.census.enrol(tap) if row >= 0 else NOBODY
        if stream < 0:
            return NOBODY
        self.census.write(row)
        self.give_row(tap, row)
        self._state.wipe("streams", stream)
        record = now.streams[stream]
        record["role"], record["tap"], record["row"], record["ssrc"] = Role.PROBATION, tap, row, ssrc
        record["source"], record["opus"] = source, now.taps["opus"][tap] > 0
        self._clock.begin(stream, packet)
        return stream

    def begin(self, stream: int, tap: int) -> None:
        """The first that speaks at a tap, or is latched: the candidate's row becomes the tap's."""
        now = self._state.now
        record, taps = now.streams[stream], now.taps
        row, old = int(record["row"]), int(taps["row"][tap])
        if row != old:
            self._state.touch("rows", old)
            now.rows["tap"][old] = NOBODY
            taps["row"][tap] = row
            for other in self.census.of(tap):
                if other != stream and now.streams["row"][other] == old:
                    self._part_with(other)
        record["role"] = Role.LIVE
        if not taps["first_ns"][tap]:
            taps["first_ns"][tap], taps["first_wall_ns"][tap] = record["born_ns"], record["born_wall_ns"]
        if lines.spoken(record):
            timestamp = int(record["line_timestamp"])
            self._clock.note(stream, timestamp + int(record["offset"]), timestamp, self._anchor(row))
        self._clock.holes.settle(stream)

    def beside(self, stream: int, tap: int, silent_since_ns: int) -> Verdict:
        """Rule A12: a candidate that speaks while others do. It goes on in a further row whose stream fell silent, else
        its own row becomes one. CROWDED: so many live already."""
        now = self._state.now
        record = now.streams[stream]
        row = int(record["row"])
        if not lines.spoken(record):
            return Verdict.PROBATION
        for other in self.census.further(tap):
            if now.streams["heard_ns"][now.rows["stream"][other]] < silent_since_ns:
                verdict = self.join(stream, tap, other)
                if verdict == Verdict.ACCEPTED:
                    return verdict
        if now.taps["further"][tap] >= MOST_LIVE - 1:
            return Verdict.CROWDED
        self._state.touch("taps", tap)
        self._state.touch("rows", row)
        now.taps["further"][tap] += 1
        now.rows["further"][row], now.rows["stream"][row] = now.taps["further"][tap], stream
        record["role"] = Role.LIVE
        timestamp = int(record["line_timestamp"])
        self._clock.note(stream, timestamp + int(record["offset"]), timestamp, self._anchor(row))
        self._clock.holes.settle(stream)
        return Verdict.ACCEPTED

    def join(self, stream: int, tap: int, further: int | None = None) -> Verdict:
        """Rules A11, B5: go on in the tap's row (or a ``further`` one), anchored by arrival. Not ACCEPTED: no room or
        no epoch is left now."""
        now = self._state.now
        record = now.streams[stream]
        row, mine, old = int(now.taps["row"][tap]), int(record["row"]), int(now.taps["stream"][tap])
        if further is not None:
            row, old = further, int(now.rows["stream"][further])
        if not lines.spoken(record):
            return Verdict.PROBATION
        low, high = int(now.rows["low"][mine]), int(now.rows["edge"][mine])
        edge = int(now.rows["edge"][row])
        least = int(now.streams["envelope"][old].min()) if old >= 0 else int(now.rows["transit"][row])
        least = self._clock.least(row, least)
        target = max(edge, low + int(record["envelope"].min()) - least)
        start, more = self._clock.landing(row, target)
        frame = self._timeline.frame(row, edge) + start - edge + more
        heard_ns = int(record["heard_ns"])
        if frame + high - low > self._clock.allowed(row, heard_ns) or not self._clock.fits(row, start + high - low):
            return Verdict.PROBATION
        if not self._clock.epoch(tap, heard_ns):
            return Verdict.EPOCH_LIMIT
        self._state.touch("rows", [row, mine])
        self._clock.refer(row, least)
        if more:
            self._timeline.splice(row, edge + MARGIN, more)
        if old >= 0:
            self.retire(old, edge + MARGIN if more else start)
        self._timeline.move(mine, low, high, row, start - low)
        now.rows["edge"][row], now.rows["tap"][mine] = start + high - low, NOBODY
        if further is not None:
            now.rows["stream"][row] = stream
        self._shift(stream, row, start - low)
        record["role"], record["begin"] = Role.LIVE, edge + MARGIN if more else edge
        timestamp = int(record["line_timestamp"])
        came_ns = self._anchor(mine)
        self._clock.note(stream, timestamp + int(record["offset"]), timestamp, came_ns, target - edge)
        self._clock.holes.settle(stream)
        return Verdict.ACCEPTED

    def retire(self, stream: int, limit: int | None = None) -> None:
        """Another stream takes over; what is late of this one may still come, up to ``limit``."""
        self._state.touch("streams", stream)
        self._clock.pacing.turn(stream)
        record = self._state.now.streams[stream]
        row = int(record["row"])
        self._state.touch("rows", row)
        record["role"], record["run_packets"] = Role.PAST, 0
        record["limit"] = self._state.now.rows["edge"][row] if limit is None else limit
        self._state.now.rows["transit"][row] = record["envelope"].min()

    def dismiss(self, tap: int) -> None:
        """Throw away a tap's other candidates: a source was admitted."""
        for stream in self.census.of(tap):
            if self._state.now.streams["role"][stream] == Role.PROBATION:
                self.discard(stream)

    def discard(self, stream: int) -> None:
        """Throw away a candidate and what it sent (rule A3)."""
        now = self._state.now
        self._state.touch("streams", stream)
        tap, row = int(now.streams["tap"][stream]), int(now.streams["row"][stream])
        if now.rows["tap"][row] == tap and now.taps["row"][tap] != row:
            self._state.touch("rows", row)
            now.rows["tap"][row] = NOBODY
        self._free(stream)

    def _anchor(self, row: int) -> tuple[int, int]:
        """When the first packet of a row came, on the wall clock. It need not lie where its line does, so it is no
        point of the pace (rule A15)."""
        return 0, int(self._state.now.rows["anchor_wall_ns"][row])

    def _part_with(self, stream: int) -> None:
        if self._state.now.streams["role"][stream] == Role.PROBATION:
            self.discard(stream)
        else:
            self.bury(stream)

    def bury(self, stream: int) -> None:
        """A stream that will not be heard again leaves its statistics in a note, and its counters in the tap's sums."""
        self._state.touch("streams", stream)
        record = self._state.now.streams[stream]
        tap, statistics = int(record["tap"]), record["statistics"]
        self._journal.note(
            tap, NoteKind.STREAM, int(record["row"]), ssrc=record["ssrc"], law=record["law"], source=record["source"],
            statistics=statistics, laws=record["laws"],
        )  # fmt: skip
        if record["reports"]:
            self._journal.note(
                tap, NoteKind.REPORT, int(record["row"]), ssrc=record["ssrc"], frames=record["reports"],
                timestamp=record["report_timestamp"], wall_ns=record["report_wall_ns"],
            )  # fmt: skip
        self._state.touch("taps", tap)
        buried = self._state.now.taps["buried"][tap]
        for field in BURIED:
            buried[field] += statistics[field]
        buried["highest_sequence"] += statistics["highest_sequence"] - statistics["base_sequence"] + 1
        self._free(stream)

    def release(self, tap: int) -> None:
        """A finished tap gives its rows and its streams back."""
        now = self._state.now
        for stream in self.census.of(tap):
            self._state.touch("streams", stream)
            self._free(stream)
        mine = np.flatnonzero(now.rows["tap"] == tap)
        self._state.touch("rows", mine)
        now.rows["tap"][mine] = NOBODY
        self._state.touch("taps", tap)
        now.taps["row"][tap] = now.taps["stream"][tap] = NOBODY

    def _free(self, stream: int) -> None:
        streams = self._state.now.streams
        streams["role"][stream], streams["tap"][stream], streams["run_packets"][stream] = Role.FREE, NOBODY, 0
        self.census.leave(stream)

    def _shift(self, stream: int, row: int, delta: int) -> None:
        """A candidate's numbers, from positions in its own row to positions in the tap's."""
        record = self._state.now.streams[stream]
        record["row"] = row
        lines.shift(record, delta)
        aside = self._state.now.streams_aside[stream]
        Holes.shift(aside, delta)
        self.keys.shift(aside, row, delta)
        record["envelope"][record["envelope"] != FAR] -= delta
        record["transit"] -= delta
