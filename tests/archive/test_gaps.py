"""The list of gaps: exactly what is absent, whatever the pattern, the chunks and the reasons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive.gaps import Stretch, explain, in_order, merge, runs
from receiver.archive.sidecar import Gap, Reason
from receiver.media.block import ABSENT
from tests.archive.world import as_tuples, gaps_by_hand

masks = st.lists(st.booleans(), max_size=80)
reasons = st.sampled_from(list(Reason))


def by_hand(mask: list[bool]) -> list[list[int]]:
    found: list[list[int]] = []
    for frame, absent in enumerate(mask):
        if absent and found and found[-1][1] == frame:
            found[-1][1] += 1
        elif absent:
            found.append([frame, frame + 1])
    return found


@given(mask=masks)
def test_runs_of_any_mask(mask: list[bool]) -> None:
    assert runs(np.array(mask, bool)).tolist() == by_hand(mask)


@given(mask=masks, chunk=st.integers(1, 12))
def test_a_run_over_the_border_of_chunks_is_one(mask: list[bool], chunk: int) -> None:
    absent = np.concatenate(
        [np.empty((0, 2), np.int64)]
        + [runs(np.array(mask[first:][:chunk], bool)) + first for first in range(0, len(mask), chunk)]
    )
    told = [[gap.frame, gap.frame + gap.frames] for gap in explain(absent, 0, [])]
    assert told == by_hand(mask)


stretches = st.lists(
    st.builds(Stretch, st.integers(0, 90), st.integers(0, 40), st.just(0), reasons.map(str)), max_size=6
)


@given(mask=masks, told=stretches)
def test_a7_a_gap_is_cut_where_its_reason_changes(mask: list[bool], told: list[Stretch]) -> None:
    samples = np.where(np.array([False, *mask], bool), ABSENT, np.int16(7))  # frame 0 came: nothing is cut in front
    expected = gaps_by_hand([samples], told)
    assert as_tuples(explain(runs(samples == ABSENT), 0, told)) == expected


def test_a_stretch_over_present_frames_says_nothing() -> None:
    assert explain(runs(np.zeros(50, bool)), 0, [Stretch(10, 10, 0, "not_sent")]) == []


def test_a_stretch_of_another_channel_says_nothing() -> None:
    absent = runs(np.ones(5, bool))
    assert as_tuples(explain(absent, 1, [Stretch(0, 5, 0, "paused")])) == [(0, 5, 1, "lost")]


def test_of_two_stretches_the_later_one_holds() -> None:
    told = [Stretch(0, 10, 0, "not_sent"), Stretch(4, 2, 0, "paused"), Stretch(8, 4, 0, "lost")]
    assert as_tuples(explain(runs(np.ones(12, bool)), 0, told)) == [
        (0, 4, 0, "not_sent"), (4, 2, 0, "paused"), (6, 2, 0, "not_sent"), (8, 4, 0, "lost"),
    ]  # fmt: skip


def test_an_unknown_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="boredom"):
        explain(runs(np.ones(5, bool)), 0, [Stretch(0, 5, 0, "boredom")])


def test_frames_are_told_from_the_recordings_frame_0_on() -> None:
    assert as_tuples(explain(np.array([[100, 110]]), 0, [Stretch(105, 9, 0, "paused")], shift=90)) == [
        (10, 5, 0, "lost"), (15, 5, 0, "paused"),
    ]  # fmt: skip


def test_rows_that_touch_are_one_only_with_one_reason() -> None:
    spans = [(0, 2, "lost"), (2, 2, "lost"), (4, 1, "paused"), (6, 1, "paused")]
    rows = [Gap(frame, frames, 0, Reason(reason)) for frame, frames, reason in spans]
    assert as_tuples(merge(rows)) == [(0, 4, 0, "lost"), (4, 1, 0, "paused"), (6, 1, 0, "paused")]


def test_the_sidecar_lists_by_frame_then_channel() -> None:
    told = in_order([[Gap(0, 1, 0, Reason.LOST), Gap(9, 1, 0, Reason.LOST)], [Gap(0, 1, 1, Reason.LOST)]])
    assert [(gap.frame, gap.channel) for gap in told] == [(0, 0), (0, 1), (9, 0)]


def test_many_gaps_and_many_stretches_take_no_time_to_speak_of() -> None:
    absent = np.arange(200_000).reshape(-1, 2) * 3
    told = [Stretch(600 * number, 300, 0, "not_sent") for number in range(1_000)]
    assert len(explain(absent, 0, told)) >= 100_000
