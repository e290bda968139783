"""Where living taps are: each has a worker's slot and a berth, from the moment it is asked for until it is booked.

So a slot and a port never serve two taps.
"""

import heapq
from collections.abc import Iterator

from receiver.control.means import Berth
from receiver.control.taps import Tap


class Places:
    """``workers`` with ``slots`` taps each."""

    def __init__(self, workers: int, slots: int) -> None:
        self._free = {worker: list(range(slots)) for worker in range(workers)}  # heaps: low rows first, few pages
        self._at: dict[tuple[int, int], Tap] = {}
        self._berths: dict[str, Berth] = {}

    def room(self, worker: int) -> int:
        """How many slots of a worker are free."""
        return len(self._free[worker])

    def take(self, worker: int) -> int:
        """The lowest free slot of a worker that has room."""
        return heapq.heappop(self._free[worker])

    def give_back(self, worker: int, slot: int) -> None:
        """A slot that nobody has."""
        heapq.heappush(self._free[worker], slot)

    def claim(self, worker: int, slot: int, stay: bool = False) -> tuple[int, int]:
        """This very slot, if there is one and it is free; else the lowest of the worker with the most room, or, with
        ``stay``, of this one."""
        free = self._free.get(worker, [])
        if slot in free:
            free.remove(slot)
            heapq.heapify(free)
            return worker, slot
        roomiest = worker if stay and free else max(self._free, key=self.room)
        return roomiest, self.take(roomiest)

    def settle(self, tap: Tap, berth: Berth) -> None:
        """A tap has its place now."""
        self._at[tap.worker, tap.slot] = tap
        self._berths[tap.id] = berth

    def leave(self, tap: Tap) -> None:
        """A tap is booked: its slot is free and its berth given back."""
        del self._at[tap.worker, tap.slot]
        self._berths.pop(tap.id).release()
        self.give_back(tap.worker, tap.slot)

    def at(self, worker: int, slot: int) -> Tap | None:
        """Who is there."""
        return self._at.get((worker, slot))

    def of(self, worker: int) -> Iterator[tuple[Tap, Berth]]:
        """A worker's taps by slot, each with its berth."""
        for (owner, _), tap in sorted(self._at.items()):
            if owner == worker:
                yield tap, self._berths[tap.id]

    def abandon(self) -> None:
        """Give all berths back; the taps stay where they are."""
        while self._berths:
            self._berths.popitem()[1].release()
