"""Totals over all workers."""

import math

from receiver.watch.counters import Counters


def test_nothing_was_counted_before_the_first_report() -> None:
    counters = Counters()
    assert counters.tallies() == {}
    assert counters.gauges(0) == {}


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
    counters.note(0, {}, {}, 2_000_000_000)
    assert counters.age_s(0, 3_500_000_000) == 1.5
