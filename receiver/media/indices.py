"""Which packet indices of a tap's SSRCs came (RFC 3711, sections 3.3.1 and 3.3.2), by columns alone.

A turn loads what it needs of a tap's `INDEX` records once, and writes it back once: packets are taken one by one here.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from receiver.media.address import Source
from receiver.media.columns import SEEN_WORDS
from receiver.wire.serial import widen

WINDOW: Final = 64 * SEEN_WORDS
"""Behind the highest index: what is older cannot be told from what came before."""
MOVED_NS: Final = 3_000_000_000  # rule B5: after so much silence an SSRC may come from elsewhere
MOST_CIRCLES: Final = 8  # of an outage: 1.5 hours of packets of 10 ms
_CIRCLE: Final = 1 << 16
_HALF_CIRCLE_NS: Final = (_CIRCLE >> 1) * 10_000_000  # of the shortest packets, 10 ms
_WHOLE: Final = (1 << WINDOW) - 1


class Place:
    """One SSRC. ``index`` is the highest that came, −1 before the first; bit k of ``seen`` is the index k below it."""

    __slots__ = ("heard_ns", "index", "number", "seen", "source", "source_ns")

    def __init__(self, number: int, record: Any | None = None) -> None:
        self.number, self.index, self.seen, self.heard_ns = number, -1, 0, 0
        self.source: tuple[int, int, int] = (0, 0, 0)
        self.source_ns = 0
        if record is not None:
            self.index, self.heard_ns = int(record["index"]), int(record["heard_ns"])
            self.seen = int.from_bytes(record["seen"].astype("<u8").tobytes(), "little")
            self.source, self.source_ns = Source.read(record["source"]), int(record["source_ns"])

    def guesses(self, sequence16: int, arrival_ns: int) -> Sequence[int]:
        """Which index a sequence number may stand for, the likeliest first.

        A sender begins in the first circle. Its first packets may cross the end of that and overtake each other. Later
        the nearest index is meant (rule A5), but for what comes after an outage that may have been longer than half a
        circle.
        """
        if self.index < 0:
            return (sequence16, sequence16 + _CIRCLE) if sequence16 < WINDOW else (sequence16,)
        index = widen(self.index, sequence16, 16)
        index = index if index >= 0 else sequence16
        away_ns = arrival_ns - self.heard_ns
        if away_ns < _HALF_CIRCLE_NS:
            return (index,)
        circles = min(away_ns // (2 * _HALF_CIRCLE_NS) + 1, MOST_CIRCLES)
        return range(index, index + circles * _CIRCLE + 1, _CIRCLE)

    def too_old(self, index: int) -> bool:
        """Whether nobody can say any more if this one came."""
        return self.index - index >= WINDOW

    def take(self, index: int, source: tuple[int, int, int], arrival_ns: int) -> bool:
        """A packet whose tag is right. False: it came before, and this one is from elsewhere.

        Where the SSRC comes from is changed by silence only (rule B5): who catches a packet on its way and is quicker
        with it must not make a stranger of its sender.
        """
        ahead = index - self.index
        if ahead > 0:
            fresh = True
            self.seen = (self.seen << ahead & _WHOLE if ahead < WINDOW else 0) | 1
            self.index = index
        else:
            bit = 1 << -ahead
            fresh = not self.seen & bit
            self.seen |= bit
        if source != self.source:
            if not fresh:
                return False
            if self.heard_ns and arrival_ns - self.source_ns < MOVED_NS:
                return True
            self.source = source
        self.source_ns = max(self.source_ns, arrival_ns)
        self.heard_ns = max(self.heard_ns, arrival_ns)
        return True


class Indices:
    """The SSRCs of one tap, over its record of the present turn."""

    def __init__(self, record: Any) -> None:
        self._record = record
        self._heard_ns: list[int] = record["heard_ns"].tolist()
        self._number = {
            ssrc: number for number, ssrc in enumerate(record["ssrc"].tolist()) if self._heard_ns[number]
        }  # fmt: skip
        self._places: dict[int, Place] = {}

    def of(self, ssrc: int) -> Place:
        """What is known of an SSRC; of a new one nothing, and it has no place yet."""
        place = self._places.get(ssrc)
        if place is None:
            number = self._number.get(ssrc)
            place = Place(-1) if number is None else Place(number, self._record[number])
            if number is not None:
                self._places[ssrc] = place
        return place

    def settle(self, ssrc: int, place: Place) -> None:
        """Something came of a new one: it gets a free place, or that of the one who was silent for the longest.

        Where all are alive (rule A12: so many have a channel each) none gives way, and nothing is remembered of this
        one: whose index is forgotten is not heard any more once it is beyond its first circle.
        """
        for known in self._places.values():
            self._heard_ns[known.number] = known.heard_ns
        number = min(range(len(self._heard_ns)), key=self._heard_ns.__getitem__)
        if self._heard_ns[number] and place.heard_ns - self._heard_ns[number] < MOVED_NS:
            return
        for other in [other for other, taken in self._number.items() if taken == number]:
            del self._number[other]
            self._places.pop(other, None)
        place.number = number
        self._number[ssrc], self._places[ssrc] = number, place
        self._heard_ns[number] = place.heard_ns

    def keep(self) -> None:
        """Write back what changed."""
        for ssrc, place in self._places.items():
            record = self._record[place.number]
            record["ssrc"], record["index"], record["heard_ns"] = ssrc, place.index, place.heard_ns
            record["seen"] = np.frombuffer(place.seen.to_bytes(WINDOW // 8, "little"), "<u8")
            record["source"], record["source_ns"] = place.source, place.source_ns
