"""A sound is found again, wherever it lies and whatever is around it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from receiver.lab import sound
from receiver.lab.locate import NOBODY, WINDOW, Ear, Utterance
from receiver.wire.g711 import PCMA, PCMU


def said(voice: int, start: int, count: int, law: int = PCMU) -> np.ndarray:
    samples: np.ndarray = sound.heard(np.array([voice], np.uint64), np.array([start]), count, law)[0]
    return samples


def test_whose_samples_and_which_is_told_for_each_run() -> None:
    samples = np.concatenate(
        [np.zeros(5, np.int16), said(1, 800, 160), said(2, 40, 9, PCMA), np.zeros(1, np.int16), said(1, 0, 8)]
    )
    ear = Ear([Utterance(1, PCMU, 0, 1_000), Utterance(2, PCMA, 0, 1_000)])
    assert ear.runs(samples).tolist() == [(5, 160, 1, 800), (165, 9, 2, 40), (175, 8, 1, 0)]


def test_one_flipped_sample_is_nobodys_and_its_neighbours_stay_known() -> None:
    samples = said(1, 0, 1_000)
    samples[500] ^= 1
    assert Ear([Utterance(1, PCMU, 0, 1_000)]).runs(samples).tolist() == [
        (0, 500, 1, 0),
        (500, 1, NOBODY, -1),
        (501, 499, 1, 501),
    ]


def test_a_shift_by_one_begins_a_new_run() -> None:
    samples = np.concatenate([said(1, 0, 100), said(1, 101, 100)])
    assert Ear([Utterance(1, PCMU, 0, 1_000)]).runs(samples).tolist() == [(0, 100, 1, 0), (100, 100, 1, 101)]


def test_an_ear_that_knows_nobody_hears_that_something_is_there() -> None:
    assert Ear([]).runs(np.array([0, 3, 4, 0, 5], np.int16)).tolist() == [(1, 2, NOBODY, -1), (4, 1, NOBODY, -1)]
    assert Ear([Utterance(1, PCMU, 0, 100)]).runs(np.empty(0, np.int16)).tolist() == []


def test_speech_and_what_is_shorter_than_a_window_name_nobody() -> None:
    ear = Ear([Utterance(sound.SPEECH, PCMU, 0, 1_000), Utterance(1, PCMU, 0, WINDOW - 1)])
    assert ear.runs(said(sound.SPEECH, 0, 100))["voice"].tolist() == [NOBODY]


pieces = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 900), st.integers(WINDOW, 100), st.integers(0, 5)), max_size=12
)


@given(pieces)
def test_any_patchwork_is_taken_apart_again(told: list[tuple[int, int, int, int]]) -> None:
    ear = Ear([Utterance(voice, PCMU, 0, 1_000) for voice in range(3)])  # voice 3 is not known
    samples = np.concatenate(
        [np.zeros(0, np.int16), *(np.r_[np.zeros(gap, np.int16), said(v, s, n)] for v, s, n, gap in told)]
    )
    runs = ear.runs(samples)
    covered = np.zeros(len(samples), np.int64)
    for frame, frames, voice, sample in runs.tolist():
        covered[frame : frame + frames] += 1
        if voice != NOBODY:
            assert np.array_equal(samples[frame : frame + frames], said(voice, sample, frames))
    assert np.array_equal(covered, samples != 0)
    known = sum(n for voice, _, n, _ in told if voice != 3)
    assert runs["frames"][runs["voice"] != NOBODY].sum() == known
