"""Which line of a stream's clock a packet under way belongs to."""

from typing import Any

import numpy as np
import pytest

from receiver.media import lines
from receiver.media.columns import EARLIER_LINES, FAR, STREAM


def stream(step: int = 160) -> Any:
    """A stream whose first line began with number 100 and timestamp 5,000 at position 3,200."""
    record = np.zeros(1, STREAM)[0]
    record["step"], record["line_sequence"], record["line_timestamp"], record["offset"] = step, 100, 5_000, -1_800
    return record


def turn(record: Any, last: int, sequence: int, timestamp: int, position: int, end: int, begin: int) -> None:
    """The line so far ended with number ``last``."""
    record["statistics"]["highest_sequence"] = last
    record["timestamp"] = record["line_timestamp"] + (last - record["line_sequence"]) * record["step"]
    lines.turn(record, sequence, timestamp, position, end, begin)


def test_a_stream_without_speech_has_no_line() -> None:
    record = stream()
    assert lines.spoken(record)
    record["line_sequence"] = FAR
    assert not lines.spoken(record)


def test_before_the_first_line_nothing_else_was() -> None:
    assert lines.earlier(stream(), 95, 4_200, 160) == 2_400


def jumped() -> Any:
    """After number 110 (its line ends at 4,960) came number 113 with another clock, at position 6,000."""
    record = stream()
    turn(record, 110, 113, 900_000, 6_000, end=6_000, begin=4_960)
    return record


@pytest.mark.parametrize("sequence", [90, 100, 109, 110])
def test_a_number_that_the_earlier_line_has_passed_is_of_that_line(sequence: int) -> None:
    assert lines.earlier(jumped(), sequence, 5_000 + (sequence - 100) * 160, 160) == 3_200 + (sequence - 100) * 160


@pytest.mark.parametrize(("timestamp", "position"), [(6_760, 4_960), (899_680, 5_680)])
def test_a_number_between_two_lines_is_of_the_one_that_its_timestamp_fits(timestamp: int, position: int) -> None:
    assert lines.earlier(jumped(), 111, timestamp, 160) == position


def test_beyond_its_end_or_before_its_beginning_there_is_no_place() -> None:
    assert lines.earlier(jumped(), 110, 7_640, 160) == 5_840
    assert lines.earlier(jumped(), 110, 7_640, 161) is None
    assert lines.earlier(jumped(), 112, 900_000 - 1_040, 160) == 4_960
    assert lines.earlier(jumped(), 112, 900_000 - 1_041, 160) is None


def test_lines_are_told_apart_as_far_back_as_they_are_remembered() -> None:
    record = stream()
    for k in range(1, EARLIER_LINES + 2):
        number = 100 + 10 * k
        turn(record, number - 1, number, k << 28, 3_200 + 1_600 * k, end=3_200 + 1_600 * k, begin=3_200 + 1_600 * k)
    assert record["turns"] == EARLIER_LINES + 1
    for k in range(1, EARLIER_LINES + 1):
        assert lines.earlier(record, 100 + 10 * k + 3, (k << 28) + 480, 160) == 3_200 + 1_600 * k + 480
    assert lines.earlier(record, 105, 5_800, 160) is None, "that line is forgotten"


def test_timestamps_wrap_on_every_line() -> None:
    record = stream()
    record["line_timestamp"], record["offset"] = (1 << 32) - 320, 3_200 - (1 << 32) + 320
    turn(record, 110, 111, 50, 9_000, end=9_000, begin=5_000)
    assert lines.earlier(record, 104, 320, 160) == 3_200 + 640
    assert lines.earlier(record, 100, (1 << 32) - 320, 160) == 3_200


def test_moved_to_another_row_all_lines_move() -> None:
    record = jumped()
    lines.shift(record, 1_000)
    assert lines.earlier(record, 105, 5_800, 160) == 5_000
    assert lines.earlier(record, 112, 900_000 - 160, 160) == 6_840
