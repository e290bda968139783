"""The way of one slab, from top to bottom: octets, columns, streams, positions, samples on the timeline.

``step`` is a turn (rule K3): it reads and writes ``state.now`` and the ring, decides everything on columns before a
sample is placed (rule K7), and is repeated by a successor with the same result if the worker dies before
``state.commit``.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media.clock import Clock, Packet
from receiver.media.columns import VERDICTS, Flaw, Role
from receiver.media.datagrams import Datagrams
from receiver.media.joining import Joining
from receiver.media.journal import Journal
from receiver.media.packets import PacketRows
from receiver.media.pauses import FORGOTTEN, Pauses
from receiver.media.reporting import Reporting
from receiver.media.secured import Secured
from receiver.media.sources import News, Packets, Source, Sources
from receiver.media.state import State
from receiver.media.streams import LONGEST_RUN, Heard, Streams, runs
from receiver.media.timeline import Timeline
from receiver.media.unknown import Unknown
from receiver.wire import events, g711, opus, rtp
from receiver.wire.rtp import Verdict

__all__ = ["Datagrams", "Pipeline", "Turn"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
REFUSED = (Verdict.AHEAD, Verdict.EPOCH_LIMIT)
FLAWS = dict.fromkeys(REFUSED, Flaw.CLOCK) | {Verdict.LATE_LOST: Flaw.LATE_LOST, Verdict.NO_ROOM: Flaw.NO_ROOM}
MOST_SIZES = 8  # rule A9: groups of equal length per batch; the rest one by one


class Turn(NamedTuple):
    """What all parts of one step look at. ``verdict`` is the only column that they write."""

    datagrams: Datagrams
    batch: rtp.Batch
    verdict: NDArray[np.uint8]
    octets: Ints  # of each payload; where it is G.711 that is its size in samples as well
    now_ns: int
    wall_offset_ns: int
    kept_out: tuple[Bools, Ints] | None  # came inside a pause, and inside which

    def known_ns(self, at: int) -> int:
        """Up to when all that came for the tap of one of them was read: sockets are read in order of arrival."""
        return int(self.datagrams.arrival_ns[self.datagrams.tap == self.datagrams.tap[at]].max())

    def is_kept_out(self, at: int) -> bool:
        """Whether this datagram came inside a pause."""
        return self.kept_out is not None and bool(self.kept_out[0][at])


class Pipeline:
    """One turn after the other over a state."""

    def __init__(
        self, state: State, horizon: int, kinds: NDArray[np.uint8], allow: list[str], mask_dtmf: bool = False,
        rtcp: bool = True,
    ) -> None:  # fmt: skip
        self.state, self._kinds, self._mask_dtmf = state, kinds, mask_dtmf
        self.timeline, self.journal = Timeline(state), Journal(state)
        self.clock = Clock(state, self.timeline, self.journal, horizon)
        self.streams = Streams(state, self.clock.pacing)
        self.joining = Joining(state, self.timeline, self.journal, self.clock)
        self.pauses = Pauses(state, self.timeline, self.clock, self.journal, self.joining.keys)
        self.reporting = Reporting(state, self.journal, self.joining.census) if rtcp else None
        self.sources = Sources(state, self.journal, self.clock, self.joining, allow)
        self.secured = Secured(state)
        self.unknown = Unknown(state)
        if not state.fresh:
            self.timeline.blank_ahead()  # the slab in hand, run again, puts its part there anew

    def step(self, datagrams: Datagrams, now_ns: int, wall_offset_ns: int) -> list[News]:
        """Turn one slab of datagrams into sound on the timeline. ``wall_offset_ns`` = realtime − monotonic."""
        said = len(self.sources.news)
        try:
            self._step(datagrams, now_ns, wall_offset_ns)
        except BaseException:
            del self.sources.news[said:]  # this turn will be run again
            raise
        news, self.sources.news = self.sources.news, []
        return news

    def hidden(self, datagrams: Datagrams) -> Bools:
        """Which datagrams must not be kept as evidence: those that came inside a pause, and masked keys."""
        kept_out = self.pauses.inside(datagrams.tap, datagrams.arrival_ns)
        masked = self._mask_dtmf & (self._kinds[datagrams.octets[:, 1] & 0x7F] == Verdict.EVENT)
        return np.asarray(masked if kept_out is None else masked | kept_out[0])

    def _step(self, datagrams: Datagrams, now_ns: int, wall_offset_ns: int) -> None:
        opened = self.secured.open(datagrams)
        datagrams = datagrams if opened is None else opened.datagrams
        batch = rtp.parse(datagrams.octets, datagrams.size, self._kinds)
        if opened is not None:
            found = batch.verdict[opened.refused]
            refused = (found <= Verdict.RTCP) | (found == Verdict.PAYLOAD_TYPE)  # what is malformed keeps its name
            batch.verdict[opened.refused[refused]] = opened.why[refused]
        octets = batch.payload_size
        if self.state.now.world["opus"][0]:
            batch = self.timeline.packets.measure(datagrams.octets, datagrams.tap, batch)
        kept_out = self.pauses.inside(datagrams.tap, datagrams.arrival_ns)
        turn = Turn(datagrams, batch, batch.verdict.copy(), octets, now_ns, wall_offset_ns, kept_out)
        stream = self._match(turn)
        known = np.flatnonzero(stream >= 0)
        if known.size:
            order = known[np.argsort(stream[known], kind="stable")]
            heard = Heard(
                order, stream[order], batch.sequence[order], batch.timestamp[order], datagrams.arrival_ns[order],
                batch.payload_size[order], batch.verdict[order].astype(np.int64),
            )  # fmt: skip
            self._hear(heard, turn)
        if self.reporting is not None and (turn.verdict == Verdict.RTCP).any():
            self._listen(turn, self.reporting)
        self._tally(datagrams.tap, turn.verdict)

    def _listen(self, turn: Turn, reporting: Reporting) -> None:
        """Rule A13: RTCP on the port of RTP (RFC 5761), of sources that are latched."""
        d, at = turn.datagrams, np.flatnonzero(turn.verdict == Verdict.RTCP)
        for k in at[reporting.heard(d.tap[at], (d.high[at], d.low[at], d.port[at]))].tolist():
            datagram, arrival_ns = d.octets[k, : int(d.size[k])].tobytes(), int(d.arrival_ns[k])
            reporting.hear(int(d.tap[k]), datagram, arrival_ns + turn.wall_offset_ns)

    # -- who

    def _match(self, turn: Turn) -> Ints:
        """The stream of every datagram, −1 for those that get nowhere."""
        d, batch = turn.datagrams, turn.batch
        stream = np.full(turn.verdict.size, -1, np.int64)
        speaking = np.flatnonzero(turn.verdict <= Verdict.EVENT)
        columns: tuple[NDArray[Any], ...] = (d.tap, d.high, d.low, d.port, batch.ssrc, batch.sequence)
        if speaking.size < stream.size:
            columns = tuple(column[speaking] for column in columns)
            self._name_unknown(turn)
        tap, high, low, port, ssrc, sequence = columns
        stream[speaking] = self.sources.match(tap, (high, low, port), ssrc, sequence)
        strange = speaking[stream[speaking] < 0]
        if strange.size:
            self._meet(turn, strange, stream)
        return stream

    def _name_unknown(self, turn: Turn) -> None:
        d, batch = turn.datagrams, turn.batch
        for tap, at in self.unknown.note(batch, d.tap, (d.high, d.low, d.port)):
            source = Source(int(d.high[at]), int(d.low[at]), int(d.port[at]))
            self.sources.news.append(News(tap, "unknown_payload_type", source, None, int(batch.payload_type[at])))

    def _meet(self, turn: Turn, strange: Ints, stream: Ints) -> None:
        """Datagrams that match no stream, each tap's source and SSRC at once, in order of their first arrival."""
        d, batch = turn.datagrams, turn.batch
        keys = [column[strange] for column in (batch.ssrc, d.port, d.low, d.high, d.tap)]
        order = np.lexsort(keys)  # stable: within a group in order of arrival
        begins = np.zeros(order.size, np.bool_)
        begins[0] = True
        for key in keys:
            begins[1:] |= key[order[1:]] != key[order[:-1]]
        groups = np.split(strange[order], np.flatnonzero(begins)[1:])
        for members in sorted(groups, key=lambda group: int(group[0])):
            head = int(members[0])
            source = Source(int(d.high[head]), int(d.low[head]), int(d.port[head]))
            packets = Packets(
                batch.sequence[members], batch.timestamp[members], d.arrival_ns[members], batch.payload_size[members],
                batch.verdict[members].astype(np.int64),
            )  # fmt: skip
            found, fate = self.sources.meet(
                int(d.tap[head]), source, int(batch.ssrc[head]), packets, turn.now_ns, turn.wall_offset_ns
            )
            stream[members] = found
            turn.verdict[members[found < 0]] = fate

    # -- where

    def _hear(self, heard: Heard, turn: Turn) -> None:
        """Packets of known streams: count, find the place, place; then see which candidates have proved themselves."""
        now = self.state.now
        first, group = runs(heard.stream)
        involved = heard.stream[first]
        self.state.touch("streams", involved)
        self.state.touch("rows", now.streams["row"][involved])
        rank = np.arange(group.size) - first[group]
        most = int(rank.max()) + 1
        for start in range(0, most, LONGEST_RUN):
            part = heard if most <= LONGEST_RUN else heard.take((rank >= start) & (rank < start + LONGEST_RUN))
            self._place(part, turn)
        live = involved[now.streams["role"][involved] == Role.LIVE]
        taps = now.streams["tap"][live]
        self.state.touch("taps", taps)
        np.maximum.at(now.taps["heard_ns"], taps, now.streams["heard_ns"][live])  # before others claim its place (B5)
        for stream in involved[now.streams["role"][involved] == Role.PROBATION].tolist():
            mine = heard.at[heard.stream == stream]
            fate = self.sources.judge(stream, turn.known_ns(int(mine[0])), turn.now_ns + turn.wall_offset_ns)
            turn.verdict[mine[turn.verdict[mine] == Verdict.ACCEPTED]] = fate

    def _place(self, heard: Heard, turn: Turn) -> None:
        """At most `LONGEST_RUN` packets of each stream: those in plain order all at once, the others one by one."""
        survey = self.streams.survey(heard)
        position, plain = survey.position, survey.plain
        if plain.all():
            fresh = self.streams.count(heard, survey)
        else:
            fresh = np.zeros(heard.at.size, np.bool_)
            if plain.any():
                some = heard.take(plain)
                fresh[plain] = self.streams.count(some, self.streams.survey(some))
            for k in np.flatnonzero(~plain).tolist():
                position[k], fresh[k] = self._follow(heard, k, turn)
        if fresh.all():
            self._write(heard, position, turn)
        elif fresh.any():
            self._write(heard.take(fresh), position[fresh], turn)

    def _follow(self, heard: Heard, k: int, turn: Turn) -> tuple[int, bool]:
        """One packet that is not in plain order, or of a stream that is not live."""
        self.state.touch("streams_aside", int(heard.stream[k]))
        at, stream, sequence16, timestamp32, arrival_ns, size, kind = (int(column[k]) for column in heard)
        packet = Packet(sequence16, timestamp32, arrival_ns, size, kind, arrival_ns + turn.wall_offset_ns)
        place = self.clock.follow(stream, packet)
        turn.verdict[at] = place.verdict
        if kind != Verdict.ACCEPTED and place.verdict == kind:
            self._note_side(stream, place.timestamp, turn, at)
        record = self.state.now.streams[stream]
        if place.fresh:
            row = int(record["row"])
            edge = self.state.now.rows["edge"]
            edge[row] = max(int(edge[row]), place.position + size)  # the next packet's rules look at it
        elif place.verdict in FLAWS and not (place.verdict in REFUSED and turn.is_kept_out(at)):
            self._lose(stream, place.verdict)
        if record["role"] == Role.PROBATION and (place.fresh or place.verdict == kind != Verdict.ACCEPTED):
            self.sources.testify(stream, place.sequence, place.timestamp, arrival_ns)
        return place.position, place.fresh

    def _note_side(self, stream: int, timestamp: int, turn: Turn, at: int) -> None:
        """What is no speech is told beside it. Of a masked key (rule A8), and of what came inside a pause, nothing is
        read, so it is written nowhere."""
        batch, keys, arrival_ns = turn.batch, self.joining.keys, int(turn.datagrams.arrival_ns[at])
        is_key = batch.verdict[at] == Verdict.EVENT
        muted, pause = (False, FORGOTTEN) if turn.kept_out is None else (column[at] for column in turn.kept_out)
        if muted or (is_key and self._mask_dtmf):
            if is_key and not self._mask_dtmf:
                keys.withhold(stream, timestamp, arrival_ns)
            return
        start = int(batch.payload_at[at])
        payload = turn.datagrams.octets[at, start : start + min(int(batch.payload_size[at]), events.OCTETS)]
        if not is_key:
            keys.noise(stream, timestamp, events.noise_level(int(payload[0])), arrival_ns)
        elif payload.size == events.OCTETS:
            event, ended, duration = (column[0].item() for column in events.read(payload[None]))
            if self.state.now.streams["opus"][stream]:  # the clock of its timestamps
                duration //= opus.TICKS
            late = pause != FORGOTTEN and self.pauses.outlasted(stream, int(pause), timestamp, duration, arrival_ns)
            if late or keys.is_withheld(stream, timestamp, arrival_ns):
                keys.withhold(stream, timestamp, arrival_ns)
            else:
                self.sources.pressed(keys.press(stream, timestamp, event, ended, duration, arrival_ns))

    def _write(self, heard: Heard, position: Ints, turn: Turn) -> None:
        """Decode and put every packet at its place; what came after its block goes through the patch log (rule K6)."""
        rows, streams = self.state.now.rows, self.state.now.streams
        law = turn.batch.payload_type[heard.at]
        packed = law >= opus.DYNAMIC
        if packed.any() and not packed.all():
            for part in (packed, ~packed):
                self._write(heard.take(part), position[part], turn)
            return
        row = streams["row"][heard.stream].astype(np.int64)
        streams["law"][heard.stream] = law
        if not packed[0]:
            np.bitwise_or.at(streams["laws"], heard.stream, (law == g711.PCMA) + np.uint8(1))
        np.maximum.at(rows["edge"], row, position + heard.size)
        if turn.kept_out is not None:
            muted, pause = turn.kept_out[0][heard.at], turn.kept_out[1][heard.at]
            self.pauses.cover(row[muted], position[muted], heard.size[muted], pause[muted])
            heard, position, row, law = heard.take(~muted), position[~muted], row[~muted], law[~muted]
            if not heard.at.size:
                return
        late = position < rows["playout"][row]
        if law[0] >= opus.DYNAMIC:
            self._pack(heard.at[~late], row[~late], position[~late], turn)
        if (heard.size == heard.size[0]).all() and not late.any():
            self.timeline.place(row, position, self._sound(heard.at, law, int(heard.size[0]), turn))
            return
        sizes, counts = np.unique(heard.size, return_counts=True)
        common = sizes[np.argsort(-counts, kind="stable")][:MOST_SIZES]
        for size in common.tolist():
            group = np.flatnonzero((heard.size == size) & ~late)
            if group.size:
                self.timeline.place(row[group], position[group], self._sound(heard.at[group], law[group], size, turn))
        for k in np.flatnonzero(late | ~np.isin(heard.size, common)).tolist():
            sound = self._sound(heard.at[k : k + 1], law[k : k + 1], int(heard.size[k]), turn)
            if late[k]:
                self._patch(int(heard.stream[k]), int(row[k]), int(position[k]), sound[0], turn, int(heard.at[k]))
            else:
                self.timeline.place(row[k : k + 1], position[k : k + 1], sound)

    def _pack(self, at: Ints, row: Ints, position: Ints, turn: Turn) -> None:
        """Keep the octets; what lies on the ring are marks."""
        octets, payload_at = turn.datagrams.octets, turn.batch.payload_at[at]
        self.timeline.packets.put(row, position, octets, at, payload_at, turn.octets[at])

    @staticmethod
    def _sound(at: Ints, law: NDArray[np.uint8], size: int, turn: Turn) -> NDArray[np.int16]:
        if law[0] >= opus.DYNAMIC:
            return PacketRows.marks(size, turn.octets[at])
        return g711.decode(law, rtp.gather(turn.datagrams.octets, at, turn.batch.payload_at[at], size))

    def _patch(self, stream: int, row: int, position: int, sound: NDArray[np.int16], turn: Turn, at: int) -> None:
        record = self.state.now.streams[stream]
        tap = int(record["tap"])
        frame = self.timeline.frame(row, position)
        further = int(self.state.now.rows["further"][row])
        begun = self.state.now.rows["segment_frame"][row] if further else self.state.now.taps["segment_frame"][tap]
        if record["opus"]:  # its decoder has gone past it
            turn.verdict[at] = Verdict.LATE_LOST
            self._lose(stream, Verdict.LATE_LOST)
        elif frame >= begun and self.journal.patch(tap, frame, sound, further):
            record["statistics"]["late"] += 1
            self.timeline.patch(row, position, sound)
        else:
            turn.verdict[at] = Verdict.LATE_LOST
            self._lose(stream, Verdict.LATE_LOST)

    def _lose(self, stream: int, why: int) -> None:
        record = self.state.now.streams[stream]
        record["statistics"]["late_lost"] += why == Verdict.LATE_LOST
        if record["role"] != Role.PROBATION:  # a candidate's losses count once it is admitted
            tap = int(record["tap"])
            self.state.touch("taps", tap)
            self.state.now.taps["flaws"][tap] |= FLAWS[Verdict(why)]

    # -- how many

    def _tally(self, tap: NDArray[np.int32], verdict: NDArray[np.uint8]) -> None:
        """Every datagram is counted exactly once, for its tap and for the worker."""
        if not tap.size:
            return
        now = self.state.now
        first, group = runs(tap)
        counts = np.bincount(group * VERDICTS + verdict, minlength=first.size * VERDICTS).reshape(-1, VERDICTS)
        self.state.touch("taps", tap[first])
        if (np.diff(tap[first]) > 0).all():
            now.taps["verdicts"][tap[first]] += counts
        else:
            np.add.at(now.taps["verdicts"], tap[first], counts)
        now.world["verdicts"][0] += counts.sum(axis=0)
