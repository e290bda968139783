"""From frames of the part axes to frames of the recording."""

import numpy as np

from receiver.archive.axes import Lane
from receiver.archive.pauses import Paused
from receiver.archive.placing import Placing
from receiver.archive.sidecar import Channel, Digit, Epoch, Pause, Stream, moment
from tests.archive.world import NOON_NS

TWO = Placing(begins=160, stop=20_000, segments=((Lane(0, 0), Lane(0, 2_000)),))


def test_marks_of_two_channels_lie_on_one_axis_in_order() -> None:
    marks = [Digit(digit="1", frame=4_000, frames=80, channel=0), Digit(digit="2", frame=1_000, frames=80, channel=1)]
    assert [(mark.digit, mark.frame) for mark in TWO.marks(marks)] == [("2", 2_840), ("1", 3_840)]


def test_an_epoch_lies_where_its_channel_does_and_one_from_before_the_beginning_at_frame_0() -> None:
    stream = Stream(ssrc=1, packets=9, epochs=(Epoch(frame=3_200, timestamp=5, at=moment(NOON_NS)),))
    early = Stream(ssrc=1, packets=9, epochs=(Epoch(frame=80, timestamp=5, at=moment(NOON_NS)),))
    [placed] = TWO.channel(1, Channel(streams=(stream,)), 8_000).streams
    assert placed.epochs == (Epoch(frame=5_040, timestamp=5, at=moment(NOON_NS)),)
    [placed] = TWO.channel(0, Channel(streams=(early,)), 8_000).streams
    assert placed.epochs == (Epoch(frame=0, timestamp=85, at=moment(NOON_NS + 10_000_000)),)


def test_pauses_are_told_by_the_channel_that_they_are_of() -> None:
    paused = [Paused(1_000, 3_000, NOON_NS, NOON_NS + 250_000_000)]
    [row] = TWO.pauses(1, paused, cut=False)
    assert row == Pause(2_840, 2_000, moment(NOON_NS), moment(NOON_NS + 250_000_000))
    left_out = Placing(begins=160, stop=20_000, segments=TWO.segments, left_out=np.array([[3_000, 5_000]]))
    [row] = left_out.pauses(1, paused, cut=True)
    assert (row.frame, row.frames) == (2_840, 0)
