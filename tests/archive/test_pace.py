"""Rule A15, first half: a sender's drift against our clock, from its least delayed packets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive.pace import Pace, drift_ppm, envelope, slope
from tests.archive.clocks import FIRST, MODELS, RATE, SECOND, talk
from tests.tools import count


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ppm", [150, -150, 0])
def test_a15_the_drift_is_told_within_1_ppm_after_an_hour(model: str, ppm: int) -> None:
    for seed in range(count(1, all=4, full=20)):
        told = drift_ppm([talk(3_600, ppm, model, np.random.default_rng(seed)).pace], RATE)
        assert told is not None
        assert abs(told - ppm) < 1


def test_a15_epochs_and_pauses_between_do_not_count_as_drift() -> None:
    """Each epoch has an offset of its own; what is common is the slope."""
    dice, paces, start_ns, first = np.random.default_rng(3), [], 0.0, FIRST
    for seconds, pause_s, jump in ((900, 30, 7), (40, 400, 90_000), (1_800, 5, 3), (900, 0, 0)):
        part = talk(seconds, 150, "266 ms", dice, start_ns, first)
        paces.append(part.pace)
        start_ns = float(part.sent[-1]) + pause_s * SECOND
        first = part.stop + pause_s * RATE + jump
    told = drift_ppm(paces, RATE)
    assert told is not None
    assert abs(told - 150) < 1


@pytest.mark.parametrize("late", [slice(0, 120), slice(200, 360)])
def test_a15_a_network_that_is_congested_for_a_third_of_the_call_is_no_drift(late: slice) -> None:
    """At its beginning or its end, where it pulls most: no window of it has a packet that is not 80 ms late."""
    made = talk(3_600, 0, "24 ms", np.random.default_rng(8)).pace
    made.points[late, 1] += np.random.default_rng(9).integers(60_000_000, 100_000_000, len(made.points[late]))
    told = drift_ppm([made], RATE)
    assert told is not None
    assert abs(told) < 1


def test_a15_of_silence_suppression_the_few_packets_are_enough() -> None:
    dice = np.random.default_rng(4)
    spoken = dice.random(3_600 * 50) < 0.02
    told = drift_ppm([talk(3_600, -150, "24 ms", dice, spoken=spoken).pace], RATE)
    assert told is not None
    assert abs(told + 150) < 1


def test_a15_too_short_a_call_has_no_drift() -> None:
    dice = np.random.default_rng(5)
    assert drift_ppm([talk(290, 150, "quiet", dice).pace], RATE) is None
    assert drift_ppm([talk(320, 150, "quiet", dice).pace], RATE) == pytest.approx(150, abs=3)
    assert drift_ppm([talk(160, 150, "quiet", dice).pace, talk(170, 150, "quiet", dice).pace], RATE) is not None
    assert drift_ppm([], RATE) is None
    assert drift_ppm([Pace(1, 0, np.empty((0, 2), np.int64))], RATE) is None


@pytest.mark.parametrize("seconds", [5, 29])
def test_a15_a_few_windows_alone_have_no_slope(seconds: int) -> None:
    assert slope([talk(seconds, 150, "quiet", np.random.default_rng(6)).pace], RATE) == 0.0


def test_a15_a_short_call_s_slope_is_bounded_by_what_clocks_do() -> None:
    steep = np.array([(k * 80_000, k * 11 * SECOND) for k in range(5)], np.int64)
    assert slope([Pace(1, 0, steep)], RATE) == pytest.approx(200e-6)
    long = np.array([(k * 80_000, k * 11 * SECOND) for k in range(40)], np.int64)
    assert slope([Pace(1, 0, long)], RATE) == pytest.approx(500e-6)


@given(
    st.lists(st.tuples(st.integers(1, 400_000), st.integers(0, 3 * SECOND)), min_size=1, max_size=60),
    st.integers(-150, 150),
    st.integers(0, 40),
)
def test_a15_the_envelope_lies_below_its_points_and_never_above_a_neighbour(
    steps: list[tuple[int, int]], ppm: int, reach: int
) -> None:
    frames = np.cumsum([frames for frames, _ in steps])
    sender = frames * (SECOND // RATE)
    arrival = sender + np.array([delay for _, delay in steps])
    made = envelope(Pace(1, 0, np.stack((frames, arrival), axis=1)), ppm * 1e-6, RATE, reach)
    rest = arrival - sender * (1 + ppm * 1e-6)
    least = made - sender * (1 + ppm * 1e-6)
    for k in range(len(steps)):
        assert least[k] == pytest.approx(rest[max(0, k - reach) : k + reach + 1].min(), abs=1_000)
