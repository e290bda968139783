"""Numbers that wrap (rule A5)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.wire.serial import widen

REFERENCES = st.integers(-(2**60), 2**60)
WIDTHS = st.sampled_from([16, 32])


@given(REFERENCES, WIDTHS, st.data())
def test_a5_a_number_less_than_half_a_circle_away_is_found(reference: int, bits: int, data: st.DataObject) -> None:
    half = 1 << (bits - 1)
    truth = reference + data.draw(st.integers(-half, half - 1))
    assert widen(reference, truth % (1 << bits), bits) == truth


@given(REFERENCES, WIDTHS, st.integers(0, 2**32 - 1))
def test_a5_the_low_bits_stay_and_nothing_nearer_has_them(reference: int, bits: int, value: int) -> None:
    value %= 1 << bits
    wide = widen(reference, value, bits)
    assert wide % (1 << bits) == value
    assert abs(wide - reference) <= 1 << (bits - 1)


@given(st.lists(st.tuples(REFERENCES, st.integers(0, 2**32 - 1)), min_size=1, max_size=50), WIDTHS)
def test_a5_columns_equal_the_loop(pairs: list[tuple[int, int]], bits: int) -> None:
    reference, value = np.array(pairs, np.int64).T
    value %= 1 << bits
    loop = [widen(int(r), int(v), bits) for r, v in zip(reference, value, strict=True)]
    assert widen(reference, value, bits).tolist() == loop
    assert widen(reference, value, bits).dtype == np.int64


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("step", [1, 160, -160, 32_000])
def test_a5_a_run_over_wraps_stays_straight(bits: int, step: int) -> None:
    truth = (1 << bits) - 5 * abs(step) + step * np.arange(20_000, dtype=np.int64)
    batch = 20_000 // abs(step) + 1
    newest = int(truth[0])
    for at in range(0, len(truth), min(batch, 1000)):
        run = truth[at : at + min(batch, 1000)]
        assert np.array_equal(widen(newest, run % (1 << bits), bits), run)
        newest = int(run[-1])


def test_a5_halfway_round_the_lower_one_is_taken() -> None:
    assert widen(0, 1 << 15, 16) == -(1 << 15)
    assert widen(0, 1 << 31, 32) == -(1 << 31)
