"""Rule A12: SSRCs of one source that are alive beside each other, told from one that took over (rule A11).

A second SSRC waits on its probation row until it is decided, so none of its samples is ever among another's:

* the first one falls silent for a horizon: it has changed, and the tap's row goes on (`Sources`);
* the first one goes on, its newest packets arriving a second after the second one's first: both live, and the
  probation row becomes a channel of its own, with a part of its own;
* they take turns more often than a sender changes its SSRC (rule A11's eight a minute), and the one that returns went
  on with its numbers meanwhile: both live, too.

At most `MOST_LIVE` have a row at once; what is beyond is counted as CROWDED.
"""

import numpy as np

from receiver.media.columns import Role
from receiver.media.joining import Joining
from receiver.media.standing import of_candidate
from receiver.media.state import State
from receiver.media.streams import FAR_SEQUENCE
from receiver.wire.rtp import Verdict
from receiver.wire.serial import widen

SECOND_NS = 1_000_000_000
IDLE_NS = 3 * SECOND_NS  # of silence: its row may go on with another
PACKETS = 25  # of a second SSRC, before it is one


class Beside:
    """Reads the columns of the present turn; `Joining` changes them."""

    def __init__(self, state: State, joining: Joining, wait_ns: int) -> None:
        self._state, self._joining, self._wait_ns = state, joining, wait_ns

    def take_over(
        self, stream: int, tap: int, same_source: bool, known_ns: int, last_call: bool
    ) -> tuple[Verdict, bool]:
        """What becomes of a candidate that has proved itself while its tap has a row: ACCEPTED or why not now, and
        whether it lives beside the tap's stream (rule A12) instead of after it (rules A11, B5)."""
        now = self._state.now
        old = int(now.taps["stream"][tap])
        alive = old >= 0 and known_ns - int(now.streams["heard_ns"][old]) < self._wait_ns
        if same_source and self.overlap(stream, old, alive, last_call):
            return self.admit(stream, tap, known_ns), True
        if alive and not last_call:
            return Verdict.PROBATION, False
        verdict = self._joining.join(stream, tap)
        if verdict == Verdict.EPOCH_LIMIT and self.returns(stream, tap):
            return self.admit(stream, tap, known_ns), True
        return verdict, False

    def overlap(self, stream: int, old: int, alive: bool, last_call: bool) -> bool:
        """Whether a tap's stream goes on beside this one. Of a change of SSRC the old one's newest packets may come
        after the new one's first, but not for long."""
        if old < 0:
            return False
        streams = self._state.now.streams
        over_ns = int(streams["arrival_ns"][old]) - int(streams["born_ns"][stream])
        if last_call:
            return over_ns >= self._wait_ns
        return alive and over_ns >= SECOND_NS and bool(streams["statistics"]["packets"][stream] >= PACKETS)

    def returns(self, stream: int, tap: int) -> bool:
        """Whether this was heard before another took over, and its numbers went on meanwhile."""
        streams = self._state.now.streams
        ssrc, first = streams["ssrc"][stream], int(streams["statistics"]["base_sequence"][stream]) & 0xFFFF
        past = [s for s in self._joining.census.of(tap) if streams["role"][s] == Role.PAST]
        past = [s for s in past if streams["ssrc"][s] == ssrc and streams["source"][s] == streams["source"][stream]]
        highest = np.array([streams["statistics"]["highest_sequence"][s] for s in past], np.int64)
        return bool((np.abs(widen(highest, first, 16) - highest) < FAR_SEQUENCE).any())

    def admit(self, stream: int, tap: int, known_ns: int) -> Verdict:
        """Give it a channel beside the others: ACCEPTED, or why not now."""
        verdict = self._joining.beside(stream, tap, known_ns - IDLE_NS)
        if verdict == Verdict.ACCEPTED:
            self._state.now.taps["flaws"][tap] |= of_candidate(self._state.now.streams["statistics"][stream])
        return verdict
