"""Who may be heard at a tap (rules B), decided on columns before a sample is placed (rule K7).

A source that is not known yet becomes a **candidate**: a stream on probation that writes into a ring row of its own, so
that probation costs no sound (rule A3). What it must prove depends on the tap's policy: `claims`.
A first candidate writes into the tap's own row, and its admission is one number; a later one (another SSRC, another
source) is joined to the tap's row by `Joining`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media import lines
from receiver.media.address import NOWHERE, Source
from receiver.media.beside import Beside
from receiver.media.claims import SILENCE_NS, Claim, Claims
from receiver.media.clock import SLACK, Clock, Packet
from receiver.media.columns import (
    ADDRESS,
    FAR,
    LONGEST_PACKET,
    NS_PER_SAMPLE,
    Flaw,
    NoteKind,
    Policy,
    Role,
    TapState,
    Trust,
)
from receiver.media.drain import RESERVE
from receiver.media.joining import Joining
from receiver.media.journal import Journal
from receiver.media.keys import Pressed
from receiver.media.packets import preroll
from receiver.media.proof import Evidence, consistent, in_sequence
from receiver.media.standing import of_candidate
from receiver.media.state import State
from receiver.media.streams import FAR_SEQUENCE
from receiver.wire.rtp import Verdict
from receiver.wire.serial import widen

__all__ = ["NOWHERE", "SILENCE_NS", "News", "Packets", "Source", "Sources"]

Ints = NDArray[np.int64]
SECOND_NS = 1_000_000_000
PROBATION_NS = 4 * SECOND_NS  # rule A3
PAST_NS = 5 * SECOND_NS
MOST_CANDIDATES = 4  # rule B1
PROOFS = ("proof_sequence", "proof_timestamp", "proof_arrival_ns")


class News(NamedTuple):
    """Something that the worker acts on or tells: receiving, source_changed, source_conflict, silent, epoch, dtmf,
    unknown_payload_type, second_ssrc."""

    tap: int
    event: str
    source: Source
    pressed: Pressed | None = None
    payload_type: int | None = None


class Packets(NamedTuple):
    """Datagrams of one tap, source and SSRC, in order of arrival, as columns."""

    sequence16: Ints
    timestamp32: Ints
    arrival_ns: Ints
    size: Ints
    kind: Ints

    def one(self, k: int, wall_offset_ns: int) -> Packet:
        """One of them."""
        sequence16, timestamp32, arrival_ns, size, kind = (int(column[k]) for column in self)
        return Packet(sequence16, timestamp32, arrival_ns, size, kind, arrival_ns + wall_offset_ns)


class Sources:
    """Matches datagrams to streams, keeps candidates, latches."""

    def __init__(self, state: State, journal: Journal, clock: Clock, joining: Joining, allow: list[str]) -> None:
        self._state, self._journal, self._clock, self._joining = state, journal, clock, joining
        self._claims = Claims(allow)
        self._beside = Beside(state, joining, clock.horizon * NS_PER_SAMPLE)
        self.news: list[News] = []

    # -- matching

    def match(self, tap: NDArray[Any], source: tuple[NDArray[Any], ...], ssrc: NDArray[Any], sequence16: Ints) -> Ints:
        """The live stream of each datagram where tap, source, SSRC and number agree; -1 for the others."""
        taps, streams = self._state.now.taps, self._state.now.streams
        stream: Ints = taps["stream"][tap].astype(np.int64)
        state = taps["state"][tap]
        known = (state == TapState.OPEN) | (state == TapState.CLOSING)
        known &= (stream >= 0) & (streams["ssrc"][stream] == ssrc)
        seen = streams["source"]
        for name, column in zip(ADDRESS.names or (), source, strict=True):
            known &= seen[name][stream] == column
        moved = sequence16 - streams["statistics"]["highest_sequence"][stream] & 0xFFFF
        known &= (moved < FAR_SEQUENCE) | (moved > 0x1_0000 - FAR_SEQUENCE)
        stream[~known] = -1
        return stream

    def meet(
        self, tap: int, source: Source, ssrc: int, packets: Packets, now_ns: int, wall_offset_ns: int
    ) -> tuple[Ints, int]:
        """The stream of each datagram that ``match`` knew none for, or −1; and the verdict of those without."""
        found = np.full(packets.sequence16.size, -1, np.int64)
        record = self._state.now.taps[tap]
        if record["state"] not in (TapState.OPEN, TapState.CLOSING):
            return found, Verdict.STRAY
        claim = self._claims.of(record, source, int(packets.arrival_ns[0]))
        if claim is None:
            return found, Verdict.FOREIGN
        mine = self._joining.census.of(tap)
        streams = self._state.now.streams
        for stream in mine:
            if streams["ssrc"][stream] == ssrc and Source.read(streams["source"][stream]) == source:
                found[(found < 0) & self._continues(stream, packets)] = stream
        rest = np.flatnonzero(found < 0)
        if rest.size:
            candidates = sum(1 for stream in mine if streams["role"][stream] == Role.PROBATION)
            first = packets.one(int(rest[0]), wall_offset_ns)
            found[rest] = -1 if candidates >= MOST_CANDIDATES else self._joining.candidate(tap, source, ssrc, first)
            stream = int(found[rest[0]])
            if stream >= 0 and claim.packets == 1 and not record["first_ns"] and now_ns >= claim.not_before_ns:
                self._admit(stream, tap, source, claim, now_ns, first.wall_ns)  # its first packet is all the proof
        return found, Verdict.CROWDED

    def _continues(self, stream: int, packets: Packets) -> NDArray[np.bool_]:
        """Which packets that are not next to the live stream's newest can belong to this stream all the same."""
        record = self._state.now.streams[stream]
        highest, newest = int(record["statistics"]["highest_sequence"]), int(record["timestamp"])
        moved = widen(highest, packets.sequence16, 16) - highest
        timestamp = lines.widened(record, newest, packets.timestamp32)
        near = np.abs(moved) < FAR_SEQUENCE
        if record["role"] == Role.LIVE:  # an outage of the network: both went on, and not for longer than it took
            beside = self._state.now.taps["stream"][record["tap"]] != stream  # rule A12: nobody matched it before
            passed = (packets.arrival_ns - int(record["arrival_ns"])) // NS_PER_SAMPLE
            return np.asarray(((moved > 0) & (np.abs(timestamp - newest - passed) < SLACK)) | (near & beside))
        if record["role"] == Role.PAST:
            near &= lines.spoken(record) & (timestamp + int(record["offset"]) + packets.size <= int(record["limit"]))
        return np.asarray(near)

    # -- candidates

    def testify(self, stream: int, sequence: int, timestamp: int, arrival_ns: int) -> None:
        """Keep what a candidate's packet proves; of its different sequence numbers the eight highest. Both widened."""
        record = self._state.now.streams[stream]
        count = int(record["proofs"])
        numbers = record["proof_sequence"][:count].tolist()
        if sequence in numbers:
            return
        k = sum(1 for number in numbers if number < sequence)
        if count == record["proof_sequence"].size:
            if k == 0:
                return
            k, count = k - 1, count - 1
            for name in PROOFS:
                record[name][:-1] = record[name][1:].copy()
        for name, value in zip(PROOFS, (sequence, timestamp, arrival_ns), strict=True):
            record[name][k + 1 : count + 1] = record[name][k:count].copy()
            record[name][k] = value
        record["proofs"] = count + 1

    # -- latching

    def judge(self, stream: int, known_ns: int, wall_ns: int, last_call: bool = False) -> Verdict:
        """Admit a candidate if it has proved what its tap asks for: ACCEPTED, or why it may not be heard now.

        One that takes over from another stream waits until that one was silent for a horizon (or the ``last_call``), so
        that all that overtook each other is in its own row; candidates of the same source that came before it go first.
        """
        now = self._state.now
        record = now.streams[stream]
        if record["role"] != Role.PROBATION:  # another one was admitted just now, and this one dismissed
            return Verdict.PROBATION
        tap = int(record["tap"])
        source = Source.read(record["source"])
        claim = self._claims.of(now.taps[tap], source, int(record["heard_ns"]))
        if claim is None or known_ns < claim.not_before_ns or not self._proved(record, claim):
            return Verdict.PROBATION
        if claim.alone and self._contested(tap, source, claim):
            return Verdict.PROBATION
        for elder in self._elders(stream, tap, source, claim):
            if self._admit(elder, tap, source, claim, known_ns, wall_ns, last_call) != Verdict.ACCEPTED:
                return Verdict.PROBATION
        return self._admit(stream, tap, source, claim, known_ns, wall_ns, last_call)

    def _elders(self, stream: int, tap: int, source: Source, claim: Claim) -> list[int]:
        """Candidates of the same source that came earlier and have proved as much, the first to come first."""
        if self._state.now.taps["stream"][tap] < 0:
            return []
        streams = self._state.now.streams
        born_ns = streams["born_ns"][stream]
        mine = [s for s in self._joining.census.of(tap) if streams["role"][s] == Role.PROBATION and s != stream]
        mine = [s for s in mine if streams["born_ns"][s] < born_ns and Source.read(streams["source"][s]) == source]
        return sorted((s for s in mine if self._proved(streams[s], claim)), key=lambda s: int(streams["born_ns"][s]))

    def _contested(self, tap: int, source: Source, claim: Claim) -> bool:
        """Whether another source has proved as much, or had: then none of them is heard (rule B2)."""
        if self._state.now.taps["flaws"][tap] & Flaw.CONFLICT:
            return True
        streams = self._state.now.streams
        candidates = [s for s in self._joining.census.of(tap) if streams["role"][s] == Role.PROBATION]
        rivals = [s for s in candidates if Source.read(streams["source"][s]) != source]
        if not any(self._proved(streams[s], claim) for s in rivals):
            return False
        self._state.touch("taps", tap)
        self._state.now.taps["flaws"][tap] |= Flaw.CONFLICT
        self._say(tap, "source_conflict", source)
        return True

    @staticmethod
    def _proved(record: Any, claim: Claim) -> bool:
        count = int(record["proofs"])
        evidence = Evidence(*(record[name][:count] for name in PROOFS))
        if claim.span_ns:
            return consistent(evidence, claim.packets, claim.span_ns, int(record["step"]))
        return in_sequence(evidence, claim.packets)

    def _admit(
        self, stream: int, tap: int, source: Source, claim: Claim, known_ns: int, wall_ns: int, last_call: bool = False
    ) -> Verdict:
        now = self._state.now
        self._state.touch("taps", tap)
        self._state.touch("streams", stream)
        self._state.touch("streams_aside", stream)
        record = now.taps[tap]
        before = Source.read(record["source"]) if record["first_ns"] else NOWHERE
        if not record["first_ns"] or now.rows["low"][record["row"]] == FAR:
            self._joining.begin(stream, tap)
        else:
            verdict, beside = self._beside.take_over(stream, tap, before == source, known_ns, last_call)
            if beside and verdict == Verdict.ACCEPTED:
                self._say(tap, "second_ssrc", source)
            if beside or verdict != Verdict.ACCEPTED:
                return verdict
        record["stream"], record["trust"], record["source"] = stream, claim.trust, tuple(source)
        record["heard_ns"] = max(int(record["heard_ns"]), int(now.streams["heard_ns"][stream]))
        record["flaws"] |= Flaw.UNANNOUNCED if claim.trust == Trust.UNANNOUNCED else 0
        record["flaws"] |= of_candidate(now.streams["statistics"][stream])
        if before == source:
            self._say(tap, "epoch", source)
            return Verdict.ACCEPTED
        self._journal.note(
            tap, NoteKind.SOURCE, source=tuple(source), trust=claim.trust, wall_ns=wall_ns,
            ssrc=now.streams["ssrc"][stream],
        )  # fmt: skip
        record["moves"] += before != NOWHERE
        self._say(tap, "receiving" if before == NOWHERE else "source_changed", source)
        self._joining.dismiss(tap)
        return Verdict.ACCEPTED

    def retarget(self, tap: int, policy: Policy, announced: Source, now_ns: int | None = None) -> None:
        """Rule B5: the API tells a new source. What is latched and no longer meant loses its place at once.

        With ``now_ns`` the wait of rule B2 for an announced source begins anew.
        """
        self._state.touch("taps", tap)
        record = self._state.now.taps[tap]
        record["policy"], record["announced"] = policy, tuple(announced)
        record["answered_ns"] = record["answered_ns"] if now_ns is None else now_ns
        stream = int(record["stream"])
        if stream < 0:
            return
        meant = self._claims.first(record, Source.read(record["source"]), latched=True)
        if meant is not None:
            record["trust"] = meant.trust
            return
        self._joining.retire(stream)
        record["stream"], record["trust"] = -1, Trust.NONE
        self._say(tap, "silent", Source.read(record["source"]))

    def conclude(self, tap: int, now_ns: int, wall_ns: int) -> None:
        """The tap's last drain follows: what was proved and waited to take over is heard now."""
        for stream in self._joining.census.of(tap):
            self.judge(stream, now_ns, wall_ns, last_call=True)
            if self._state.now.streams["role"][stream] >= Role.LIVE:
                self._state.touch("streams_aside", stream)
                self.pressed(self._joining.keys.settle(stream))

    def review(self, known_ns: int | Ints, wall_ns: int) -> None:
        """What time alone decides: candidates that wait or are too old, streams long past, clocks that stood last.

        ``known_ns``: up to which instant all that came was read, of every tap or of each (`Drain.ripe`).
        """
        now = self._state.now
        streams, known = now.streams, np.broadcast_to(known_ns, now.taps.size)[now.streams["tap"]]
        for stream in np.flatnonzero(streams["role"] == Role.PROBATION).tolist():
            self.judge(stream, int(known[stream]), wall_ns)
            if streams["role"][stream] == Role.PROBATION:
                answered_ns = now.taps["answered_ns"][streams["tap"][stream]]
                if known[stream] - max(streams["born_ns"][stream], answered_ns) >= PROBATION_NS:
                    self._give_up(stream)
        for stream in self._joining.keys.waiting():
            self._state.touch("streams_aside", stream)
            self.pressed(self._joining.keys.settle(stream, int(known[stream])))
        silent_ns = known - streams["heard_ns"]
        for stream in np.flatnonzero((streams["role"] == Role.PAST) & (silent_ns > PAST_NS)).tolist():
            self._joining.bury(stream)
        running = np.flatnonzero(streams["run_packets"] > 0)
        spoken_ns = streams["arrival_ns"][running]  # comfort noise goes on while a speaker is silent
        still = running[(known[running] - spoken_ns > SECOND_NS) | self._chokes(running)]
        self._state.touch("streams", still)
        streams["run_packets"][still] = 0

    def _chokes(self, streams: Ints) -> NDArray[np.bool_]:
        """Which runs of rule A17 leave the ring no room for the packets that would decide them: those stay unread."""
        now, window = self._state.now, self._state.shape.window
        row = now.streams["row"][streams]
        kept = np.where(now.rows["packed"][row] > 0, preroll(window), 0)
        queued = now.rows["edge"][row] - now.streams["run_position"][streams]
        return np.asarray(kept + queued + RESERVE + LONGEST_PACKET > window)

    def _give_up(self, stream: int) -> None:
        """A candidate's time is over. If it was one more SSRC of the source itself (rule A12), that must be known."""
        record = self._state.now.streams[stream]
        tap = int(record["tap"])
        taps = self._state.now.taps
        own = taps["stream"][tap] >= 0 and Source.read(taps["source"][tap]) == Source.read(record["source"])
        if own and self._proved(record, Claim(2, Trust.NONE)):
            self._state.touch("taps", tap)
            taps["flaws"][tap] |= Flaw.SSRCS
        self._joining.discard(stream)

    def pressed(self, keys: list[Pressed]) -> None:
        """Tell of keys."""
        sources = self._state.now.taps["source"]
        self.news += [News(key.tap, "dtmf", Source.read(sources[key.tap]), key) for key in keys]

    def _say(self, tap: int, event: str, source: Source) -> None:
        self.news.append(News(tap, event, source))
