"""Frames of the part, and where they are in a file that leaves some of them out."""

import numpy as np
from msgspec import UNSET

from receiver.archive import pauses
from receiver.archive.gaps import Stretch
from receiver.archive.pauses import Paused
from receiver.archive.sidecar import Epoch, Gap, Pause, Reason, Stream, moment

LEFT_OUT = np.array([(100, 200), (300, 350)], np.int64)


def test_places_close_up() -> None:
    assert [pauses.place(frame, LEFT_OUT) for frame in (0, 100, 150, 200, 250, 320, 350)] == [
        0, 100, 100, 100, 150, 200, 200,
    ]  # fmt: skip


def test_pauses_explain_what_is_absent_inside_one_that_was_not_resumed_up_to_the_end() -> None:
    told = [Paused(10, 20, 1, 2), Paused(50, None, 3, None), Paused(20, 20, 5, 6)]
    assert pauses.stretches(told, 80) == [Stretch(10, 10, 0, "paused"), Stretch(50, 30, 0, "paused")]


def test_pauses_inside_a_span_touch_and_end_with_it() -> None:
    told = [Stretch(50, 30, 0, "paused"), Stretch(0, 20, 0, "paused"), Stretch(20, 5, 0, "paused"),
            Stretch(30, 5, 0, "lost"), Stretch(50, 30, 1, "paused")]  # fmt: skip
    assert pauses.inside(told, (10, 60)).tolist() == [[10, 25], [50, 60]]
    assert pauses.inside([], (0, 9)).shape == (0, 2)


def test_gaps_close_up_and_those_left_out_are_none() -> None:
    gaps = [Gap(90, 10, 0, Reason.LOST), Gap(100, 100, 0, Reason.PAUSED), Gap(200, 5, 0, Reason.LOST),
            Gap(290, 10, 0, Reason.PAUSED)]  # fmt: skip
    assert pauses.closed_up(gaps, LEFT_OUT, 40) == [Gap(50, 15, 0, Reason.LOST), Gap(150, 10, 0, Reason.PAUSED)]


def test_the_sidecar_tells_frames_of_the_file_and_times() -> None:
    told = [Paused(0, 50, 0, 1_000_000), Paused(90, 210, 2_000_000, 3_000_000), Paused(390, None, 4_000_000, None)]
    assert pauses.in_sidecar(told, pauses.NONE, 40, 400, cut=False) == (
        Pause(0, 10, moment(0), moment(1_000_000)), Pause(50, 120, moment(2_000_000), moment(3_000_000)),
        Pause(350, 10, moment(4_000_000), UNSET),
    )  # fmt: skip
    rows = pauses.in_sidecar(told, LEFT_OUT, 40, 400, cut=True)
    assert [(row.frame, row.frames) for row in rows] == [(0, 0), (60, 0), (200, 0)]


def test_a_clock_that_went_on_over_frames_left_out_is_told_anew_behind_them() -> None:
    stream = Stream(ssrc=1, packets=1, epochs=(Epoch(frame=20, timestamp=2**32 - 100, at=moment(0)),
                                               Epoch(frame=310, timestamp=7, at=UNSET)))  # fmt: skip
    [told] = pauses.resumed([stream], LEFT_OUT, 8_000)
    assert told.epochs == (
        Epoch(frame=20, timestamp=2**32 - 100, at=moment(0)), Epoch(frame=200, timestamp=80, at=moment(22_500_000)),
        Epoch(frame=350, timestamp=47, at=UNSET),
    )  # fmt: skip
