"""Weathers by name: each is reproducible, and leaves a recorder enough to judge."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.lab import forecast
from receiver.lab.forecast import PRESETS, QUIET_END_S, Moments, UnknownWeather, Weather

SECOND = 1_000_000_000


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_seed_is_the_same_weather_and_another_one_is_not(name: str) -> None:
    first, again, other = (forecast.forecast(PRESETS[name], 160, 10, forecast.dice_of(seed, 1)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", PRESETS)
@given(seconds=st.floats(0.1, 30), seed=st.integers(0, 1 << 32))
def test_every_weather_is_in_order_and_keeps_the_sound_together(name: str, seconds: float, seed: int) -> None:
    packets = forecast.forecast(PRESETS[name], 160, seconds, forecast.dice_of(seed, 0), start_ns=SECOND)
    assert np.all(np.diff(packets["when_ns"]) >= 0)
    assert np.all(packets["when_ns"] > SECOND)
    assert np.all(packets["sample"] >= 0)
    assert np.all(packets["sample"] + packets["size"] <= seconds * 8000 + 1)
    own = packets[packets["copy"] == 0]
    by_sound = own[np.argsort(own["sample"])]
    assert np.all(np.diff(by_sound["sample"]) >= by_sound["size"][:-1])  # no sample is in two packets


@pytest.mark.parametrize("name", PRESETS)
def test_a11_no_weather_opens_more_than_8_epochs_a_minute(name: str) -> None:
    told = PRESETS[name]
    a_minute = sum(
        60 / moments.every_s for moments in (told.ssrc_change, told.jump, told.clock_stop) if moments is not None
    )
    assert a_minute <= 8


@pytest.mark.parametrize(
    ("name", "epochs"), [("ssrc_change", 2), ("jump_forward", 2), ("jump_back", 2), ("everything", 3)]
)
@pytest.mark.parametrize("seed", range(20))
def test_ten_seconds_are_enough_to_meet_what_the_name_says(name: str, epochs: int, seed: int) -> None:
    packets = forecast.forecast(PRESETS[name], 160, 10, forecast.dice_of(seed, 1))
    lines = {
        (ssrc, (timestamp - sample) % 2**32)
        for ssrc, timestamp, sample in zip(*(packets[k].tolist() for k in ("ssrc", "timestamp", "sample")), strict=True)
    }
    assert len(lines) == epochs


@pytest.mark.parametrize("name", ["ssrc_change", "jump_back", "clock_stop", "everything"])
@pytest.mark.parametrize("seconds", [1.0, 3.0, 4.5, 6.0, 9.9])
@pytest.mark.parametrize("seed", range(10))
def test_a_call_ends_quietly(name: str, seconds: float, seed: int) -> None:
    packets = forecast.forecast(PRESETS[name], 160, seconds, forecast.dice_of(seed, 1))
    own = packets[packets["copy"] == 0]
    last = own[own["sample"] >= (seconds - QUIET_END_S + 0.1) * 8000]
    assert len(set(last["ssrc"].tolist())) <= 1
    assert len(set(((last["timestamp"].astype(np.int64) - last["sample"]) % 2**32).tolist())) <= 1


def test_a5_wrap_wraps_both_numbers() -> None:
    packets = forecast.forecast(PRESETS["wrap"], 160, 4, forecast.dice_of(1, 1))
    assert np.count_nonzero(np.diff(packets["sequence"].astype(np.int64)) < 0) == 1
    assert np.count_nonzero(np.diff(packets["timestamp"].astype(np.int64)) < 0) == 1


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownWeather, match=r"'fog'.*clean, lossy"):
        forecast.named("fog")


@pytest.mark.parametrize(
    ("field", "value"),
    [("loss", 1.5), ("loss", 0.9), ("reorder", -1), ("jitter_ms", -1), ("pause_ms", 1e9), ("sizes", [0]),
     ("sizes", [1461]), ("sizes_run", 0), ("loss_run", 0.1), ("fog", 1), ("pause", {"first": 1})],
)  # fmt: skip
def test_weather_that_cannot_be_is_refused_with_its_name(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"loses|sizes|fog|first|" + field):
        msgspec.convert({field: value}, Weather)


def test_moments_without_a_period_happen_once() -> None:
    packets = forecast.forecast(Weather(jump=Moments(1)), 160, 60, forecast.dice_of(1, 1))
    assert len(set(((packets["timestamp"].astype(np.int64) - packets["sample"]) % 2**32).tolist())) == 2
