"""The same dice, the same weather; and whatever happens, it is bounded and no packet's sound is touched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.lab import weather
from receiver.lab.weather import NS_PER_SAMPLE, Packets

MS = 1_000_000
SECOND = 1_000 * MS

SHARE = st.floats(0, 0.9)
SEED = st.integers(0, 1 << 32)
COUNT = st.integers(0, 300)


def dice(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def steady(count: int, size: int = 160) -> Packets:
    return weather.number_from(weather.steady(np.full(count, size)), ssrc=1, sequence=0, timestamp=0)


def content(packets: Packets) -> list[tuple[int, ...]]:
    """What a packet is, without when it comes."""
    names = ("sample", "size", "ssrc", "sequence", "timestamp")
    return sorted(zip(*(packets[name].tolist() for name in names), strict=True))


def test_a_steady_sender_speaks_each_sample_once_and_sends_it_when_it_is_spoken() -> None:
    packets = weather.steady(np.array([160, 80, 240]), start_ns=SECOND)
    assert packets["sample"].tolist() == packets["timestamp"].tolist() == [0, 160, 240]
    assert packets["when_ns"].tolist() == [SECOND + n * NS_PER_SAMPLE for n in (160, 240, 480)]
    assert packets["sequence"].tolist() == [0, 1, 2]
    assert packets["marker"].tolist() == [True, False, False]


@given(st.integers(0, 20_000), st.lists(st.integers(1, 1460), min_size=1, max_size=5), st.integers(1, 50), SEED)
def test_a9_sizes_change_and_the_whole_sound_is_cut_up(samples: int, sizes: list[int], run: int, seed: int) -> None:
    cut = weather.cut(samples, sizes, run, dice(seed))
    assert set(cut.tolist()) <= set(sizes)
    assert cut.sum() <= samples < cut.sum() + max(sizes)
    for first in range(0, len(cut), run):
        assert len(set(cut[first : first + run].tolist())) == 1


def test_a5_numbers_wrap() -> None:
    packets = weather.number_from(weather.steady(np.full(4, 160)), ssrc=9, sequence=65_534, timestamp=2**32 - 160)
    assert packets["sequence"].tolist() == [65_534, 65_535, 0, 1]
    assert packets["timestamp"].tolist() == [2**32 - 160, 0, 160, 320]
    assert set(packets["ssrc"].tolist()) == {9}


def test_a7_in_a_pause_time_goes_on_and_sequence_numbers_do_not() -> None:
    packets = weather.pause(steady(10), [100 * MS], 60 * MS)  # packets due at 100, 120, 140 ms
    assert packets["sample"].tolist() == packets["timestamp"].tolist() == [n * 160 for n in (0, 1, 2, 3, 7, 8, 9)]
    assert packets["sequence"].tolist() == list(range(7))
    assert np.flatnonzero(packets["marker"]).tolist() == [0, 4]


def test_a11_a_new_ssrc_counts_from_somewhere_else_and_the_sound_goes_on() -> None:
    packets = weather.change_ssrc(steady(10), [100 * MS], dice(1))
    assert packets["sample"].tolist() == [n * 160 for n in range(10)]
    before, after = packets[:4], packets[4:]
    assert len(set(before["ssrc"].tolist())) == len(set(after["ssrc"].tolist())) == 1
    assert before["ssrc"][0] != after["ssrc"][0]
    assert set(np.diff(after["sequence"]).tolist()) == {1}
    assert set(np.diff(after["timestamp"]).tolist()) == {160}
    assert int(after["timestamp"][0]) != 640


@pytest.mark.parametrize("samples", [400_000, -40_000, 2**31])
def test_a10_a_jump_moves_the_timestamp_alone(samples: int) -> None:
    before = steady(20)
    after = weather.jump(before, [100 * MS, 300 * MS], samples)
    moved = (after["timestamp"].astype(np.int64) - before["timestamp"]) % 2**32
    assert moved.tolist() == [0] * 4 + [samples % 2**32] * 10 + [2 * samples % 2**32] * 6
    for name in ("when_ns", "sequence", "ssrc", "sample", "size"):
        assert np.array_equal(before[name], after[name])


def test_a17_a_clock_that_stands_still_delays_everything_after_it_and_changes_no_number() -> None:
    before = steady(20)
    after = weather.stop_clock(before, [100 * MS, 300 * MS], SECOND)
    assert ((after["when_ns"] - before["when_ns"]) // SECOND).tolist() == [0] * 4 + [1] * 10 + [2] * 6
    assert content(before) == content(after)


@given(st.floats(0, 0.6), st.floats(1.5, 20), SEED)
def test_gilbert_and_elliott_lose_the_share_in_runs_of_the_length(share: float, run: float, seed: int) -> None:
    count = 40_000
    lost = weather.gilbert_elliott(count, share, run, dice(seed))
    assert lost.dtype == bool
    assert len(lost) == count
    edges = np.flatnonzero(np.diff(np.r_[0, lost.astype(np.int8), 0]))
    lengths = np.diff(edges)[::2]
    bursts = count * share / run
    allowed = 6 / max(bursts, 1) ** 0.5  # six standard deviations, about
    assert abs(lost.mean() - share) <= share * allowed * 1.5 + 1e-3
    if bursts > 100:
        assert abs(lengths.mean() - run) <= run * allowed


@pytest.mark.parametrize(("share", "run"), [(-0.1, 1), (1, 5), (0.9, 1), (0.1, 0.5)])
def test_a_loss_that_no_such_weather_has_is_refused(share: float, run: float) -> None:
    with pytest.raises(ValueError, match="no weather loses"):
        weather.gilbert_elliott(10, share, run, dice(1))


@given(COUNT, SHARE, SEED)
def test_a6_loss_takes_packets_away_and_changes_none(count: int, share: float, seed: int) -> None:
    packets = steady(count)
    kept = weather.lose(packets, share, 10.0, dice(seed))
    assert set(content(kept)) <= set(content(packets))
    assert np.all(np.diff(kept["sequence"].astype(np.int64)) > 0)


@given(COUNT, st.integers(0, 500), SEED)
def test_jitter_is_bounded_and_keeps_the_order(count: int, most_ms: int, seed: int) -> None:
    before = steady(count)
    after = weather.jitter(before, most_ms * MS, dice(seed))
    late = after["when_ns"] - before["when_ns"]
    assert np.all((late >= 0) & (late <= most_ms * MS))
    assert np.all(np.diff(after["when_ns"]) >= 0)
    assert content(before) == content(after)


@given(COUNT, SHARE, st.integers(0, 500), SEED)
def test_a4_reordering_is_bounded_and_loses_nothing(count: int, share: float, most_ms: int, seed: int) -> None:
    before = steady(count)
    after = weather.reorder(before, share, most_ms * MS, dice(seed))
    assert content(before) == content(after)
    assert np.all(np.diff(after["when_ns"]) >= 0)
    late = after["when_ns"] - before["when_ns"][np.searchsorted(before["sequence"], after["sequence"])]
    assert np.all((late >= 0) & (late <= most_ms * MS))


@given(COUNT, SHARE, st.integers(0, 500), SEED)
def test_a4_packets_out_are_packets_in_and_their_duplicates(count: int, share: float, most_ms: int, seed: int) -> None:
    before = steady(count)
    after = weather.duplicate(before, share, most_ms * MS, dice(seed))
    own, copies = after[after["copy"] == 0], after[after["copy"] == 1]
    assert len(after) == len(before) + len(copies)
    assert content(own) == content(before)
    assert len(np.unique(copies["sequence"])) == len(copies)
    at: NDArray[np.intp] = np.array(
        [np.flatnonzero(after["sequence"] == each)[0] for each in copies["sequence"]], np.intp
    )
    assert np.all(after["copy"][at] == 0)  # never before itself
    late = copies["when_ns"] - after["when_ns"][at]
    assert np.all((late >= 0) & (late <= most_ms * MS))


def test_in_a_stall_everything_waits_and_then_comes_at_once() -> None:
    packets = weather.stall(steady(10), [100 * MS], 50 * MS)
    assert (packets["when_ns"] // MS).tolist() == [20, 40, 60, 80, 150, 150, 150, 160, 180, 200]
