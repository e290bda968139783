"""Packet indices by columns: what a sequence number stands for, what came before, who is remembered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.media.columns import CONTEXT, CONTEXT_SOURCES
from receiver.media.indices import MOST_CIRCLES, MOVED_NS, WINDOW, Indices, Place
from receiver.wire import srtp

HERE, THERE = (0, 1, 4_000), (0, 2, 5_000)


def place_at(index: int) -> Place:
    place = Place(0)
    assert place.take(index, HERE, 1)
    return place


@pytest.mark.parametrize(
    ("highest", "sequence16", "guesses"),
    [
        (-1, 40_000, (40_000,)),
        (-1, 3, (3, 65_539)),  # a sender that began just before the wrap, and whose packets overtook each other
        (-1, WINDOW, (WINDOW,)),
        (10, 65_535, (65_535,)),  # there is nothing before the first circle
        (65_535, 0, (65_536,)),
        (65_536, 65_535, (65_535,)),
        (3 * 65_536 + 5, 65_000, (2 * 65_536 + 65_000,)),
        (3 * 65_536 + 40_000, 100, (4 * 65_536 + 100,)),
    ],
)
def test_a5_a_sequence_number_stands_for_the_nearest_index(
    highest: int, sequence16: int, guesses: tuple[int, ...]
) -> None:
    place = Place(0)
    place.index = highest
    assert tuple(place.guesses(sequence16, 1)) == guesses


def test_after_an_outage_that_may_have_been_half_a_circle_later_ones_are_tried_too() -> None:
    place = place_at(70_000)
    half_ns = 32_768 * 10_000_000
    assert tuple(place.guesses(5_000, half_ns)) == (70_536,)
    assert tuple(place.guesses(5_000, half_ns + 1)) == (70_536, 136_072)
    assert len(place.guesses(5_000, 1_000 * half_ns)) == MOST_CIRCLES + 1


def test_the_window_is_libsrtps() -> None:
    assert WINDOW == srtp.WINDOW
    place = place_at(5_000)
    assert not place.too_old(5_000 - WINDOW + 1)
    assert place.too_old(5_000 - WINDOW)


@given(st.lists(st.integers(0, 3 * WINDOW), min_size=1, max_size=200))
def test_what_came_before_is_known_inside_the_window_whatever_the_order(numbers: list[int]) -> None:
    """Told apart by who asks: a copy from elsewhere is refused, a first one is not."""
    record = np.zeros(1, CONTEXT)["indices"][0]
    came: set[int] = set()
    for number in numbers:
        indices = Indices(record)  # another turn
        place = indices.of(9)
        if place.index >= 0 and place.too_old(number):
            assert number <= max(came) - WINDOW
            continue
        known = place.index >= 0
        assert place.take(number, THERE if known else HERE, 2) == (number not in came)
        if not known:
            indices.settle(9, place)
        came.add(number)
        indices.keep()
        assert record["index"].max() == max(came)


def test_b5_an_ssrc_comes_from_elsewhere_after_silence_only() -> None:
    place = place_at(5)
    assert place.take(6, THERE, MOVED_NS)
    assert place.source == HERE
    assert not place.take(6, THERE, MOVED_NS)
    assert place.take(6, HERE, MOVED_NS)
    assert place.take(7, THERE, 2 * MOVED_NS)
    assert place.source == THERE
    assert not place.take(7, HERE, 2 * MOVED_NS)


def test_the_most_silent_gives_way() -> None:
    record = np.zeros(1, CONTEXT)["indices"][0]
    for at_ns, ssrc in enumerate([10, 11, 12, 13, 10, 14, 15], start=1):
        indices = Indices(record)
        place = indices.of(ssrc)
        new = place.index < 0
        place.take(at_ns, HERE, at_ns * MOVED_NS)
        if new:
            indices.settle(ssrc, place)
        indices.keep()
    assert CONTEXT_SOURCES == 4
    assert sorted(record["ssrc"].tolist()) == [10, 13, 14, 15]
    assert Indices(record).of(11).index == -1
    assert Indices(record).of(10).index == 5


def test_a_new_one_that_takes_a_place_in_the_same_turn_is_written_there() -> None:
    record = np.zeros(1, CONTEXT)["indices"][0]
    indices = Indices(record)
    for ssrc in range(20, 28):
        place = indices.of(ssrc)
        place.take(ssrc, HERE, ssrc * MOVED_NS)
        indices.settle(ssrc, place)
    indices.keep()
    assert sorted(zip(record["ssrc"].tolist(), record["index"].tolist(), strict=True)) == [
        (ssrc, ssrc) for ssrc in range(24, 28)
    ]
