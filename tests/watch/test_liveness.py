"""A worker lives if it ticks, and writes, or waits for the disk."""

import math

import pytest

from receiver.watch.liveness import stuck, waits_for_disk

WELL = {"tick_age_s": 0.02, "writer_age_s": 0.0, "writer_at_disk": 0.0}


def test_one_that_ticks_and_has_nothing_to_write_lives() -> None:
    assert stuck("ready", WELL, 1.0) is None


@pytest.mark.parametrize("state", ["starting", "restarting", "gone"])
def test_one_that_is_away_does_not(state: str) -> None:
    assert stuck(state, WELL, 1.0) == f"is {state}"


def test_one_that_mends_what_an_earlier_service_left_may_take_its_time() -> None:
    assert stuck("repairing", {}, math.inf) is None


@pytest.mark.parametrize(("age_s", "tick_s"), [(5.1, 0.0), (0.5, 4.6), (math.inf, 0.0)])
def test_one_that_does_not_tick_does_not_live(age_s: float, tick_s: float) -> None:
    assert "has not ticked" in (stuck("ready", WELL | {"tick_age_s": tick_s}, age_s) or "")


def test_a_writer_that_stands_still_is_one_that_does_not_live_unless_the_disk_holds_it() -> None:
    still = WELL | {"writer_age_s": 6.0}
    assert "written nothing for 6 s" in (stuck("ready", still, 1.0) or "")
    held = still | {"writer_at_disk": 1.0}
    assert stuck("ready", held, 1.0) is None
    assert waits_for_disk(held)


def test_a_short_wait_for_the_disk_is_nothing_to_say() -> None:
    assert not waits_for_disk(WELL | {"writer_age_s": 4.0, "writer_at_disk": 1.0})
    assert not waits_for_disk(WELL)
    assert not waits_for_disk({})
