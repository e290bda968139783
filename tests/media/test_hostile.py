"""Whatever a network peer sends: a verdict each, nothing raises, nothing grows, and the others' sound is not touched.

Mutated in columns: a million datagrams cost the test less than the engine.
"""

import gc
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.media.block import ABSENT
from receiver.media.census import MOST_LIVE
from receiver.media.columns import Policy
from receiver.media.drain import Cut
from receiver.media.pipeline import Datagrams
from receiver.media.sources import MOST_CANDIDATES
from receiver.wire import g711
from receiver.wire.rtp import FIXED_HEADER, HEADER_OCTETS, Verdict
from tests.media.rig import HOME, HORIZON, MS, START, Rig, octets_of

ROW = 1_536
PACKETS = 50  # of a tap and turn: one second
SIZE = HEADER_OCTETS + 160
ATTACKED, LEFT_ALONE = 20, 5  # taps: of each policy four, and one
MOST_BLOCKS, MOST_MB = 2_000, 8
"""What a run may leave behind: objects of Python, and resident memory. A record for each datagram would be 500 times
that at a million."""


def code(tap: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The µ-law code that a tap's caller says: a sample tells whose it is."""
    return (1 + tap).astype(np.uint8)


class Crowd(NamedTuple):
    """Taps, and what their callers send in one turn if nobody does anything to it."""

    taps: int
    turn: int

    def calm(self) -> Datagrams:
        """PACKETS of each tap, interleaved as they arrive."""
        number = np.repeat(np.arange(PACKETS), self.taps)
        tap = np.tile(np.arange(self.taps, dtype=np.int32), PACKETS)
        sequence = self.turn * PACKETS + number
        octets = np.full((tap.size, ROW), 0xA5, np.uint8)
        header = np.zeros(tap.size, FIXED_HEADER)
        header["v_p_x_cc"], header["sequence"], header["ssrc"] = 2 << 6, sequence & 0xFFFF, 7 + tap
        header["timestamp"] = (sequence * 160) & 0xFFFFFFFF
        octets[:, :HEADER_OCTETS] = header.view(np.uint8).reshape(-1, HEADER_OCTETS)
        octets[:, HEADER_OCTETS:SIZE] = code(tap)[:, None]
        high, low = (np.full(tap.size, value, np.uint64) for value in (HOME.high, HOME.low))
        port = np.full(tap.size, HOME.port, np.uint16)
        return Datagrams(
            octets, np.full(tap.size, SIZE, np.uint32), tap, high, low, port, START + sequence * 20 * MS
        )  # fmt: skip


def mutate(slab: Datagrams, dice: np.random.Generator) -> Datagrams:
    """One thing happens to each: octets of the header change, the end is cut, it is noise, it comes from elsewhere or
    from another tap; nothing to three in a hundred."""
    count = slab.tap.size
    octets, size, port, order = slab.octets.copy(), slab.size.copy(), slab.port.copy(), np.arange(count)
    fate = dice.choice(6, count, p=[0.16, 0.16, 0.5, 0.12, 0.03, 0.03])
    fate[slab.tap >= ATTACKED] = 5
    mine = np.flatnonzero(fate == 0)
    for _ in range(2):
        octets[mine, dice.integers(0, 16, mine.size)] = dice.integers(0, 256, mine.size)
    mine = np.flatnonzero(fate == 1)
    size[mine] = dice.integers(0, ROW + 1, mine.size)
    mine = np.flatnonzero(fate == 2)
    octets[mine] = dice.integers(0, 256, (mine.size, ROW), np.uint8)
    octets[mine[::2], 0] = 2 << 6
    mine = np.flatnonzero(fate == 3)
    port[mine] = dice.integers(1, 5, mine.size)
    mine = np.flatnonzero(fate == 4)
    order[mine] = mine[dice.permutation(mine.size)]
    return Datagrams(
        octets[order], size[order], slab.tap[order], slab.high[order], slab.low[order], port[order], slab.arrival_ns
    )


class Sink(Rig):
    """Writes nothing down: looks at what it would write of the taps that nobody attacks."""

    sound, wrong = 0, 0

    def write(self) -> None:
        for item in self.queue:
            assert isinstance(item, Cut) or item[0] < ATTACKED
            if isinstance(item, Cut):
                for block in item.blocks if item.tap >= ATTACKED else ():
                    mine = g711.ULAW[code(np.array([item.tap], np.int32))[0]]
                    self.sound += int(np.count_nonzero(block.samples == mine))
                    self.wrong += int(np.count_nonzero((block.samples != mine) & (block.samples != ABSENT)))
                self.state.written[item.row] = item.upto
        self.queue.clear()
        self.news.clear()
        self.state.patched[0] = self.patched


def resident_mb() -> float:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.parametrize(
    "total",
    [
        pytest.param(10_000, id="quick"),
        pytest.param(1_000_000, marks=pytest.mark.all, id="million"),
        pytest.param(10_000_000, marks=[pytest.mark.full, pytest.mark.timeout(3_600)], id="ten-million"),
    ],
)
def test_p5_mutated_datagrams_get_a_verdict_each_nothing_grows_and_neighbours_are_exact(total: int) -> None:
    dice = np.random.default_rng(total)
    rig = Sink(taps=ATTACKED + LEFT_ALONE, allow=["192.0.2.0/24"], strict=False)
    for tap in range(ATTACKED + LEFT_ALONE):
        rig.open(tap, list(Policy)[tap % len(Policy)])
    sizes = [table.size for table in rig.state.live]
    crowd, mutated, turn, blocks, before_mb = ATTACKED + LEFT_ALONE, 0, 0, 0, 0.0
    while mutated < total:
        slab = mutate(Crowd(crowd, turn).calm(), dice)
        turn += 1
        now_ns = START + turn * 1_000 * MS
        rig.pipeline.step(slab, now_ns, 0)
        rig.commit()
        rig.drain(now_ns)
        rig.review(now_ns)
        mutated += ATTACKED * PACKETS
        if turn == 5:  # what is made once has been made
            gc.collect()
            blocks, before_mb = sys.getallocatedblocks(), resident_mb()
    rig.finish(now_ns)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < MOST_BLOCKS
    assert resident_mb() - before_mb < MOST_MB
    assert [table.size for table in rig.state.live] == sizes
    assert octets_of(rig.state.now) == octets_of(rig.state.live)
    verdicts = rig.state.live.world["verdicts"][0]
    assert verdicts.sum() == turn * crowd * PACKETS
    assert (verdicts[: len(Verdict)] > 0).sum() >= 16, "the mutations have become tame"
    assert rig.wrong == 0
    assert rig.sound == LEFT_ALONE * turn * 8_000
    assert (rig.state.live.rows["tap"] >= 0).sum() <= (MOST_LIVE + MOST_CANDIDATES) * crowd
    for tap in range(ATTACKED):  # rule A10: no disk bomb
        row = int(rig.tap(tap)["row"])
        end = rig.pipeline.timeline.frame(row, int(rig.state.live.rows["edge"][row]))
        assert end - min(int(rig.state.live.rows["low"][row]), HORIZON) <= turn * 8_000 * 1.001 + 16_000
