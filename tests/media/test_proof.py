"""What "n in sequence" means: different numbers inside a span of 32, in any order of arrival, timestamps rising."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.media.proof import Evidence, consistent, in_sequence
from tests.media.rig import MS


def evidence(*packets: tuple[int, int], every_ns: int = 20 * MS) -> Evidence:
    """Sorted by number."""
    numbers, times = zip(*sorted(packets), strict=True) if packets else ((), ())
    return Evidence(
        np.array(numbers, np.int64), np.array(times, np.int64), every_ns * np.arange(len(packets), dtype=np.int64)
    )


def test_four_in_a_row_are_four_in_sequence() -> None:
    four = evidence(*((k, 160 * k) for k in range(4)))
    assert in_sequence(four, 4)
    assert not in_sequence(four, 5)
    assert in_sequence(evidence((9, 9)), 1)
    assert not in_sequence(evidence(), 1)


@pytest.mark.parametrize(("last", "proved"), [(31, True), (32, False)])
def test_they_lie_inside_a_span_of_32(last: int, proved: bool) -> None:
    assert in_sequence(evidence((0, 0), (1, 160), (2, 320), (last, 9_999)), 4) == proved


def test_timestamps_rise_with_the_numbers() -> None:
    assert not in_sequence(evidence((0, 0), (1, 160), (2, 160), (3, 480)), 4)
    assert not in_sequence(evidence((0, 900), (1, 160), (2, 320), (3, 480)), 4)


PACKET = st.tuples(st.integers(0, 60), st.integers(0, 900))


@given(st.lists(PACKET, unique_by=lambda p: p[0], max_size=8), st.integers(1, 8))
def test_it_is_what_looking_at_every_run_says(packets: list[tuple[int, int]], wanted: int) -> None:
    packets = sorted(packets)
    said = False
    for run in itertools.pairwise(range(len(packets) + 1)):
        chosen = packets[run[0] : run[0] + wanted]
        rising = all(a[1] < b[1] for a, b in itertools.pairwise(chosen))
        said |= len(chosen) == wanted and rising and chosen[-1][0] - chosen[0][0] < 32
    assert in_sequence(evidence(*packets), wanted) == said


def test_consistent_asks_for_time_and_for_even_timestamps() -> None:
    even = evidence(*((k, 160 * k) for k in range(4)))
    assert consistent(even, 4, 22 * MS, 160)
    assert not consistent(evidence(*((k, 160 * k) for k in range(4)), every_ns=7 * MS), 4, 22 * MS, 160)
    assert not consistent(evidence((0, 0), (1, 160), (2, 320), (3, 9_000)), 4, 22 * MS, 160)
    assert not consistent(evidence((0, 0), (1, 10), (2, 20), (3, 30)), 4, 22 * MS, 160)
    assert consistent(evidence((0, 0), (2, 320), (3, 480), (9, 1_440)), 4, 22 * MS, 160)
