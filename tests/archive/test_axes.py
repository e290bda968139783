"""Where the parts of several channels lie beside each other."""

import pytest

from receiver.archive import axes
from receiver.archive.axes import Lane
from receiver.archive.gaps import Stretch
from receiver.archive.names import PartKey
from receiver.archive.sidecar import Reason
from tests.archive.world import ID

NOON_NS = 10**18
MS = 1_000_000


def keys(*firsts: int, segment: int = 0) -> list[PartKey]:
    return [PartKey(ID, channel, segment, first) for channel, first in enumerate(firsts)]


def test_a15_channels_lie_as_they_came() -> None:
    assert axes.lanes(keys(0, 0), (NOON_NS + 250 * MS, NOON_NS), 8_000, None) == (Lane(0, 2_000), Lane(0, 0))


def test_a_channel_that_nothing_came_on_lies_at_the_beginning() -> None:
    lanes = axes.lanes(keys(0, 0), (NOON_NS, None), 8_000, None)
    assert lanes == (Lane(0, 0), Lane(0, 0))
    assert axes.lanes(keys(0), (), 8_000, None) == (Lane(0, 0),)


def test_c7_every_channel_goes_on_where_the_segment_before_ended() -> None:
    """Both were cut at one moment: at frames of their own."""
    lanes = axes.lanes(keys(70_000, 68_000, segment=1), (NOON_NS, NOON_NS + 250 * MS), 8_000, 70_003)
    assert lanes == (Lane(70_000, 3), Lane(68_000, 2_003))
    assert axes.begin(lanes) == 70_003
    assert axes.reach((71_000, 69_500), lanes) == 71_503


def test_c7_a_channel_that_is_first_heard_in_a_later_segment_lies_as_it_came() -> None:
    anchors = NOON_NS, NOON_NS + 10_000 * MS
    lanes = axes.lanes(keys(70_000, 0, segment=1), anchors, 8_000, 70_000)
    assert lanes == (Lane(70_000, 0), Lane(0, 80_000))
    silent = axes.lanes(keys(70_000, 0, segment=1), (NOON_NS, None), 8_000, 70_000)
    assert axes.begin(silent) == axes.reach((70_000, 0), silent) == 70_000


@pytest.mark.parametrize(("frame", "shared"), [(0, 2_000), (67_999, 69_999), (68_000, 70_003), (90_000, 92_003)])
def test_a_frame_lies_where_its_segment_puts_it(frame: int, shared: int) -> None:
    segments = (Lane(0, 0), Lane(0, 2_000)), (Lane(70_000, 3), Lane(68_000, 2_003))
    assert axes.shared(1, frame, segments) == shared
    [moved] = axes.moved([Stretch(frame, 5, 1, Reason.NOT_SENT)], segments[frame >= 68_000])
    assert moved == Stretch(shared, 5, 1, Reason.NOT_SENT)


def test_a15_silence_that_is_put_in_lies_before_its_frame_and_is_told_last() -> None:
    lane = Lane(0, 100, ((10, 80), (20, 160)))
    assert [lane.shared(frame) for frame in (0, 9, 10, 19, 20, 30)] == [100, 109, 190, 199, 360, 370]
    assert [lane.end(frame) for frame in (10, 11, 20, 21)] == [110, 191, 200, 361]
    assert lane.silences() == ((110, 80), (200, 160))
    told = axes.moved([Stretch(5, 20, 0, Reason.NOT_SENT), Stretch(0, 10, 0, Reason.LOST)], (lane, Lane(0, 0)))
    assert told == [
        Stretch(105, 260, 0, Reason.NOT_SENT), Stretch(100, 10, 0, Reason.LOST), Stretch(110, 80, 0, Reason.DRIFT),
        Stretch(200, 160, 0, Reason.DRIFT),
    ]  # fmt: skip
    assert axes.reach((20, 355), (lane, Lane(0, 0))) == 355


def test_what_no_segment_has_stays() -> None:
    assert axes.shared(1, 7, ((Lane(0, 5),),)) == 7
    assert axes.shared(0, 7, ()) == 7
