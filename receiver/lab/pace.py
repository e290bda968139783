"""Keeping time: absolute deadlines, how well they were kept, and what came of it."""

import time
from typing import Final

import msgspec

LATE_NS: Final = 5_000_000
"""What goes out later than so is counted as late."""

LEAD_NS: Final = 20_000_000
"""From ``run`` to the plan's beginning."""

_LONGEST_SLEEP_S: Final = 0.05  # a stop is seen after so long
_SHORTEST_SLEEP_S: Final = 60e-6  # what a sleep takes at least


class Summary(msgspec.Struct, frozen=True):
    """What was sent. ``packets`` and ``octets`` (of whole datagrams) are what the kernel took, ``refused`` what it
    did not."""

    callers: int
    packets: int
    refused: int
    octets: int
    seconds: float
    late: int
    """Rounds of sending that began more than 5 ms after their time."""
    worst_late_ms: float
    stopped: bool
    """Ended before its time, by ``stop``."""
    log: str | None = None

    @property
    def packets_per_s(self) -> float:
        """Over the whole time."""
        return self.packets / self.seconds if self.seconds else 0.0


class Pace:
    """Absolute deadlines from one beginning, and how well they were kept."""

    def __init__(self) -> None:
        self.begin_ns = time.monotonic_ns() + LEAD_NS
        self.late, self.worst_ns, self.tried = 0, 0, 0

    def now_ns(self) -> int:
        """Time of the plan."""
        return time.monotonic_ns() - self.begin_ns

    def sleep_until(self, when_ns: int) -> None:
        """Sleep until then, or a while less: whoever waits looks up now and again."""
        time.sleep(min(max(when_ns - self.now_ns(), 0) / 1e9, _LONGEST_SLEEP_S))

    def note(self, when_ns: int) -> None:
        """Count what is done now and was due then."""
        behind = self.now_ns() - when_ns
        self.late += behind > LATE_NS
        self.worst_ns = max(self.worst_ns, behind)

    def summary(self, callers: int, packets: int, octets: int, stopped: bool, log: str | None) -> Summary:
        """Tell how it went, of so many packets that the kernel took."""
        seconds = max(self.now_ns(), 0) / 1e9
        refused = self.tried - packets
        return Summary(callers, packets, refused, octets, seconds, self.late, self.worst_ns / 1e6, stopped, log)
