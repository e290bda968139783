"""Streams in plain order, all at once: RFC 3550 A.1 (sequence), A.3 (loss) and A.8 (jitter) in closed form per batch.

Packets come sorted by stream, in order of arrival within one. ``survey`` says where each would lie and which streams
need the literal reading of `clock`; ``count`` books the others. Neither places a sample (rule K7).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media.clock import HEAD_START, MARGIN, SLACK
from receiver.media.columns import ENVELOPE_SECONDS, NS_PER_SAMPLE, SEEN_WORDS, Role
from receiver.media.pacing import Pacing
from receiver.media.state import State
from receiver.wire.opus import TICKS
from receiver.wire.serial import widen

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
LONGEST_RUN = 128  # packets of one stream at once: (16/15)**128 keeps the closed form of A.8 within 1e-9 of the loop
FAR_SEQUENCE = 1_000  # a jump of sequence numbers beyond it is looked at packet by packet
_FADE = 15 / 16
_FADED = _FADE ** np.arange(LONGEST_RUN + 1)
_GROWN = _FADE ** -np.arange(LONGEST_RUN + 1, dtype=np.float64)
_NS_PER_SECOND = 1_000_000_000


class Heard(NamedTuple):
    """Packets of known streams as columns, sorted by stream."""

    at: Ints  # row of the slab
    stream: Ints
    sequence16: Ints
    timestamp32: Ints
    arrival_ns: Ints
    size: Ints
    kind: Ints

    def take(self, which: Bools | Ints) -> "Heard":
        """The same columns for some of the packets."""
        return Heard(*(column[which] for column in self))


class Survey(NamedTuple):
    """Where packets would lie, and where each stream begins in them."""

    first: Ints  # index of each stream's first packet
    group: Ints  # which of them a packet belongs to
    sequence: Ints
    timestamp: Ints
    position: Ints
    newest: Bools  # its sequence number was the highest when it arrived
    plain: Bools  # per packet: nothing about its stream needs a closer look


def runs(keys: NDArray[Any]) -> tuple[Ints, Ints]:
    """Where equal neighbours begin, and to which run each element belongs. At least one element."""
    begins = np.ones(keys.size, np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=begins[1:])
    return np.flatnonzero(begins), np.cumsum(begins) - 1


class Streams:
    """The closed forms over the columns of the present turn."""

    def __init__(self, state: State, pacing: Pacing) -> None:
        self._state, self._pacing = state, pacing

    def survey(self, heard: Heard) -> Survey:
        """Widen (rule A5), find each packet's position, and tell plain streams from odd ones."""
        streams = self._state.now.streams
        first, group = runs(heard.stream)
        s = heard.stream[first]
        highest, reference = streams["statistics"]["highest_sequence"][s], streams["timestamp"][s]
        highest_of, reference_of = highest[group], reference[group]
        sequence = widen(highest_of, heard.sequence16, 16)
        if streams["opus"][s].any():
            timestamp = self._unlike(heard.timestamp32, reference_of, streams["opus"][s][group] > 0)
        else:
            timestamp = widen(reference_of, heard.timestamp32, 32)
        position = timestamp + streams["offset"][s][group]

        before_sequence = _before(sequence, first, highest)
        newest = sequence > before_sequence
        if newest.all():
            before_timestamp = _before(timestamp, first, reference)
            before_ns = _before(heard.arrival_ns, first, streams["arrival_ns"][s])
        else:
            own, before = _newest_before(sequence - highest_of, group)
            before_sequence = np.where(own, sequence[before], highest_of)
            newest = sequence > before_sequence
            before_timestamp = np.where(own, timestamp[before], reference_of)
            before_ns = np.where(own, heard.arrival_ns[before], streams["arrival_ns"][s][group])
        advance = timestamp - before_timestamp
        passed = np.maximum((heard.arrival_ns - before_ns) // NS_PER_SAMPLE, 0)
        odd = newest & ((advance < 0) | (advance > np.minimum(passed + SLACK, 2 * MARGIN)))
        odd |= np.abs(sequence - before_sequence) > FAR_SEQUENCE
        step = streams["step"][s][group]  # rule A7: where numbers and timestamps do not go on evenly, a hole may be
        odd |= (timestamp - reference_of != (sequence - highest_of) * step) | (heard.size != step)
        odd |= heard.kind != 0
        plain = ~(np.logical_or.reduceat(odd, first) | self._odd(heard, first, s, sequence, position))
        return Survey(first, group, sequence, timestamp, position, newest, plain[group])

    @staticmethod
    def _unlike(timestamp32: Ints, reference: Ints, opus: Bools) -> Ints:
        """Widened timestamps, in samples of the ring, where some of the streams are of Opus (`lines.widened`)."""
        ticks = np.where(opus, TICKS, 1)
        return widen(reference * ticks, timestamp32, 32) // ticks

    def _odd(self, heard: Heard, first: Ints, s: Ints, sequence: Ints, position: Ints) -> Bools:
        """Which streams need a closer look, by their columns and the extremes of their packets; rather one too many."""
        streams, rows = self._state.now.streams, self._state.now.rows
        row = streams["row"][s]
        lowest, transit = np.minimum.reduceat(sequence, first), heard.arrival_ns // NS_PER_SAMPLE - position
        end = np.maximum.reduceat(position + heard.size, first)
        least = np.minimum(streams["envelope"][s].min(axis=1), np.minimum.reduceat(transit, first))
        splices, low = rows["splices"][row], rows["low"][row]
        shift = np.where(splices > 0, rows["splice_shift"][row, np.maximum(splices - 1, 0)], rows["shift"][row])
        elapsed = (heard.arrival_ns[first] - rows["anchor_ns"][row]) // NS_PER_SAMPLE
        top = np.maximum(np.maximum.reduceat(sequence, first), streams["statistics"]["highest_sequence"][s])
        odd: Bools = streams["role"][s] != Role.LIVE
        odd |= (lowest < streams["line_sequence"][s]) | (lowest < streams["watch"][s])
        odd |= (np.maximum.reduceat(transit, first) - least > SLACK) | (streams["run_packets"][s] > 0)
        odd |= end + shift > low + elapsed + elapsed // 1_000 + HEAD_START
        odd |= end > rows["freed"][row] + self._state.shape.window
        begin = np.maximum(np.maximum(low, rows["floor"][row]), streams["begin"][s])
        odd |= np.minimum.reduceat(position, first) < begin
        odd |= (top >> 6) - (lowest >> 6) >= SEEN_WORDS  # all must be told apart by what `seen` remembers
        return odd

    def count(self, heard: Heard, survey: Survey) -> Bools:
        """Book packets whose streams are all plain; returns which of them are fresh, that is no duplicates."""
        streams = self._state.now.streams
        first = survey.first
        s = heard.stream[first]
        last = np.append(first[1:], heard.stream.size) - 1
        fresh = self._see(heard, survey, s)
        statistics = streams["statistics"]
        statistics["packets"][s] += last - first + 1
        new = np.flatnonzero(survey.newest)
        if new.size < survey.newest.size:
            statistics["duplicate"][s] += np.add.reduceat(~fresh, first, dtype=np.int64)
            statistics["reordered"][s] += np.add.reduceat(fresh & ~survey.newest, first, dtype=np.int64)
            lowest = np.minimum.reduceat(survey.sequence, first)
            statistics["base_sequence"][s] = np.minimum(statistics["base_sequence"][s], lowest)
        else:
            new = last
        # ascending: of a stream's newest packets the last one is the highest
        streams["timestamp"][heard.stream[new]] = survey.timestamp[new]
        streams["arrival_ns"][heard.stream[new]] = heard.arrival_ns[new]
        statistics["highest_sequence"][heard.stream[new]] = survey.sequence[new]
        streams["longest"][s] = np.maximum(streams["longest"][s], np.maximum.reduceat(heard.size, first))
        streams["heard_ns"][s] = np.maximum(streams["heard_ns"][s], np.maximum.reduceat(heard.arrival_ns, first))
        self._jitter(heard, survey, s, last)
        self._envelope(heard, survey, s)
        self._pacing.hear_all(s, first, survey.group, survey.position, heard.arrival_ns)
        return fresh

    def _see(self, heard: Heard, survey: Survey, s: Ints) -> Bools:
        """Mark sequence numbers as seen; a packet whose mark was there is a duplicate (rule K3)."""
        streams = self._state.now.streams
        seen = streams["seen"]
        old = streams["statistics"]["highest_sequence"][s]
        top = np.maximum(np.maximum.reduceat(survey.sequence, survey.first), old) >> 6
        ahead = np.minimum(top - (old >> 6), SEEN_WORDS)
        for k in range(int(ahead.max(initial=0))):
            on = ahead > k
            seen[s[on], (top[on] - k) % SEEN_WORDS] = 0

        block = survey.sequence >> 6
        bit = np.uint64(1) << (survey.sequence & 63).astype(np.uint64)
        word = (heard.stream, block % SEEN_WORDS)
        if survey.newest.all():
            fresh = np.ones(block.size, np.bool_)
        else:
            fresh = (seen[word] & bit) == 0
            numbers = (survey.group << 20) + survey.sequence - old[survey.group]
            _, original = np.unique(numbers, return_index=True)
            again = np.ones(block.size, np.bool_)
            again[original] = False
            fresh &= ~again
        np.bitwise_or.at(seen, word, bit)
        return fresh

    def _jitter(self, heard: Heard, survey: Survey, s: Ints, last: Ints) -> None:
        """RFC 3550 A.8, ``J += (|D| - J) / 16``, unrolled: each |D| fades by 15/16 for every later packet."""
        streams, first, group = self._state.now.streams, survey.first, survey.group
        transit = heard.arrival_ns / NS_PER_SAMPLE - survey.position
        share = np.abs(transit - _before(transit, first, streams["transit"][s])) / 16
        untimed = np.isnan(share[first])  # the first packet after a new line has nothing to be compared with
        share[first[untimed]] = 0.0
        rank = np.arange(group.size) - (first - 1 + untimed)[group]
        weighed = share * _GROWN[rank]
        grown = np.cumsum(weighed)
        grown -= (grown[first] - weighed[first])[group]
        statistics = streams["statistics"]
        jitter = (statistics["jitter"][s][group] + grown) * _FADED[rank]
        statistics["jitter_max"][s] = np.maximum(statistics["jitter_max"][s], np.maximum.reduceat(jitter, first))
        statistics["jitter_sum"][s] += np.add.reduceat(jitter, first) - np.where(untimed, jitter[first], 0.0)
        statistics["timed"][s] += last - first + 1 - untimed
        statistics["jitter"][s] = jitter[last]
        streams["transit"][s] = transit[last]

    def _envelope(self, heard: Heard, survey: Survey, s: Ints) -> None:
        """Rule A17: the least transit of each of the last ten seconds in which packets came.

        A stream's packets of one second are a stretch; where a new second begins, the next place of the envelope is
        taken.
        """
        streams, group = self._state.now.streams, survey.group
        transit = heard.arrival_ns // NS_PER_SAMPLE - survey.position
        before = streams["envelope_second"][s]
        second = np.maximum(heard.arrival_ns // _NS_PER_SECOND, before[group])
        begin, _ = runs(np.maximum.accumulate((group << 40) + second))
        owner, reached = group[begin], np.maximum.reduceat(second, begin)
        head, _ = runs(owner)
        turned = np.ones(begin.size, np.bool_)
        turned[head] = reached[head] > before
        turns: Ints = np.cumsum(turned, dtype=np.int64)
        turns = turns - (turns - turned)[head][owner]
        at = (streams["envelope_at"][s][owner] + turns) % ENVELOPE_SECONDS
        least = np.minimum.reduceat(transit, begin)
        same = ~turned
        least[same] = np.minimum(least[same], streams["envelope"][s[owner[same]], at[same]])
        streams["envelope"][s[owner], at] = least
        last = np.append(head[1:], begin.size) - 1
        streams["envelope_second"][s], streams["envelope_at"][s] = reached[last], at[last]


def _before(column: NDArray[Any], first: Ints, heads: NDArray[Any]) -> NDArray[Any]:
    """The column one packet earlier; a stream's first packet has ``heads`` before it."""
    before = np.empty_like(column)
    before[1:] = column[:-1]
    before[first] = heads
    return before


def _newest_before(gain: Ints, group: Ints) -> tuple[Bools, Ints]:
    """Which packet was its stream's newest before each one; not ``own`` where that is from an earlier batch.

    ``gain`` is the sequence number less the stream's highest. A running maximum that carries an index; of equal numbers
    the first to arrive counts.
    """
    bits = gain.size.bit_length()
    index = np.arange(gain.size)
    best = np.maximum.accumulate((group << 18 + bits) + (gain + (1 << 17) << bits) + (gain.size - index))
    before = np.zeros_like(index)
    before[1:] = gain.size - (best[:-1] & (1 << bits) - 1)
    own = np.zeros(gain.size, np.bool_)
    own[1:] = group[1:] == group[:-1]
    return own & (gain[before] > 0), before
