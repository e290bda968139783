"""The ring (rule K4) and its frames: spans across the end, splices, clearing before raising."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.media.block import ABSENT
from receiver.media.columns import SPLICES
from receiver.media.timeline import Timeline
from tests.media.rig import START, WINDOW, Part, Rig, talk


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.open()
    return rig


def sounds(count: int, length: int) -> NDArray[np.int16]:
    return np.arange(1, count * length + 1, dtype=np.int16).reshape(count, length)


def read(rig: Rig, start: int, stop: int) -> NDArray[np.int16]:
    return np.concatenate([np.empty(0, np.int16), *rig.pipeline.timeline.views(0, start, stop)])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a4_order_of_arrival_does_not_matter(rig: Rig, order: tuple[int, ...]) -> None:
    for k in order:
        rig.pipeline.timeline.place(np.array([0]), np.array([160 * k]), sounds(4, 160)[k : k + 1])
    assert (read(rig, 0, 640) == np.arange(1, 641)).all()


@given(start=st.integers(0, 5 * WINDOW), length=st.integers(1, 1_460), packets=st.integers(1, 5))
def test_spans_across_the_rings_end_read_as_they_were_written(start: int, length: int, packets: int) -> None:
    rig = Rig()
    rig.open()
    sound = sounds(packets, length)
    positions = start + length * np.arange(packets)
    rig.pipeline.timeline.place(np.zeros(packets, np.int64), positions, sound)
    assert (read(rig, start, start + length * packets) == sound.reshape(-1)).all()
    around = np.r_[read(rig, start - 700, start), read(rig, start + length * packets, start + length * packets + 700)]
    assert (around == ABSENT).all()
    assert (rig.state.ring[1:] == 0).all(), "another row was written"


def test_every_edge_of_the_guard_bands() -> None:
    rig = Rig()
    rig.open()
    for start in range(WINDOW - 1_461, WINDOW + 1):
        rig.state.ring[0] = ABSENT
        rig.pipeline.timeline.place(np.array([0]), np.array([start]), sounds(1, 1_460))
        assert (read(rig, start, start + 1_460) == sounds(1, 1_460)[0]).all()


def test_k4_clearing_fills_before_it_raises(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.state.ring[0] = 7
    real = Timeline.views

    def watched(self: Timeline, row: int, start: int, stop: int) -> Any:
        for piece in real(self, row, start, stop):
            assert rig.state.cleared[0] == 0, "raised before it was filled"
            yield piece

    monkeypatch.setattr(Timeline, "views", watched)
    rig.pipeline.timeline.clear(0, 30_000)
    monkeypatch.undo()
    assert rig.state.cleared[0] == 30_000
    assert (read(rig, 0, 30_000) == ABSENT).all()
    assert (read(rig, 30_000, WINDOW) == 7).all()


def test_k5_a_clearing_that_was_cut_short_is_done_again(rig: Rig) -> None:
    rig.state.ring[0] = 7
    next(iter(rig.pipeline.timeline.views(0, 0, 10_000)))[:5_000] = ABSENT
    rig.pipeline.timeline.clear(0, 10_000)
    assert (read(rig, 0, 10_000) == ABSENT).all()
    assert (read(rig, 10_000, WINDOW) == 7).all()


def test_k6_a_patch_writes_only_what_has_not_left_the_ring(rig: Rig) -> None:
    rig.pipeline.timeline.clear(0, 1_000)
    rig.pipeline.timeline.patch(0, 900, sounds(1, 160)[0])
    assert (read(rig, 1_000, 1_060) == sounds(1, 160)[0, 100:]).all()
    assert (read(rig, 1_060, 1_000 + WINDOW) == ABSENT).all()
    rig.pipeline.timeline.patch(0, 500, sounds(1, 160)[0])
    assert (read(rig, 1_060, 1_000 + WINDOW) == ABSENT).all()


class Plain:
    """Splices as a list of pairs, looked through one by one."""

    def __init__(self) -> None:
        self.splices: list[tuple[int, int]] = []

    def frame(self, position: int) -> int:
        return position + sum(more for at, more in self.splices if at <= position)


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 90_000)), max_size=SPLICES))
def test_frames_pass_over_every_splice_before_them_in_whatever_order_they_were_put_in(
    splices: list[tuple[int, int]],
) -> None:
    rig, plain = Rig(), Plain()
    rig.open()
    rig.state.touch("rows", 0)
    for at, more in splices:
        assert rig.pipeline.timeline.spliceable(0)
        rig.pipeline.timeline.splice(0, at, more)
        plain.splices.append((at, more))
    rig.commit()
    for position in {0, 40_001, *(at + k for at, _ in splices for k in (-1, 0, 1))}:
        assert rig.pipeline.timeline.frame(0, position) == plain.frame(position)


@given(
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 70_000)), max_size=6),
    st.lists(st.integers(0, 4_000), max_size=5),
)
def test_blocks_fill_the_part_without_a_hole_wherever_they_are_cut(
    splices: list[tuple[int, int]], cuts: list[int]
) -> None:
    rig, plain, part = Rig(), Plain(), Part()
    rig.open()
    rig.state.touch("rows", 0)
    rig.pipeline.timeline.place(np.array([0, 0, 0, 0]), 1_000 * np.arange(4), sounds(4, 1_000))
    for at, more in splices:
        rig.pipeline.timeline.splice(0, at, more)
        plain.splices.append((at, more))
    rig.commit()
    bounds = [0, *sorted(cuts), 4_000]
    for start, stop in itertools.pairwise(bounds):
        for block in rig.pipeline.timeline.blocks(0, start, stop):
            part.write(block.frame, block.samples)
    expected = {plain.frame(k): k + 1 for k in range(4_000)}
    assert part.present() == expected


def test_the_oldest_splice_gives_way_once_its_time_was_cleared(rig: Rig) -> None:
    timeline = rig.pipeline.timeline
    rig.state.touch("rows", 0)
    for k in range(SPLICES):
        timeline.splice(0, 1_000 * (k + 1), 10)
    assert not timeline.spliceable(0)
    rig.commit()
    rig.state.cleared[0] = 1_001
    assert not timeline.spliceable(0), "room counts from the next turn on"
    rig.commit()
    assert timeline.spliceable(0)
    before = [timeline.frame(0, position) for position in range(1_001, 20_000, 7)]
    rig.state.touch("rows", 0)
    timeline.splice(0, 30_000, 10)
    assert [timeline.frame(0, position) for position in range(1_001, 20_000, 7)] == before
    assert rig.state.now.rows["floor"][0] == 1_000
    rig.commit()


def test_k5_what_an_uncommitted_turn_left_ahead_of_the_edge_is_blanked(rig: Rig) -> None:
    rig.step(talk(10))
    edge = int(rig.state.live.rows["edge"][0])
    before = rig.state.ring[0].copy()
    rig.pipeline.timeline.place(np.array([0]), np.array([edge + 5_000]), sounds(1, 1_000))
    assert (rig.state.ring[0] != before).any()
    rig.pipeline.timeline.blank_ahead()
    assert (read(rig, 0, WINDOW) == before[1_460 : 1_460 + WINDOW]).all()
    assert START > 0
