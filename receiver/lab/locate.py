"""Finding a sound again: whose samples are these, and which ones? Asked of a recording, not of its sidecar."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.lab import sound

WINDOW: Final = 8
"""Samples that name a voice and an index without doubt; shorter runs belong to nobody."""

NOBODY: Final = -1

RUN: Final = np.dtype([("frame", "i8"), ("frames", "i8"), ("voice", "i8"), ("sample", "i8")])
"""Frames of a recording that hold consecutive samples of one voice, or of NOBODY that is known (``sample`` is -1)."""

_FACTORS: Final = np.cumprod(np.full(WINDOW, 0x9E3779B97F4A7C15, np.uint64), dtype=np.uint64)


class Utterance(NamedTuple):
    """A stretch of a voice's sound that may be heard: so many samples from ``start`` on, in law 0 or 8."""

    voice: int
    law: int
    start: int
    samples: int


class Ear:
    """Knows some sounds, and finds them in samples by a table of all their windows (8 samples each).

    Takes about 0.2 µs per known sample to build, and the same per sample to listen to.
    """

    def __init__(self, utterances: Iterable[Utterance]) -> None:
        keys: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
        known: list[NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
        for voice, law, start, samples in utterances:
            if voice == sound.SPEECH or samples < WINDOW:
                continue  # speech repeats itself: it names nobody
            said = sound.heard(np.array([voice], np.uint64), np.array([start], np.int64), samples, law)[0]
            keys.append(_windows(said))
            known.append(np.stack([np.full(len(keys[-1]), voice), start + np.arange(len(keys[-1]))], axis=1))
        table = np.concatenate(keys)
        order = np.argsort(table)
        self._keys = table[order]
        self._known = np.concatenate(known)[order]

    def runs(self, samples: NDArray[np.int16]) -> NDArray[np.void]:
        """Return RUN records, by frame, that together cover every non-zero sample exactly once."""
        voice, index = np.full(len(samples), NOBODY, np.int64), np.full(len(samples), -1, np.int64)
        if len(self._keys) and len(samples) >= WINDOW:
            windows = _windows(samples)
            at = np.minimum(np.searchsorted(self._keys, windows), len(self._keys) - 1)
            hits = np.flatnonzero(self._keys[at] == windows)
            for ahead in range(WINDOW):  # a window speaks for all its samples
                voice[hits + ahead] = self._known[at[hits], 0]
                index[hits + ahead] = self._known[at[hits], 1] + ahead
        return _cut(samples != 0, voice, index)


def _windows(samples: NDArray[np.int16]) -> NDArray[np.uint64]:
    """Hash each run of 8 samples into 64 bits; element *i* begins at sample *i*."""
    count = max(len(samples) - WINDOW + 1, 0)
    wide = samples.astype(np.uint64)
    keys = np.zeros(count, np.uint64)
    for ahead, factor in enumerate(_FACTORS):
        keys += wide[ahead : ahead + count] * factor
    return keys ^ (keys >> np.uint64(29))


def _cut(present: NDArray[np.bool_], voice: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.void]:
    """Join neighbours that go on with the next sample of the same voice, or belong to nobody."""
    frames = np.flatnonzero(present)
    line = np.where(voice == NOBODY, 0, index - np.arange(len(index)))
    breaks = (np.diff(frames) != 1) | (np.diff(voice[frames]) != 0) | (np.diff(line[frames]) != 0)
    first = np.r_[0, np.flatnonzero(breaks) + 1] if len(frames) else np.empty(0, np.int64)
    runs = np.empty(len(first), RUN)
    runs["frame"], runs["frames"] = frames[first], np.diff(np.r_[first, len(frames)])
    runs["voice"], runs["sample"] = voice[frames[first]], index[frames[first]]
    return runs
