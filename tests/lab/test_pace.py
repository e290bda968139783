"""Deadlines are counted from one beginning, and lateness is told."""

from receiver.lab.pace import LATE_NS, LEAD_NS, Pace


def test_the_plan_begins_a_little_later() -> None:
    assert -LEAD_NS <= Pace().now_ns() < 0


def test_nothing_is_waited_for_before_its_time() -> None:
    pace = Pace()
    pace.sleep_until(5_000_000)
    assert pace.now_ns() >= 5_000_000


def test_what_is_late_is_counted_and_the_worst_is_kept() -> None:
    pace = Pace()
    pace.begin_ns -= 1_000_000_000
    for behind_ns in (0, 2 * LATE_NS, 10 * LATE_NS):
        pace.note(pace.now_ns() - behind_ns)
    pace.tried = 10
    told = pace.summary(callers=2, packets=8, octets=8 * 172, stopped=False, log=None)
    assert told.late >= 2
    assert told.worst_late_ms >= 10 * LATE_NS / 1e6
    assert (told.packets, told.refused, told.octets) == (8, 2, 1376)
    assert 0 < told.packets_per_s < 20
