"""Where in time one packet belongs: the literal reading, packet by packet, for whatever is not in plain order.

A stream's **line** says ``position = timestamp + offset``. A sender's clock that jumps (rule A10) opens a new line;
one that stood still (rule A17) puts a splice into the row; long silence (rule A7) does both, without being an epoch.
`streams` does the same in closed form for the packets that are in order, which are nearly all; a test holds them
equal.
"""

from typing import Any, NamedTuple

import numpy as np

from receiver.media import lines
from receiver.media.columns import CLOCK_RATE, FAR, NS_PER_SAMPLE, SEEN_WORDS, NoteKind, Role
from receiver.media.holes import Holes
from receiver.media.journal import Journal
from receiver.media.pacing import Pacing
from receiver.media.state import State
from receiver.media.timeline import Timeline
from receiver.wire.opus import TICKS
from receiver.wire.rtp import Verdict
from receiver.wire.serial import widen

SLACK = CLOCK_RATE  # rules A10, A17: one second
HEAD_START = 2 * CLOCK_RATE  # rule A10: the file is at most 1.001 × elapsed + 2 s long
RUN_PACKETS, RUN_SAMPLES = 10, CLOCK_RATE // 2  # rule A17
MARGIN = CLOCK_RATE  # ring room on either side of a splice, for packets that still overtake each other
EPOCHS_A_MINUTE = 8  # rule A11
MINUTE_NS = 60_000_000_000
MOST_BETWEEN = 64  # numbers that never came and may still lie between two lines


class Packet(NamedTuple):
    """What a header and an arrival say. ``kind`` is the header gate's verdict: speech, comfort noise or event."""

    sequence16: int
    timestamp32: int
    arrival_ns: int
    size: int
    kind: int
    wall_ns: int


class Place(NamedTuple):
    """What became of one packet. ``position`` means something where ``fresh``: speech that was not here before."""

    verdict: int
    position: int
    fresh: bool
    sequence: int
    timestamp: int


class Clock:
    """Follows one packet of one stream; changes the columns of the present turn."""

    def __init__(self, state: State, timeline: Timeline, journal: Journal, horizon: int) -> None:
        self._state, self._timeline, self._journal = state, timeline, journal
        self.horizon, self.holes = horizon, Holes(state, timeline, journal)
        self.pacing = Pacing(state, timeline, journal)

    def begin(self, stream: int, packet: Packet) -> None:
        """Seed a new stream, in an empty row, with its first packet; it is counted and placed later."""
        record = self._state.now.streams[stream]
        timestamp = packet.timestamp32 // TICKS if record["opus"] else packet.timestamp32
        record["timestamp"] = timestamp
        statistics = record["statistics"]
        statistics["highest_sequence"], statistics["base_sequence"] = packet.sequence16 - 1, packet.sequence16
        record["arrival_ns"] = record["heard_ns"] = record["born_ns"] = packet.arrival_ns
        record["born_wall_ns"] = packet.wall_ns
        record["envelope"], record["transit"], record["limit"] = FAR, np.nan, FAR
        record["envelope_second"] = packet.arrival_ns // 1_000_000_000
        record["line_sequence"] = FAR
        if packet.kind == Verdict.ACCEPTED:
            record["timestamp"], record["step"] = timestamp - packet.size, packet.size  # as if one came before
            self._open(record, packet.sequence16, timestamp, packet)

    def follow(self, stream: int, packet: Packet) -> Place:
        """Decide one packet of a known stream: count it (RFC 3550 A.1, A.3, A.8) and say where it belongs."""
        record = self._state.now.streams[stream]
        sequence = int(widen(int(record["statistics"]["highest_sequence"]), packet.sequence16, 16))
        timestamp = lines.widened(record, int(record["timestamp"]), packet.timestamp32)
        before = self.holes.newest(stream)
        if packet.kind != Verdict.ACCEPTED:
            if self._count(record, sequence):
                self.holes.quiet(stream, sequence, before)
            record["heard_ns"] = max(int(record["heard_ns"]), packet.arrival_ns)
            return Place(packet.kind, 0, False, sequence, timestamp)
        newest = sequence > record["statistics"]["highest_sequence"]
        verdict, position = self._locate(record, stream, sequence, timestamp, packet, newest)
        if verdict not in (Verdict.ACCEPTED, Verdict.LATE_LOST):
            record["statistics"]["invalid"] += verdict != Verdict.NO_ROOM
            return Place(verdict, 0, False, sequence, timestamp)
        fresh = self._count(record, sequence)
        record["heard_ns"] = max(int(record["heard_ns"]), packet.arrival_ns)
        if verdict == Verdict.LATE_LOST:
            self.holes.spoil(stream, sequence)
            return Place(verdict if fresh else Verdict.ACCEPTED, 0, False, sequence, timestamp)
        if newest:
            record["timestamp"], record["arrival_ns"] = position - int(record["offset"]), packet.arrival_ns
            record["step"] = packet.size
        record["longest"] = max(int(record["longest"]), packet.size)
        if fresh:
            self.holes.spoke(stream, sequence, position, packet.size, before)
        self._time(record, stream, position, packet, newest)
        return Place(Verdict.ACCEPTED, position, fresh, sequence, timestamp)

    def expected(self, stream: int, arrival_ns: int) -> int:
        """The position that a packet arriving now has, if the network delays it as little as any of the last 10 s."""
        return arrival_ns // NS_PER_SAMPLE - int(self._state.now.streams["envelope"][stream].min())

    def least(self, row: int, envelope: int) -> int:
        """What a new epoch is anchored by: the least transit of the last 10 s, or the one before the last epoch's
        beginning where that is more.

        A line that began with a packet which the network had delayed lies late by as much, and its own envelope does
        not know: by that alone the delays of all epochs would add up. In frames, so that no splice moves it.
        """
        record = self._state.now.rows[row]
        edge, reference = int(record["edge"]), int(record["reference"])
        if reference == -FAR:
            return envelope
        reference += self._timeline.frame(row, edge) - edge
        return reference if envelope == FAR else max(envelope, reference)

    def refer(self, row: int, least: int) -> None:
        """Remember what an epoch that begins now was anchored by."""
        record = self._state.now.rows[row]
        edge = int(record["edge"])
        if least < FAR:
            record["reference"] = least - self._timeline.frame(row, edge) + edge

    def allowed(self, row: int, arrival_ns: int) -> int:
        """One past the last frame a row's part may have by now; its first sample begins the file (rules A2, A10)."""
        record = self._state.now.rows[row]
        elapsed = (arrival_ns - int(record["anchor_ns"])) // NS_PER_SAMPLE
        return int(record["low"]) + elapsed + elapsed // 1_000 + HEAD_START

    def epoch(self, tap: int, arrival_ns: int) -> bool:
        """Count one epoch of a tap; False when this minute has had its eight (rule A11)."""
        taps = self._state.now.taps
        self._state.touch("taps", tap)
        if arrival_ns - taps["epoch_window_ns"][tap] >= MINUTE_NS:
            taps["epoch_window_ns"][tap], taps["epoch_count"][tap] = arrival_ns, 0
        if taps["epoch_count"][tap] >= EPOCHS_A_MINUTE:
            return False
        taps["epoch_count"][tap] += 1
        taps["epochs"][tap] += 1
        return True

    def note(self, stream: int, position: int, timestamp: int, came_ns: tuple[int, int], absent: int = 0) -> None:
        """Write down one anchor: this timestamp of this stream lies at this frame. A candidate has none yet.

        ``came_ns``: arrival, monotonic (0: not known) and on the wall clock.
        """
        record = self._state.now.streams[stream]
        if record["role"] == Role.LIVE:
            self.pacing.turn(stream)  # of the epoch before
            arrival_ns, wall_ns = came_ns
            frame = self._timeline.frame(int(record["row"]), position)
            self._journal.note(
                int(record["tap"]), NoteKind.EPOCH, int(record["row"]), ssrc=record["ssrc"], frame=frame,
                timestamp=timestamp % (1 << 32), wall_ns=wall_ns, frames=absent, source=record["source"],
                law=record["law"], laws=record["laws"], arrival_ns=arrival_ns,
            )  # fmt: skip

    def landing(self, row: int, target: int) -> tuple[int, int]:
        """Where on the ring sound for ``target`` is put, and how many frames of absence a splice takes over."""
        edge = int(self._state.now.rows["edge"][row])
        if target - edge <= 2 * MARGIN or not self._timeline.spliceable(row):
            return target, 0
        return edge + 2 * MARGIN, target - edge - 2 * MARGIN

    def fits(self, row: int, end: int) -> bool:
        """Whether the ring has room up to ``end`` (rule K4)."""
        return end <= int(self._state.now.rows["freed"][row]) + self._timeline.window

    # -- one packet

    def _open(self, record: Any, sequence: int, timestamp: int, packet: Packet) -> int:
        """The first speech of a row lies one horizon behind its beginning, and the file's time begins (rule A2)."""
        row = self._state.now.rows[int(record["row"])]
        record["offset"] = self.horizon - timestamp
        record["line_timestamp"], record["line_sequence"] = timestamp, sequence
        row["low"], row["anchor_ns"], row["anchor_wall_ns"] = self.horizon, packet.arrival_ns, packet.wall_ns
        return self.horizon

    def _locate(
        self, record: Any, stream: int, sequence: int, timestamp: int, packet: Packet, newest: bool
    ) -> tuple[int, int]:
        """Verdict and position."""
        if not lines.spoken(record):
            position = self._open(record, sequence, timestamp, packet)
            self.note(stream, position, timestamp, (packet.arrival_ns, packet.wall_ns))
            return Verdict.ACCEPTED, position
        row = int(record["row"])
        rows = self._state.now.rows
        allowed = self.allowed(row, packet.arrival_ns)
        position = timestamp + int(record["offset"])
        if newest and record["role"] != Role.PAST:
            advance = timestamp - int(record["timestamp"])
            passed = max((packet.arrival_ns - int(record["arrival_ns"])) // NS_PER_SAMPLE, 0)
            if advance < 0 or advance > passed + SLACK or self._timeline.frame(row, position) + packet.size > allowed:
                return self._jump(record, stream, sequence, timestamp, packet)
            if record["role"] == Role.LIVE:
                position = self._stretch(record, row, sequence, timestamp, packet.size)
        elif sequence < record["line_sequence"]:
            found = lines.earlier(record, sequence, packet.timestamp32, packet.size)
            if found is None:
                return Verdict.LATE_LOST, 0
            position = found
        if position < max(int(record["begin"]), int(rows["floor"][row])) or position + packet.size > record["limit"]:
            return Verdict.LATE_LOST, 0
        edge, low = int(rows["edge"][row]), int(rows["low"][row])
        end = self._timeline.frame(row, max(edge, position + packet.size))
        if end > allowed + min(0, position - low):
            return Verdict.AHEAD, 0
        if not self.fits(row, position + packet.size):
            return Verdict.NO_ROOM, 0
        rows["low"][row] = min(low, position)
        return Verdict.ACCEPTED, position

    def _jump(self, record: Any, stream: int, sequence: int, timestamp: int, packet: Packet) -> tuple[int, int]:
        """Rule A10: a new line, anchored by arrival, behind everything that may still come on the old one."""
        row, live = int(record["row"]), record["role"] == Role.LIVE
        edge = int(self._state.now.rows["edge"][row])
        between = min(max(0, sequence - int(record["statistics"]["highest_sequence"]) - 1), MOST_BETWEEN)
        lowest = edge + between * int(record["step"])
        last = edge + self.allowed(row, packet.arrival_ns) - self._timeline.frame(row, edge) - packet.size
        if lowest > last:
            return Verdict.AHEAD, 0
        least = self.least(row, int(record["envelope"].min()))
        target = max(lowest, min(packet.arrival_ns // NS_PER_SAMPLE - least, last))
        position, more = self.landing(row, target) if live else (target, 0)
        if not self.fits(row, position + packet.size):
            return Verdict.NO_ROOM, 0
        if live and not self.epoch(int(record["tap"]), packet.arrival_ns):  # a candidate uses up none of its tap's
            return Verdict.EPOCH_LIMIT, 0
        self.refer(row, least)
        self._turn(record, row, sequence, timestamp, position, more)
        record["envelope"], record["transit"] = FAR, np.nan
        came_ns = packet.arrival_ns, packet.wall_ns
        self.note(stream, position, timestamp, came_ns)  # whether the time between was silence: `holes`
        return Verdict.ACCEPTED, position

    def _stretch(self, record: Any, row: int, sequence: int, timestamp: int, size: int) -> int:
        """Rule A7: time went on, nothing was sent. The frame is what the timestamp says; ring room is spared."""
        target = timestamp + int(record["offset"])
        position, more = self.landing(row, target)
        if more and self.fits(row, position + size):
            record["envelope"][record["envelope"] != FAR] += more
            record["transit"] += more
            self._turn(record, row, sequence, timestamp, position, more)
        return position

    def _turn(self, record: Any, row: int, sequence: int, timestamp: int, position: int, more: int) -> None:
        """Open a line at this packet, with a splice where the ring would be left."""
        edge = int(self._state.now.rows["edge"][row])
        if more:
            self._timeline.splice(row, edge + MARGIN, more)
            lines.turn(record, sequence, timestamp, position, edge + MARGIN, edge + MARGIN)
        else:
            lines.turn(record, sequence, timestamp, position, position, edge)
        record["run_packets"] = 0

    def _count(self, record: Any, sequence: int) -> bool:
        """RFC 3550 A.1 and A.3 for one packet; False for a duplicate, as far as 1,024 sequence numbers remember."""
        statistics, seen = record["statistics"], record["seen"]
        highest = int(statistics["highest_sequence"])
        word, bit = (sequence >> 6) % SEEN_WORDS, np.uint64(1 << (sequence & 63))
        statistics["packets"] += 1
        if sequence > highest:
            for block in range(max((highest >> 6) + 1, (sequence >> 6) - SEEN_WORDS + 1), (sequence >> 6) + 1):
                seen[block % SEEN_WORDS] = 0
            statistics["highest_sequence"] = sequence
        elif (highest >> 6) - (sequence >> 6) < SEEN_WORDS:
            if seen[word] & bit:
                statistics["duplicate"] += 1
                return False
            statistics["reordered"] += 1
        else:
            statistics["reordered"] += 1
            return True
        statistics["base_sequence"] = min(int(statistics["base_sequence"]), sequence)
        seen[word] |= bit
        return True

    def _time(self, record: Any, stream: int, position: int, packet: Packet, newest: bool) -> None:
        """RFC 3550 A.8, the lower envelope, and the watch for a clock that stood still (rule A17)."""
        arrival_ns = packet.arrival_ns
        transit = arrival_ns // NS_PER_SAMPLE - position
        envelope = int(record["envelope"].min())
        if transit - envelope > SLACK and envelope < FAR:
            if newest and record["role"] == Role.LIVE:
                self._run(record, stream, position, transit, envelope, packet)
            return
        if newest:
            record["run_packets"] = 0
        second = arrival_ns // 1_000_000_000
        if second > record["envelope_second"]:
            record["envelope_second"] = second
            record["envelope_at"] = (int(record["envelope_at"]) + 1) % len(record["envelope"])
            record["envelope"][record["envelope_at"]] = FAR
        at = record["envelope_at"]
        record["envelope"][at] = min(int(record["envelope"][at]), transit)
        self.pacing.hear(stream, position, arrival_ns)
        exact = arrival_ns / NS_PER_SAMPLE - position
        statistics = record["statistics"]
        if not np.isnan(record["transit"]):
            statistics["jitter"] += (abs(exact - float(record["transit"])) - float(statistics["jitter"])) / 16
            statistics["jitter_max"] = max(float(statistics["jitter_max"]), float(statistics["jitter"]))
            statistics["jitter_sum"] += statistics["jitter"]
            statistics["timed"] += 1
        record["transit"] = exact

    def _run(self, record: Any, stream: int, position: int, transit: int, envelope: int, packet: Packet) -> None:
        """Rule A17: a row of packets far above the envelope. Flat: the clock stood still. Falling: a stall's burst."""
        row = int(record["row"])
        rows = self._state.now.rows
        edge = int(rows["edge"][row])
        if not record["run_packets"]:
            record["run_position"] = max(min(position, edge), int(rows["playout"][row]))
            record["run_first"], record["run_transit"], record["run_arrival_ns"] = position, transit, packet.arrival_ns
        record["run_packets"] += 1
        first, first_transit = int(record["run_first"]), int(record["run_transit"])
        progress = position - first
        if record["run_packets"] < RUN_PACKETS and progress < RUN_SAMPLES:
            return
        record["run_packets"] = 0
        end = self._timeline.frame(row, max(edge, position + packet.size))
        least = self.least(row, envelope)
        stood = min(first_transit - least, self.allowed(row, packet.arrival_ns) - end)
        if transit < first_transit - progress // 2 or stood <= 0 or not self._timeline.spliceable(row):
            return
        if self.epoch(int(record["tap"]), packet.arrival_ns):
            self.refer(row, least)
            self._timeline.splice(row, int(record["run_position"]), stood)
            self.holes.moved(stream, int(record["run_position"]))
            record["envelope"][record["envelope"] != FAR] += stood
            record["transit"] = np.nan
            first_ns = int(record["run_arrival_ns"])
            first_wall_ns = packet.wall_ns - (packet.arrival_ns - first_ns)
            self.note(stream, first, first - int(record["offset"]), (first_ns, first_wall_ns), stood)
