"""What was counted: the newest totals and gauges of each worker, as its reports told them."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

RISING: Final = ("late_ticks",)
"""Gauges of a report that a worker counts from its own start."""
REPORT_S: Final = 1.0
"""How far apart the reports of a worker that lives are."""


class Counters:
    """Totals rise for as long as this process lives, over any number of deaths of a worker.

    The tallies lie in the worker's memory file and go on by themselves; what a worker counts from its own start
    (``RISING``) is carried over here.
    """

    def __init__(self) -> None:
        self._tallies: dict[int, Mapping[str, int]] = {}
        self._gauges: dict[int, Mapping[str, float]] = {}
        self._noted_ns: dict[int, int] = {}
        self._before: Counter[str] = Counter()  # of the workers that died
        self._mourned: set[int] = set()  # whose last report is in there

    def note(self, worker: int, tallies: Mapping[str, int], gauges: Mapping[str, float], at_ns: int = 0) -> None:
        """Take in what one report says of the whole worker, at the monotonic time ``at_ns``."""
        self._tallies[worker] = tallies
        self._gauges[worker] = gauges
        self._noted_ns[worker] = at_ns
        self._mourned.discard(worker)

    def began(self, worker: int, at_ns: int) -> None:
        """A worker records; its first report is under way."""
        self._noted_ns[worker] = at_ns

    def age_s(self, worker: int, now_ns: int) -> float:
        """How old a worker's newest report is; infinite before the first."""
        return (now_ns - self._noted_ns[worker]) / 1e9 if worker in self._noted_ns else math.inf

    def died(self, worker: int) -> None:
        """The next one in this place counts from nothing what is not in the memory file."""
        if worker not in self._mourned:
            self._before.update({name: int(self.gauges(worker).get(name, 0)) for name in RISING})
            self._mourned.add(worker)

    def tallies(self) -> dict[str, int]:
        """Datagrams by verdict, over all workers."""
        total: Counter[str] = Counter()
        for tallies in self._tallies.values():
            total.update(tallies)
        return dict(total)

    def gauges(self, worker: int) -> dict[str, float]:
        """The present values of one worker; empty before its first report."""
        return dict(self._gauges.get(worker, {}))

    def total(self, name: str) -> int:
        """One of ``RISING``, over all workers that there are and were."""
        living = self._gauges.keys() - self._mourned
        return self._before[name] + sum(int(self._gauges[worker].get(name, 0)) for worker in living)

    def unsafe_s(self, now_ns: int) -> float | None:
        """How old the oldest sound is that a power cut would cost now; None before the first report.

        While a worker is away nothing becomes safe, so from the time at which its next report was due it grows.
        """
        ages = [
            float(gauges.get("unsafe_s", 0)) + max(self.age_s(worker, now_ns) - REPORT_S, 0)
            for worker, gauges in self._gauges.items()
        ]
        return max(ages, default=None)
