"""The tick, driven by a clock that is a number and a loop that does what is due."""

import asyncio
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.net.tick import GROUPS, LONGEST_NS, Tick, due

MS = 1_000_000
TICK_NS = 100 * MS


class Handle:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """As much of an event loop as the tick needs; time passes only while it runs and while work is done."""

    def __init__(self) -> None:
        self.now_ns = 5_000 * MS
        self.timers: list[tuple[float, Callable[[], None], Handle]] = []

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        handle = Handle()
        self.timers.append((when, callback, handle))
        return handle

    def run(self, until_ns: int) -> None:
        while self.timers:
            self.timers.sort(key=lambda timer: timer[0])
            when, callback, handle = self.timers[0]
            if round(when * 1e9) > until_ns:
                break
            self.timers.pop(0)
            self.now_ns = max(self.now_ns, round(when * 1e9))
            if not handle.cancelled:
                callback()
        self.now_ns = max(self.now_ns, until_ns)


class Work:
    """What the slices do: note the call, and take a while."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.calls: list[tuple[int, int]] = []
        self.takes_ns: Callable[[int], int] = lambda group: 0

    def __call__(self, group: int, now_ns: int) -> None:
        self.calls.append((group, now_ns))
        self.loop.now_ns += self.takes_ns(group)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def work(loop: Loop) -> Work:
    return Work(loop)


@pytest.fixture
def tick(loop: Loop, work: Work) -> Tick:
    made = Tick(cast(asyncio.AbstractEventLoop, loop), TICK_NS, work, clock=lambda: loop.now_ns)
    made.start()
    return made


def steps(work: Work) -> set[int]:
    """The distances between slices, in ms."""
    return {round(step / MS) for step in np.diff([now_ns for _, now_ns in work.calls])}


def test_five_groups_are_read_in_turn_one_every_fifth_of_the_tick(loop: Loop, work: Work, tick: Tick) -> None:
    began_ns = loop.now_ns
    loop.run(began_ns + 299 * MS)
    assert [group for group, _ in work.calls] == [0, 1, 2, 3, 4] * 3
    assert [(now_ns - began_ns) // MS for _, now_ns in work.calls] == list(range(0, 300, 20))
    assert (tick.late, tick.period_ns) == (0, TICK_NS)


def test_work_that_takes_half_of_the_time_moves_no_slice(loop: Loop, work: Work, tick: Tick) -> None:
    work.takes_ns = lambda group: 10 * MS
    loop.run(loop.now_ns + 1000 * MS)
    assert steps(work) == {20}
    assert tick.late == 0


def test_under_load_the_period_stretches_to_200_ms_and_comes_back(loop: Loop, work: Work, tick: Tick) -> None:
    work.takes_ns = lambda group: 19 * MS
    loop.run(loop.now_ns + 3000 * MS)
    stretched = tick.period_ns
    assert TICK_NS < stretched < LONGEST_NS
    assert tick.late == 0

    work.takes_ns = lambda group: 39 * MS
    loop.run(loop.now_ns + 3000 * MS)
    assert tick.period_ns == LONGEST_NS
    work.calls.clear()
    loop.run(loop.now_ns + 1000 * MS)
    assert steps(work) == {40}

    work.takes_ns = lambda group: 1 * MS
    loop.run(loop.now_ns + 3000 * MS)
    assert tick.period_ns == TICK_NS
    work.calls.clear()
    loop.run(loop.now_ns + 1000 * MS)
    assert steps(work) == {20}


def test_more_work_than_time_is_counted_as_late_and_never_made_up_for(loop: Loop, work: Work, tick: Tick) -> None:
    work.takes_ns = lambda group: 70 * MS
    loop.run(loop.now_ns + 10_000 * MS)
    assert tick.period_ns == LONGEST_NS
    assert tick.late > 50
    assert steps(work) == {70}
    work.takes_ns = lambda group: 0
    loop.run(loop.now_ns + 50 * MS)
    work.calls.clear()
    loop.run(loop.now_ns + 500 * MS)
    assert min(steps(work)) >= 20
    assert [group for group, _ in work.calls][:5] in [[(g + k) % GROUPS for k in range(5)] for g in range(GROUPS)]


def test_a_loop_that_was_blocked_by_others_is_one_late_slice_and_a_longer_round(
    loop: Loop, work: Work, tick: Tick
) -> None:
    loop.run(loop.now_ns + 110 * MS)
    loop.now_ns += 500 * MS
    loop.run(loop.now_ns + 100 * MS)
    assert tick.late == 1
    assert tick.period_ns == TICK_NS * 5 // 4
    loop.run(loop.now_ns + 1000 * MS)
    assert tick.period_ns == TICK_NS
    assert tick.late == 1


def test_moved_ns_says_when_the_last_slice_ended(loop: Loop, work: Work, tick: Tick) -> None:
    work.takes_ns = lambda group: 3 * MS
    loop.run(loop.now_ns + 30 * MS)
    assert tick.moved_ns == work.calls[-1][1] + 3 * MS


def test_stopped_nothing_is_read_and_started_again_it_begins_with_the_first_group(
    loop: Loop, work: Work, tick: Tick
) -> None:
    loop.run(loop.now_ns + 30 * MS)
    tick.stop()
    tick.stop()
    work.calls.clear()
    loop.run(loop.now_ns + 1000 * MS)
    assert work.calls == []
    tick.start()
    loop.run(loop.now_ns + 30 * MS)
    assert [group for group, _ in work.calls] == [0, 1]
    assert tick.late == 0


def test_started_twice_it_ticks_once(loop: Loop, work: Work, tick: Tick) -> None:
    tick.start()
    loop.run(loop.now_ns + 90 * MS)
    assert len(work.calls) == GROUPS


def test_a_slice_may_stop_the_tick(loop: Loop, work: Work, tick: Tick) -> None:
    def stop(group: int) -> int:
        tick.stop()
        return 0

    work.takes_ns = stop
    loop.run(loop.now_ns + 1000 * MS)
    assert len(work.calls) == 1


def test_a_slice_that_raises_ends_the_tick(loop: Loop, work: Work, tick: Tick) -> None:
    def fail(group: int) -> int:
        raise RuntimeError("broken")

    work.takes_ns = fail
    with pytest.raises(RuntimeError, match="broken"):
        loop.run(loop.now_ns + 1000 * MS)
    loop.run(loop.now_ns + 1000 * MS)
    assert len(work.calls) == 1


async def test_a_real_loop_runs_it() -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    groups: list[int] = []

    def slice(group: int, now_ns: int) -> None:
        groups.append(group)
        if len(groups) == 7:
            real.stop()
            done.set()

    real = Tick(loop, 5 * MS, slice)
    real.start()
    await asyncio.wait_for(done.wait(), 10)
    assert groups == [0, 1, 2, 3, 4, 0, 1]


def test_a_tap_that_is_heard_is_asked_each_time_and_a_quiet_one_every_half_second() -> None:
    opened_ns = 10_000 * MS
    heard_ns, asked_ns = np.array([opened_ns, opened_ns]), np.array([0, 0])
    asked: list[list[int]] = [[], []]
    for now_ns in range(opened_ns, opened_ns + 4000 * MS, 100 * MS):
        heard_ns[0] = now_ns - 90 * MS
        mask = due(now_ns, heard_ns, asked_ns)
        asked_ns[mask] = now_ns
        for tap in np.flatnonzero(mask):
            asked[tap].append((now_ns - opened_ns) // MS)
    assert asked[0] == list(range(0, 4000, 100))
    assert asked[1] == [*range(0, 2000, 100), 2400, 2900, 3400, 3900]


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 1000)), max_size=20))
def test_due_is_the_rule_row_by_row(ages_ms: list[tuple[int, int]]) -> None:
    now_ns = 60_000 * MS
    heard, asked = np.array(ages_ms, np.int64).reshape(-1, 2).T
    mask = due(now_ns, now_ns - heard * MS, now_ns - asked * MS)
    assert mask.tolist() == [h < 2000 or a >= 500 for h, a in ages_ms]
