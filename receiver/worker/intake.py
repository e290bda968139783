"""From the sockets to committed columns: fill the slab, run it, begin the next. One turn per slab (rule K3)."""

import os
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import TapState
from receiver.media.drain import MOST_PACKETS, Drain
from receiver.media.pipeline import Datagrams, Pipeline
from receiver.media.sources import News
from receiver.media.state import State
from receiver.net.slab import PlainSlab, Slab, arrivals
from receiver.net.tick import GROUPS, due

Slots = NDArray[np.int64]
CLOCK_STEP_NS: Final = 1_000_000  # rule A18: less is what two readings of clocks differ by
DEATHS: Final = 2  # rule K7: a slab that so many workers died on is set aside


def clocks() -> tuple[int, int]:
    """Monotonic time, and how far realtime is ahead of it; both ns."""
    now_ns = time.monotonic_ns()
    return now_ns, time.time_ns() - now_ns


class Intake:
    """The sockets of this worker's taps, which it owns, and the slab that they are read into."""

    def __init__(
        self, state: State, pipeline: Pipeline, drain: Drain, slab: Slab | PlainSlab, tell: Callable[[list[News]], None]
    ) -> None:
        self._state, self._pipeline, self._drain, self._slab, self._tell = state, pipeline, drain, slab, tell
        self._descriptors: dict[int, int] = {}
        self._asked_ns = np.zeros(state.shape.taps, np.int64)
        self._emptied: list[int] = []  # taps whose sockets held nothing more when they were asked
        self._groups: list[Slots] | None = None  # made when somebody asks: taps come by the thousand
        self.starved: Slots = np.empty(0, np.int64)
        """Taps of the last slice whose ring had no room: their sockets wait (design, section 3)."""
        self.known_ns = np.zeros(state.shape.taps, np.int64)
        """Up to which monotonic instant all that came for each tap has been read. What time alone decides, it decides
        by this: of a socket that waited for room, or while no worker lived, nobody knows how long it was silent."""

    def attach(self, slot: int, descriptor: int) -> None:
        """Read this socket for this tap from the next slice on, while the tap is open. One from before is closed."""
        self.release(slot)
        self._descriptors[slot] = descriptor

    def release(self, slot: int) -> None:
        """Let go of this tap's socket; none there is fine."""
        descriptor = self._descriptors.pop(slot, None)
        if descriptor is not None:
            os.close(descriptor)
        self._groups = None

    def socket(self, slot: int) -> int | None:
        """The descriptor that a tap is read from."""
        return self._descriptors.get(slot)

    def members(self, group: int) -> Slots:
        """The taps of one group, open or not."""
        if self._groups is None:
            slots = np.array(sorted(self._descriptors), np.int64)
            self._groups = [slots[slots % GROUPS == each] for each in range(GROUPS)]
        return self._groups[group]

    def everyone(self) -> Slots:
        """The taps of all groups."""
        return np.array(sorted(self._descriptors), np.int64)

    def read(self, slots: Slots, now_ns: int, every: bool = False) -> int:
        """Ask the sockets of these taps once, those that are due (or ``every`` one) and have room; run what came.

        Returns how many datagrams that were.
        """
        taps = self._state.live.taps
        wanted = taps["state"][slots] == TapState.OPEN
        if not every:
            heard_ns = np.maximum(taps["heard_ns"][slots], taps["answered_ns"][slots])
            wanted &= due(now_ns, heard_ns, self._asked_ns[slots])
        slots = slots[wanted]
        room = self._drain.room(slots)
        self.starved = slots[room == 0]
        slots, room = slots[room > 0], room[room > 0]
        self._asked_ns[slots] = now_ns
        descriptors, slab, received = self._descriptors, self._slab, 0
        self._begin()
        for slot, most in zip(slots.tolist(), room.tolist(), strict=True):
            if slab.room < MOST_PACKETS:
                self.run()
                self._begin()
            got = slab.fill(descriptors[slot], slot, most)
            received += got
            if got < most:
                self._emptied.append(slot)
        self.run()
        return received

    def run(self) -> None:
        """Run the slab to its end: nothing is received before (rule K3)."""
        if self._slab.used():
            self._slab.seal(*clocks())
            self._step(self._slab.used())
        emptied = self._emptied
        self.known_ns[emptied] = np.maximum(self.known_ns[emptied], self._asked_ns[emptied])
        self._emptied.clear()

    def run_again(self) -> int:
        """Rule K5: run what a dead worker had received and not committed. Returns how many datagrams that were."""
        count = self._slab.in_hand(self._state.generation)
        if count:
            if not self._slab.now_ns:
                self._slab.seal(*clocks())
            self._step(count)
        return count

    def poisoned(self) -> int:
        """How many datagrams the slab in hand holds, if two workers died on it (rule K7); else 0."""
        count = self._slab.in_hand(self._state.generation)
        return count if self._slab.attempts >= DEATHS else 0

    def drop(self) -> None:
        """Forget the slab in hand."""
        self._slab.begin(self._state.generation)

    def datagrams(self, count: int) -> Datagrams:
        """The first rows of the slab as the pipeline takes them."""
        slab = self._slab
        tap = slab.tap[:count]
        previous_ns = self._state.live.taps["ticked_ns"][tap]
        arrival_ns = arrivals(slab.stamps(count), slab.offset_ns, previous_ns, slab.now_ns)
        return Datagrams(slab.octets[:count], slab.size[:count], tap, *slab.sources(count), arrival_ns)

    def tell(self) -> None:
        """What time alone decided since the last slab."""
        news, self._pipeline.sources.news = self._pipeline.sources.news, []
        if news:
            self._tell(news)

    def _begin(self) -> None:
        if self._slab.generation != self._state.generation:
            self._slab.begin(self._state.generation)

    def _step(self, count: int) -> None:
        state, slab = self._state, self._slab
        slab.attempts += 1
        datagrams = self.datagrams(count)
        news = self._pipeline.step(datagrams, slab.now_ns, slab.offset_ns)
        world = state.now.world
        before_ns = int(world["clock_offset_ns"][0])
        world["clock_changes"] += before_ns != 0 and abs(slab.offset_ns - before_ns) > CLOCK_STEP_NS
        world["clock_offset_ns"] = slab.offset_ns
        # A tap whose socket was left with more in it is not at this tick yet: that more arrived before (rule A18). And
        # the tick is when the slice began: what came while others were asked is read with the next one.
        state.touch("taps", self._emptied)
        state.now.taps["ticked_ns"][self._emptied] = self._asked_ns[self._emptied]
        state.commit()
        # also where more waits behind it: a socket that strangers flood is never read to its end
        np.maximum.at(self.known_ns, datagrams.tap, datagrams.arrival_ns)
        if news:
            self._tell(news)
