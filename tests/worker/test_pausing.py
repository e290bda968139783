"""What control says of pauses becomes columns, once; what these know and control does not is told to it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver import link
from receiver.worker.pausing import Pausing
from tests.media.rig import Rig
from tests.worker.office import Line, office


def made() -> tuple[Rig, Pausing, list[link.ToControl]]:
    rig = Rig()
    said: list[link.ToControl] = []
    rig.open()
    return rig, Pausing(rig.state, rig.pipeline.pauses, said.append), said


def order(turned_ns: list[int], turns: int | None = None) -> link.Pause:
    return link.Pause(0, "recording-0", len(turned_ns) if turns is None else turns, turned_ns)


def test_a_turn_that_is_told_twice_is_taken_once() -> None:
    rig, pausing, said = made()
    pausing.take(order([1_000]))
    pausing.take(order([1_000]))
    pausing.take(order([1_000, 2_000]))
    assert rig.tap()["turns"] == 2
    assert rig.state.live.taps_aside["turned_ns"][0][:2].tolist() == [1_000, 2_000]
    assert said == []


def test_a_worker_that_was_away_learns_of_all_it_missed() -> None:
    rig, pausing, _ = made()
    pausing.take(order([1_000]))
    pausing.take(order([1_000, 2_000, 3_000, 4_000]))
    assert rig.state.live.taps_aside["turned_ns"][0][:4].tolist() == [1_000, 2_000, 3_000, 4_000]


def test_an_instant_is_never_in_the_future() -> None:
    rig, pausing, _ = made()
    pausing.take(order([time.monotonic_ns() + 10**15]))
    assert rig.state.live.taps_aside["turned_ns"][0][0] <= time.monotonic_ns()


@pytest.mark.parametrize(("known", "told", "expected"), [
    ([], (4, [3_000, 4_000]), [0, 3_000, 3_000, 4_000]),
    ([], (3, [3_000]), [0, 3_000, 3_000]),
    ([1_000], (4, [4_000]), [1_000, 4_000, 4_000, 4_000]),
])  # fmt: skip
def test_turns_whose_instants_nobody_knows_any_more_are_a_pause(
    known: list[int], told: tuple[int, list[int]], expected: list[int]
) -> None:
    rig, pausing, _ = made()
    pausing.take(order(known))
    pausing.take(order(told[1], told[0]))
    assert rig.tap()["turns"] == told[0]
    assert rig.state.live.taps_aside["turned_ns"][0][: told[0]].tolist() == expected


def test_columns_that_know_more_hold_and_control_is_told() -> None:
    rig, pausing, said = made()
    pausing.take(order([1_000]))
    pausing.take(order([]))
    assert rig.tap()["turns"] == 1
    [news] = said
    assert isinstance(news, link.Happened)
    assert (news.event, news.fields) == ("turned", {"turns": 1, "turned_ns": 1_000})


async def test_what_a_slice_reads_is_handed_on_by_a_later_one_so_that_an_order_to_pause_comes_before(
    tmp_path: Path, memory: int, call: Callable[..., Line]
) -> None:
    line = call()
    async with office(tmp_path, memory, commit_interval_ns=1) as one:
        await one.open(line)
        line.talk(60)  # more than a horizon: its first packets are ripe as soon as they are read
        one.slices()
        row = int(one.tap(line)["row"])
        assert one.state.live.rows["edge"][row] > 60 * 160
        assert one.state.live.rows["playout"][row] == 0
        await one.sync()
        one.slices(time.monotonic_ns() + 2_000_000_000)
        assert one.state.live.rows["playout"][row] > 0
