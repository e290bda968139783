"""Arrival times never fall, go with the capture's clock, and survive whatever a clock or a damaged file does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.importing.stamps import BEGIN_NS, SECOND_NS, Stamps

NOON_NS = 1_700_000_000 * SECOND_NS
HOUR_NS = 3_600 * SECOND_NS


def stamps(*ns: int) -> NDArray[np.int64]:
    return np.array(ns, np.int64)


def test_time_goes_on_as_the_stamps_do() -> None:
    clock = Stamps(HOUR_NS)
    arrival = clock.arrivals(stamps(NOON_NS, NOON_NS + 5, NOON_NS + 900))
    assert arrival.tolist() == [BEGIN_NS, BEGIN_NS + 5, BEGIN_NS + 900]
    assert clock.arrivals(stamps(NOON_NS + 1_000)).tolist() == [BEGIN_NS + 1_000]
    assert clock.offset_ns == NOON_NS - BEGIN_NS
    assert clock.steps == 0


def test_a_little_out_of_order_is_the_same_time() -> None:
    clock = Stamps(HOUR_NS)
    arrival = clock.arrivals(stamps(NOON_NS, NOON_NS + 100, NOON_NS + 60, NOON_NS + 110))
    assert (arrival - BEGIN_NS).tolist() == [0, 100, 100, 110]
    assert clock.offset_ns == NOON_NS - BEGIN_NS
    assert clock.steps == 0


def test_a18_a_clock_that_was_set_back_goes_on_from_where_it_stood() -> None:
    clock = Stamps(HOUR_NS)
    arrival = clock.arrivals(stamps(NOON_NS, NOON_NS + 100, NOON_NS - HOUR_NS, NOON_NS - HOUR_NS + 7))
    assert (arrival - BEGIN_NS).tolist() == [0, 100, 100, 107]
    assert clock.steps == 1
    assert clock.offset_ns == NOON_NS - HOUR_NS - BEGIN_NS - 100


def test_a_century_is_cut_down() -> None:
    clock = Stamps(HOUR_NS)
    arrival = clock.arrivals(stamps(NOON_NS, 1 << 62, NOON_NS))
    assert (arrival - BEGIN_NS).tolist() == [0, HOUR_NS, HOUR_NS]
    assert clock.steps == 2


def test_no_stamps_are_no_times() -> None:
    clock = Stamps(HOUR_NS)
    assert clock.arrivals(stamps()).size == 0
    assert (clock.offset_ns, clock.now_ns) == (0, BEGIN_NS)


@given(
    ns=st.lists(st.one_of(st.integers(0, 1 << 62), st.integers(NOON_NS, NOON_NS + 3 * SECOND_NS)), max_size=40),
    cut=st.integers(0, 40),
)  # fmt: skip
def test_any_stamps_in_any_pieces_give_times_that_never_fall(ns: list[int], cut: int) -> None:
    whole, pieces = Stamps(HOUR_NS), Stamps(HOUR_NS)
    arrival = whole.arrivals(stamps(*ns))
    assert (np.diff(arrival) >= 0).all()
    assert (np.diff(arrival) <= HOUR_NS).all()
    assert [*pieces.arrivals(stamps(*ns[:cut])), *pieces.arrivals(stamps(*ns[cut:]))] == arrival.tolist()
    assert (whole.now_ns, whole.offset_ns, whole.steps) == (pieces.now_ns, pieces.offset_ns, pieces.steps)
