"""Totals over all workers, and over all lives of each."""

import math

from receiver.watch.counters import Counters

SECOND = 1_000_000_000


def test_nothing_was_counted_before_the_first_report() -> None:
    counters = Counters()
    assert counters.tallies() == {}
    assert counters.gauges(0) == {}
    assert counters.total("late_ticks") == 0
    assert counters.unsafe_s(SECOND) is None
    assert counters.age_s(0, SECOND) == math.inf
    counters.died(0)
    assert counters.total("late_ticks") == 0


def test_the_newest_report_of_each_worker_counts_once() -> None:
    counters = Counters()
    counters.note(0, {"accepted": 10, "short": 1}, {"backlog": 5.0})
    counters.note(1, {"accepted": 7}, {"backlog": 1.0})
    counters.note(0, {"accepted": 12, "short": 1}, {"backlog": 0.0})
    assert counters.tallies() == {"accepted": 19, "short": 1}
    assert counters.gauges(0) == {"backlog": 0.0}


def test_how_old_a_report_is() -> None:
    counters = Counters()
    assert counters.age_s(0, 5) == math.inf
    counters.began(0, 4)
    assert counters.age_s(0, 1_000_000_004) == 1.0
    counters.note(0, {}, {}, 2_000_000_000)
    assert counters.age_s(0, 3_500_000_000) == 1.5


def test_what_a_worker_counts_from_its_start_does_not_go_backwards_when_it_dies() -> None:
    counters = Counters()
    seen = []
    for event in ((0, 3), (1, 1), (0, 5), "died", "died", (0, 0), (0, 6), "died", (0, 1)):
        if isinstance(event, tuple):
            counters.note(event[0], {}, {"late_ticks": event[1]})
        else:
            counters.died(0)  # also one that dies again before it has said anything
        seen.append(counters.total("late_ticks"))
    assert seen == [3, 4, 6, 6, 6, 6, 12, 12, 13]


def test_sound_is_as_unsafe_as_the_worst_worker_says() -> None:
    counters = Counters()
    counters.note(0, {}, {"unsafe_s": 0.4}, at_ns=7 * SECOND)
    counters.note(1, {}, {"unsafe_s": 1.4}, at_ns=7 * SECOND)
    assert counters.unsafe_s(7 * SECOND) == 1.4


def test_p3_while_a_worker_says_nothing_the_sound_gets_less_safe() -> None:
    counters = Counters()
    counters.note(0, {}, {"unsafe_s": 0.5}, at_ns=7 * SECOND)
    assert counters.unsafe_s(8 * SECOND) == 0.5, "the next report is due only now"
    assert counters.unsafe_s(18 * SECOND) == 10.5
    assert counters.age_s(0, 18 * SECOND) == 11
    counters.note(0, {}, {"unsafe_s": 0.25}, at_ns=18 * SECOND)
    assert counters.unsafe_s(18 * SECOND) == 0.25
