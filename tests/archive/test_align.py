"""Rule A15, second half: channels lie beside each other and stay so; only silence is put in, and all of it is told."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive.align import SEARCH_S, Course, Voice, align
from receiver.archive.gaps import Runs
from receiver.archive.pace import Pace
from tests.archive.clocks import FIRST, MODELS, PACKET, RATE, SECOND, Talk, apart_ms, on_the_woven_axis, talk
from tests.tools import count

HOURS_4 = 4 * 3_600
NONE = np.empty((0, 2), np.int64)


def voice(talks: Sequence[Talk], absent: Sequence[tuple[int, int]] = ()) -> Voice:
    """A channel with these epochs and these absent runs."""

    def within(first: int, stop: int) -> Runs:
        cut = [(max(low, first), min(high, stop)) for low, high in absent if low < stop and high > first]
        return np.array(cut, np.int64).reshape(-1, 2)

    return Voice(tuple(it.pace for it in talks), 0, talks[-1].stop if talks else 0, within)


@pytest.mark.parametrize("model", MODELS)
def test_a15_within_20_ms_after_4_hours_at_plus_and_minus_150_ppm(model: str) -> None:
    """Issue D's number for stereo. The bound is over the whole call, not only at its end."""
    dice = np.random.default_rng(1)
    fast = talk(HOURS_4, 150, model, dice)
    slow = talk(HOURS_4, -150, model, dice, start_ns=7.3e9)
    courses = align([voice([fast]), voice([slow])], RATE)
    times = np.arange(8e9, HOURS_4 * 0.9998e9, 1e9)
    assert apart_ms((courses[0], [fast]), (courses[1], [slow]), times).max() < 20
    assert courses[0].insertions == ()
    put = sum(frames for _, frames in courses[1].insertions)
    assert put == pytest.approx(HOURS_4 * 300e-6 * RATE, abs=2 * 80)
    assert {frames for _, frames in courses[1].insertions} == {80}


@pytest.mark.parametrize("model", [model for model in MODELS if model != "seldom undelayed"])
@pytest.mark.parametrize("seconds", [60, 300])
def test_a15_anchoring_is_within_3_ms_in_99_of_100_calls(model: str, seconds: int) -> None:
    """At the first packet it would be off by 24 to 266 ms in these weathers."""
    off = []
    for seed in range(count(8, all=200, full=2_000)):
        dice = np.random.default_rng(seed)
        ppm = dice.uniform(-150, 150, 2)
        one, other = talk(seconds, ppm[0], model, dice), talk(seconds, ppm[1], model, dice, start_ns=2.345678e9)
        courses = align([voice([one]), voice([other])], RATE)
        off.append(apart_ms((courses[0], [one]), (courses[1], [other]), np.array([5e9]))[0])
    assert np.quantile(off, 0.99) < 3


def test_a15_three_channels_keep_together() -> None:
    dice = np.random.default_rng(2)
    talks = [talk(3_600, ppm, "24 ms", dice, start_ns=k * 11e9) for k, ppm in enumerate((-100, 150, 20))]
    courses = align([voice([it]) for it in talks], RATE)
    times = np.arange(30e9, 3_590e9, 1e9)
    for k in range(3):
        assert apart_ms((courses[k], [talks[k]]), (courses[0], [talks[0]]), times).max() < 20


def test_a15_a_side_that_begins_late_is_laid_beside_what_the_other_is_at_by_then() -> None:
    dice = np.random.default_rng(3)
    slow, fast = talk(7_200, -150, "24 ms", dice), talk(7_200, 150, "24 ms", dice, start_ns=0)
    late = talk(3_000, -150, "24 ms", dice, start_ns=4_000e9)
    courses = align([voice([slow]), voice([fast]), voice([late])], RATE)
    times = np.arange(4_010e9, 6_990e9, 1e9)
    assert apart_ms((courses[2], [late]), (courses[1], [fast]), times).max() < 20
    alone = align([voice([slow]), voice([late])], RATE)
    assert alone[0] == Course(0, ())
    assert alone[1].insertions == ()


def test_a15_a_side_that_begins_when_the_other_has_ended_lies_where_its_time_is() -> None:
    dice = np.random.default_rng(4)
    early, late = talk(60, 0, "quiet", dice), talk(60, 0, "quiet", dice, start_ns=100e9)
    courses = align([voice([late]), voice([early])], RATE)
    assert courses[1] == Course(0, ())  # its axis is the common one, because it began first
    assert courses[0].offset == pytest.approx(100 * RATE, abs=24)
    assert courses[0].insertions == ()


@pytest.mark.parametrize("gap", [40, 900])
def test_a15_silence_is_put_into_absence_where_there_is_some_soon(gap: int) -> None:
    """A side that lags gets its silence within ten seconds; not in the middle of sound if it can be helped."""
    dice = np.random.default_rng(5)
    fast, slow = talk(1_800, 150, "quiet", dice), talk(1_800, -150, "quiet", dice)
    absent = [(at, at + gap) for at in range(FIRST, slow.stop, 9 * RATE)]
    courses = align([voice([fast]), voice([slow], absent)], RATE)
    assert len(courses[1].insertions) > 50
    starts = {low for low, _ in absent}
    assert all(at in starts or any(low <= at < high for low, high in absent) for at, _ in courses[1].insertions)
    assert apart_ms((courses[0], [fast]), (courses[1], [slow]), np.arange(1e9, 1_799e9, 1e9)).max() < 20


def test_a15_where_no_absence_comes_soon_silence_is_put_in_at_once() -> None:
    dice = np.random.default_rng(6)
    fast, slow = talk(900, 150, "quiet", dice), talk(900, -150, "quiet", dice)
    without = align([voice([fast]), voice([slow])], RATE)
    first = without[1].insertions[0][0]
    too_late = [(first + SEARCH_S * RATE + 1, first + SEARCH_S * RATE + 99)]
    assert align([voice([fast]), voice([slow], too_late)], RATE)[1].insertions[0][0] == first
    assert apart_ms((without[0], [fast]), (without[1], [slow]), np.arange(1e9, 899e9, 1e9)).max() < 13


def test_a15_an_epoch_that_was_anchored_badly_is_put_right_where_it_begins() -> None:
    """A new epoch of the one side lies 300 ms too early in its part: it gets its silence there, in one piece."""
    dice = np.random.default_rng(7)
    steady = talk(200, 0, "quiet", dice)
    before = talk(100, 0, "quiet", dice)
    after = talk(90, 0, "quiet", dice, start_ns=105e9, first=before.stop + 5 * RATE - 2_400, ssrc=8)
    soon = [(after.pace.begin + 5 * RATE, after.pace.begin + 6 * RATE)]  # it does not wait for absence
    for order in (0, 1):
        voices = [voice([steady]), voice([before, after], soon)]
        courses = align(voices[::-1] if order else voices, RATE)
        courses = courses[::-1] if order else courses
        assert courses[0].insertions == ()
        assert [at for at, _ in courses[1].insertions] == [after.pace.begin]
        assert courses[1].insertions[0][1] == pytest.approx(2_400, abs=80)
        times = np.concatenate((np.arange(1e9, 99e9, 1e9), np.arange(106e9, 190e9, 1e9)))
        assert apart_ms((courses[0], [steady]), (courses[1], [before, after]), times).max() < 12


def test_a15_a_side_that_nothing_came_for_changes_nothing() -> None:
    dice = np.random.default_rng(8)
    alone = talk(600, 150, "266 ms", dice)
    assert align([voice([]), voice([alone])], RATE) == [Course(), Course()]
    assert align([voice([alone])], RATE) == [Course()]
    assert align([], RATE) == []


def test_a15_equal_clocks_need_no_silence() -> None:
    dice = np.random.default_rng(9)
    one, other = talk(3_600, 40, "24 ms", dice), talk(3_600, 40, "24 ms", dice, start_ns=123e6)
    assert [it.insertions for it in align([voice([one]), voice([other])], RATE)] == [(), ()]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 400_000)), min_size=1, max_size=8), min_size=2,
        max_size=4,
    ),
    st.data(),
)  # fmt: skip
def test_a15_whatever_the_points_say_courses_rise_and_silences_are_told(
    channels: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """Hostile clocks: no sample is dropped or moved before another, and the walk comes to its end."""
    voices = []
    for steps in channels:
        frames = np.cumsum([FIRST] + [frames for _, frames in steps])
        times = np.cumsum([data.draw(st.integers(0, 20 * SECOND))] + [ns for ns, _ in steps])
        cuts = sorted(data.draw(st.sets(st.integers(1, len(steps)), max_size=3)))
        pieces = np.split(np.stack((frames, times), axis=1), cuts)
        paces = tuple(Pace(k % 2, int(piece[0, 0]), piece) for k, piece in enumerate(pieces) if len(piece))
        voices.append(Voice(paces, 0, int(frames[-1]) + PACKET, lambda first, stop: NONE))
    courses = align(voices, RATE)
    assert min(course.offset for course in courses) == 0
    for course, mine in zip(courses, voices, strict=True):
        places = [at for at, _ in course.insertions]
        assert places == sorted(set(places))
        assert all(more > 0 and more % 80 == 0 for _, more in course.insertions)
        every = np.arange(0, mine.stop, 80)
        there = on_the_woven_axis(course, every)
        assert (np.diff(there) >= 80).all()


def test_a15_in_a_later_file_channels_begin_where_it_begins_and_keep_together() -> None:
    """Rule C7: all are cut at one moment. What the cut was wrong by is put right at once."""
    dice = np.random.default_rng(10)
    fast, slow = talk(1_800, 150, "24 ms", dice), talk(1_800, -150, "24 ms", dice)
    cuts = [int(np.interp(900e9, it.sent, it.frames)) for it in (fast, slow)]
    whole = [voice([fast]), voice([slow])]
    later = [it._replace(first=cut) for it, cut in zip(whole, cuts, strict=True)]
    offsets = [9_000_000 - cut for cut in cuts]
    courses = align(later, RATE, offsets)
    assert [course.offset for course in courses] == offsets
    assert courses[0].insertions == ()
    assert min(at for at, _ in courses[1].insertions) >= cuts[1]
    assert len(courses[1].insertions) == pytest.approx(900 * 300e-6 * 100, abs=2)
    assert apart_ms((courses[0], [fast]), (courses[1], [slow]), np.arange(901e9, 1_799e9, 1e9)).max() < 20
    wrong = align(later, RATE, [offsets[0], offsets[1] - 800])
    assert wrong[1].insertions[0] == (cuts[1], 800)
    earlier = [it._replace(stop=cut) for it, cut in zip(whole, cuts, strict=True)]
    assert all(at < cuts[1] for at, _ in align(earlier, RATE)[1].insertions)


def test_a15_of_a_channel_that_has_nothing_in_this_file_nothing_is_made() -> None:
    dice = np.random.default_rng(11)
    one, other = talk(100, 150, "quiet", dice), talk(50, -150, "quiet", dice)
    voices = [voice([one])._replace(first=60 * RATE), voice([other])._replace(first=60 * RATE, stop=60 * RATE)]
    assert align(voices, RATE, [5, 7]) == [Course(5), Course(7)]
