"""What was counted: the newest totals and gauges of each worker, as its reports told them."""

import math
from collections import Counter
from collections.abc import Mapping


class Counters:
    """Totals rise for as long as a worker's memory file lives, over any number of deaths of the worker."""

    def __init__(self) -> None:
        self._tallies: dict[int, Mapping[str, int]] = {}
        self._gauges: dict[int, Mapping[str, float]] = {}
        self._noted_ns: dict[int, int] = {}

    def note(self, worker: int, tallies: Mapping[str, int], gauges: Mapping[str, float], at_ns: int = 0) -> None:
        """Take in what one report says of the whole worker, at the monotonic time ``at_ns``."""
        self._tallies[worker] = tallies
        self._gauges[worker] = gauges
        self._noted_ns[worker] = at_ns

    def age_s(self, worker: int, now_ns: int) -> float:
        """How old a worker's newest report is; infinite before the first."""
        return (now_ns - self._noted_ns[worker]) / 1e9 if worker in self._noted_ns else math.inf

    def tallies(self) -> dict[str, int]:
        """Datagrams by verdict, over all workers."""
        total: Counter[str] = Counter()
        for tallies in self._tallies.values():
            total.update(tallies)
        return dict(total)

    def gauges(self, worker: int) -> dict[str, float]:
        """The present values of one worker; empty before its first report."""
        return dict(self._gauges.get(worker, {}))
