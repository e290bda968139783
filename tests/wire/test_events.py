"""Telephone events and comfort noise as octets."""

import numpy as np
import pytest

from receiver.wire import events


def test_a8_columns_are_those_of_the_rfcs_drawing() -> None:
    payloads = np.array([[5, 0x0A, 0x01, 0x90], [11, 0x8A, 0x03, 0x20], [255, 0xFF, 0xFF, 0xFF]], np.uint8)
    told = events.read(payloads)
    assert told.event.tolist() == [5, 11, 255]
    assert told.ended.tolist() == [False, True, True]
    assert told.duration.tolist() == [400, 800, 0xFFFF]


def test_a8_there_is_a_digit_for_every_key() -> None:
    assert events.DIGITS[10:] == "*#ABCD"
    assert len(events.DIGITS) == 16


@pytest.mark.parametrize(("octet", "level"), [(0, 0), (0x28, -40), (0x7F, -127), (0x80 | 0x28, -40)])
def test_a7_the_level_of_noise_is_its_first_octet_in_dbov(octet: int, level: int) -> None:
    assert events.noise_level(octet) == level
