"""The memory that outlives a worker (rules K3, K4): turns happen wholly or not at all."""

from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.clock import Clock
from receiver.media.columns import TapState
from receiver.media.joining import Joining
from receiver.media.journal import Journal
from receiver.media.pipeline import Pipeline
from receiver.media.sources import Sources
from receiver.media.state import PAGE, LayoutError, Shape, State
from receiver.media.streams import Streams
from receiver.media.timeline import Timeline
from tests.media.rig import START, WALL, Rig, datagrams, octets_of, succeed, talk
from tests.media.storm import batches, open_all, storm
from tests.tools import count

SMALL = Shape.of(2, 8_000, 4_096)


class Killed(BaseException):
    """What a SIGKILL looks like from within."""


HOOKS: list[tuple[Any, str]] = [
    (Timeline, "place"), (Timeline, "patch"), (Timeline, "move"), (Timeline, "splice"), (Timeline, "hand_out"),
    (Journal, "patch"), (Journal, "note"), (Clock, "follow"), (Clock, "epoch"), (Clock, "begin"), (Joining, "begin"),
    (Joining, "join"), (Joining, "discard"), (Sources, "judge"), (Streams, "count"), (Pipeline, "_tally"),
]  # fmt: skip


class Sniper:
    """Kills before or after the n-th call of any hook."""

    def __init__(self, patcher: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        for owner, name in HOOKS:
            patcher.setattr(owner, name, self._wrap(getattr(owner, name)))

    def _shoot(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def _wrap(self, function: Any) -> Any:
        def hooked(*args: Any, **kwargs: Any) -> Any:
            self._shoot()
            result = function(*args, **kwargs)
            self._shoot()
            return result

        return hooked


def test_k3_a_turn_shows_to_a_successor_only_after_its_commit() -> None:
    rig = Rig()
    rig.open()
    rig.pipeline.step(datagrams(talk(3)), START, WALL - START)
    successor = State(rig.memory.copy(), rig.shape)
    assert successor.live.taps["verdicts"].sum() == 0
    assert octets_of(successor.now) == octets_of(successor.live)
    rig.commit()
    assert State(rig.memory.copy(), rig.shape).live.taps["verdicts"].sum() == 3


def test_k3_a_write_without_touch_is_seen_by_the_rig() -> None:
    rig = Rig(taps=2)
    rig.state.now.taps["flaws"][1] = 1
    with pytest.raises(AssertionError, match="touch"):
        rig.commit()


def test_k3_abandon_forgets_everything_of_the_turn() -> None:
    rig = Rig()
    rig.open()
    rig.step(talk(3))
    before = octets_of(rig.state.live)
    rig.pipeline.step(datagrams(talk(9)[3:]), START, WALL - START)
    rig.state.abandon()
    assert octets_of(rig.state.live) == before == octets_of(rig.state.now)


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(3, all=40, full=1_000))
def test_k3_a_step_that_ran_and_was_abandoned_runs_again_with_the_same_result(seed: int) -> None:
    dice = Random(seed)
    once, twice = Rig(4), Rig(4)
    open_all(once)
    open_all(twice)
    for batch in batches(storm(seed, packets=50), dice):
        now_ns = max(packet.arrival_ns for packet in batch)
        twice.pipeline.step(datagrams(batch), now_ns, WALL - START)
        twice.state.abandon()
        for rig in (once, twice):
            rig.step(batch, now_ns)
        assert once.image() == twice.image()
        if dice.random() < 0.2:
            for rig in (once, twice):
                rig.drain(now_ns)
                rig.review(now_ns)
    assert once.news == twice.news


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(3, all=40, full=1_000))
def test_k3_a_step_killed_anywhere_runs_again_in_a_new_worker_with_the_same_result(seed: int) -> None:
    dice = Random(seed)
    with pytest.MonkeyPatch.context() as patcher:
        sniper = Sniper(patcher)
        calm, rough = Rig(4), Rig(4)
        open_all(calm)
        open_all(rough)
        for batch in batches(storm(seed, packets=50), dice):
            now_ns = max(packet.arrival_ns for packet in batch)
            for _ in range(2):
                sniper.left = dice.choice([0, 1, 2, 3, 5, 8, 13, 21, 40])
                with suppress(Killed):
                    rough.pipeline.step(datagrams(batch), now_ns, WALL - START)
                sniper.left = None
                succeed(rough)
            for rig in (calm, rough):
                rig.step(batch, now_ns)
            assert calm.image() == rough.image()
            if dice.random() < 0.2:
                for rig in (calm, rough):
                    rig.drain(now_ns)
                    rig.review(now_ns)


def test_what_was_cleared_counts_as_room_from_the_next_turn_on() -> None:
    rig = Rig()
    rig.open()
    rig.state.cleared[0] = 500
    assert rig.state.live.rows["freed"][0] == rig.state.now.rows["freed"][0] == 0
    rig.commit()
    assert rig.state.live.rows["freed"][0] == rig.state.now.rows["freed"][0] == 500


def test_fresh_memory_is_laid_out_once() -> None:
    memory = np.zeros(State.needed(SMALL)[0], np.uint8)
    state = State(memory, SMALL)
    assert state.fresh
    assert (state.live.taps["state"] == TapState.FREE).all()
    assert (state.live.taps["stream"] == -1).all()
    assert not State(memory, SMALL).fresh


@pytest.mark.parametrize("harm", ["magic", "layout", "shape", "short"])
def test_memory_of_another_layout_is_not_mapped(harm: str) -> None:
    memory = np.zeros(State.needed(SMALL)[0], np.uint8)
    State(memory, SMALL)
    shape = SMALL
    if harm == "magic":
        memory[0] ^= 1
    elif harm == "layout":
        memory[8] ^= 1
    elif harm == "shape":
        shape = SMALL._replace(taps=1)
    else:
        memory = memory[:-PAGE]
    with pytest.raises(LayoutError):
        State(memory, shape)


def test_a_worker_killed_while_it_laid_out_lays_out_again() -> None:
    memory = np.zeros(State.needed(SMALL)[0], np.uint8)
    State(memory, SMALL)
    memory[:8] = 0
    assert State(memory, SMALL).fresh


def test_sections_lie_apart_and_rows_in_pages_of_their_own() -> None:
    memory = np.zeros(State.needed(SMALL)[0], np.uint8)
    state = State(memory, SMALL)
    whole, before_ring = State.needed(SMALL)
    assert state.ring_extent(0) == (before_ring, SMALL.row_octets)
    at, octets = state.ring_extent(SMALL.rows - 1)
    assert at + octets == whole
    assert at % PAGE == octets % PAGE == 0
    state.ring[1] = 7
    assert (memory[slice(*np.add(state.ring_extent(1), (0, state.ring_extent(1)[0])))].view(np.int16) == 7).all()
    assert (state.ring[0] == 0).all()
    assert (state.ring[2] == 0).all()


def test_the_generation_is_one_aligned_word() -> None:
    memory = np.zeros(State.needed(SMALL)[0], np.uint8)
    state = State(memory, SMALL)
    before = memory[:PAGE].copy()
    state.commit()
    changed = np.flatnonzero(before != memory[:PAGE])
    assert changed.size == 1
    assert changed[0] % 8 == 0
