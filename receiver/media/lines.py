"""The lines of a stream's clock: ``position = timestamp + offset`` holds until the clock jumps or a splice is put in.

Packets that are still under way when a new line opens belong to an earlier one. Sequence numbers say to which, and
where they do not (numbers that never came lie between two lines) the timestamp does: it fits one of the two better.
"""

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import EARLIER_LINES, FAR
from receiver.wire.opus import TICKS
from receiver.wire.serial import widen


@overload
def widened(record: Any, reference: int, timestamp32: int) -> int: ...
@overload
def widened(record: Any, reference: int, timestamp32: NDArray[np.int64]) -> NDArray[np.int64]: ...
def widened(record: Any, reference: int, timestamp32: int | NDArray[np.int64]) -> int | NDArray[np.int64]:
    """A stream's timestamps as sent, nearest a reference, in samples of the ring: six ticks of Opus' clock are one."""
    if record["opus"]:
        return widen(reference * TICKS, timestamp32, 32) // TICKS
    return widen(reference, timestamp32, 32)


def spoken(record: Any) -> bool:
    """Whether a stream has had speech, that is, has a line."""
    return bool(record["line_sequence"] != FAR)


def turn(record: Any, sequence: int, timestamp: int, position: int, end: int, begin: int) -> None:
    """Open a line at this packet. The line before ends at ``end``; the new one has nothing below ``begin``."""
    earlier = record["earlier"]
    earlier[1:] = earlier[:-1].copy()
    earlier[0] = (
        record["line_sequence"], record["statistics"]["highest_sequence"], record["timestamp"], record["offset"],
        end, begin,
    )  # fmt: skip
    record["turns"] += 1
    record["line_sequence"], record["line_timestamp"] = sequence, timestamp
    record["offset"] = position - timestamp


def shift(record: Any, delta: int) -> None:
    """All lines, from positions in one row to positions in another."""
    record["offset"] += delta
    earlier = record["earlier"][: min(int(record["turns"]), EARLIER_LINES)]
    for column in ("offset", "end", "next_begin"):
        earlier[column] += delta


def earlier(record: Any, sequence: int, timestamp32: int, size: int) -> int | None:
    """The position of a packet from before the present line's first; None: it has no place on any line that is known.

    A packet with a number that an earlier line has passed is of that line. One with a number between two lines is of
    the one that its timestamp fits, packet by packet of the present size.
    """
    step, turns = int(record["step"]), int(record["turns"])
    known, known_timestamp, offset = (int(record[name]) for name in ("line_sequence", "line_timestamp", "offset"))
    for k in range(min(turns, EARLIER_LINES)):
        start, last, last_timestamp, own_offset, end, next_begin = (int(value) for value in record["earlier"][k].item())
        timestamp = widened(record, last_timestamp, timestamp32)
        if sequence > last:
            younger = widened(record, known_timestamp, timestamp32)
            here = known_timestamp - younger - (known - sequence) * step
            there = timestamp - last_timestamp - (sequence - last) * step
            if abs(here) <= abs(there):
                return younger + offset if younger + offset >= next_begin else None
        if sequence >= start or k + 1 == turns:
            return timestamp + own_offset if timestamp + own_offset + size <= end else None
        known, known_timestamp, offset = last, last_timestamp, own_offset
    return None if turns else widened(record, known_timestamp, timestamp32) + offset
