"""What "n in sequence" means: n packets of one SSRC with different sequence numbers inside a span of 32, in any order
of arrival, timestamps rising with the sequence. (Four consecutive *arrivals* would take 8.8 s at 200 ms of reordering.)
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
SPAN = 32


class Evidence(NamedTuple):
    """A candidate's packets, sorted by sequence number, each number once. All int64, widened."""

    sequence: Ints
    timestamp: Ints
    arrival_ns: Ints


def in_sequence(evidence: Evidence, packets: int) -> bool:
    """True if some ``packets`` neighbours lie inside the span with rising timestamps."""
    return bool(_runs(evidence, packets).size)


def consistent(evidence: Evidence, packets: int, span_ns: int, step: int) -> bool:
    """The same, with arrivals spread over ``span_ns``, and timestamps that advance by about a packet per number."""
    for start in _runs(evidence, packets).tolist():
        run = slice(start, start + packets)
        numbers, times = np.diff(evidence.sequence[run]), np.diff(evidence.timestamp[run])
        even = bool(np.all((2 * times >= numbers * step) & (times <= 2 * numbers * step)))
        if even and np.ptp(evidence.arrival_ns[run]) >= span_ns:
            return True
    return False


def _runs(evidence: Evidence, packets: int) -> Ints:
    """Where runs of ``packets`` neighbours begin that are in sequence."""
    count = evidence.sequence.size - packets + 1
    if count < 1:
        return np.empty(0, np.int64)
    start = np.arange(count)
    near = evidence.sequence[start + packets - 1] - evidence.sequence[start] < SPAN
    rising = np.r_[0, np.cumsum(np.diff(evidence.timestamp) > 0)]
    return np.flatnonzero(near & (rising[start + packets - 1] - rising[start] == packets - 1))
