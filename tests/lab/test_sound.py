"""What callers say can be told from every other sound, and never is silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.lab import sound
from receiver.wire import g711

LAW = st.sampled_from([g711.PCMU, g711.PCMA])
TABLES = {g711.PCMU: g711.ULAW, g711.PCMA: g711.ALAW}


def test_identity_never_changes_so_old_logs_stay_true() -> None:
    assert sound.identity(7, 0, 8, g711.PCMU).tolist() == [69, 206, 171, 126, 151, 194, 180, 184]
    assert sound.identity(7, 1_000_000, 4, g711.PCMA).tolist() == sound.identity(7, 999_999, 5, g711.PCMA)[1:].tolist()


@given(voice=st.integers(0, sound.CROWD), start=st.integers(0, 1 << 40), size=st.integers(1, 1460), law=LAW)
def test_a_stretch_is_the_same_however_it_is_cut(voice: int, start: int, size: int, law: int) -> None:
    whole = sound.identity(voice, start, size, law)
    cut = size // 2
    assert np.array_equal(
        whole, np.r_[sound.identity(voice, start, cut, law), sound.identity(voice, start + cut, size - cut, law)]
    )


@pytest.mark.parametrize("law", TABLES)
@pytest.mark.parametrize("voice", [0, 1, sound.CROWD, sound.SPEECH])
def test_no_code_decodes_to_0(voice: int, law: int) -> None:
    codes = sound.identity(voice, 0, 100_000, law)
    assert (TABLES[law][codes] != 0).all()


@pytest.mark.parametrize("law", TABLES)
def test_identity_uses_all_other_codes_about_evenly_and_they_decode_to_different_samples(law: int) -> None:
    codes, counts = np.unique(sound.identity(3, 0, 256_000, law), return_counts=True)
    assert len(codes) == len(np.unique(TABLES[law][codes])) == (254 if law == g711.PCMU else 256)
    assert counts.min() > 800
    assert counts.max() < 2_300  # two of them stand in for µ-law's zeros as well


@pytest.mark.all
def test_voices_and_indices_do_not_repeat() -> None:
    windows = {sound.identity(voice, start, 8, 0).tobytes() for voice in range(50) for start in range(0, 4_000, 8)}
    assert len(windows) == 50 * 500


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100_000)), min_size=1, max_size=20), st.integers(1, 400), LAW
)
def test_many_payloads_at_once_are_the_single_ones(whose: list[tuple[int, int]], size: int, law: int) -> None:
    voices = np.array([sound.SPEECH if voice == 5 else voice for voice, _ in whose], np.uint64)
    starts = np.array([start for _, start in whose], np.int64)
    said = sound.say(voices, starts, size, law)
    singles = [sound.identity(int(voice), int(start), size, law) for voice, start in zip(voices, starts, strict=True)]
    assert np.array_equal(said, singles)
    assert np.array_equal(sound.heard(voices, starts, size, law), TABLES[law][said])


def test_speech_lasts_five_seconds_is_loud_enough_to_hear_and_repeats() -> None:
    codes = sound.identity(sound.SPEECH, 0, 40_000, g711.PCMU)
    samples = g711.ULAW[codes].astype(np.float64)
    assert 10_000 < np.abs(samples).max() < 32_000
    assert 800 < np.sqrt(np.mean(samples**2)) < 8_000
    assert np.array_equal(sound.identity(sound.SPEECH, 40_000 - 80, 160, 0), np.r_[codes[-80:], codes[:80]])
