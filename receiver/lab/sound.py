"""What callers say: G.711 codes that carry their identity, so that every sample tells whose it is and which one.

A voice is a number. Its sound is a hash (splitmix64) of voice and sample index, read octet by octet; no code decodes
to 0, so in a recording 0 means "never came" and nothing else. Eight codes in a row name voice and index: 64 bits.

The voice ``SPEECH`` is a real sentence of five seconds, said over and over (``speech.txt`` tells how it was made).
"""

import wave
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.wire import g711

SPEECH: Final = 0xFFFFFFFF
"""The voice that speaks instead of telling its identity. All other numbers tell it."""

CROWD: Final = 0xFFFFFFFE
"""The one voice of all callers of a lean plan, each of whom begins at another sample of it. Callers' own voices are
smaller."""

LAWS: Final = {"PCMU": g711.PCMU, "PCMA": g711.PCMA}
"""Payload types by codec name (RFC 3551, table 4)."""

_WORD: Final = 8
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_SAYABLE: Final = {law: np.arange(256, dtype=np.uint8) for law in LAWS.values()}
_SAYABLE[g711.PCMU][[0x7F, 0xFF]] = 0x7E, 0xFE  # µ-law's two zeros; A-law has none


def identity(caller: int, start: int, count: int, law: int) -> NDArray[np.uint8]:
    """Return the codes, u1[count], of samples ``start`` and following of a caller's sound, in law 0 (PCMU) or 8
    (PCMA)."""
    codes: NDArray[np.uint8] = say(np.array([caller], np.uint64), np.array([start], np.int64), count, law)[0]
    return codes


def say(voices: NDArray[np.uint64], starts: NDArray[np.int64], size: int, law: int) -> NDArray[np.uint8]:
    """Return payloads u1[n, size]: row *i* holds samples ``starts[i]`` and following of ``voices[i]``.

    ``starts`` are not negative. KeyError for a law that is neither 0 nor 8.
    """
    codes = np.empty((len(starts), size), np.uint8)
    spoken = voices == SPEECH
    if spoken.any():
        sentence = _speech(law)
        codes[spoken] = sentence[(starts[spoken, None] + np.arange(size)) % len(sentence)]
    shifts = np.where(spoken, -1, starts % _WORD)
    for shift in np.unique(shifts[~spoken]):
        rows = np.flatnonzero(shifts == shift)
        words = (starts[rows] // _WORD)[:, None] + np.arange((shift + size + _WORD - 1) // _WORD)
        octets = _hash(voices[rows, None], words.astype(np.uint64)).view(np.uint8)
        codes[rows] = _SAYABLE[law].take(octets[:, shift : shift + size])
    return codes


def heard(voices: NDArray[np.uint64], starts: NDArray[np.int64], size: int, law: int) -> NDArray[np.int16]:
    """Return the same as samples, int16[n, size]: what a recording must hold."""
    return (g711.ULAW if law == g711.PCMU else g711.ALAW).take(say(voices, starts, size, law))


def _hash(voices: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash voice and word number: splitmix64's output function, seeded per voice by itself."""
    mixed = _mix(_mix(voices + _GOLDEN) + (words + np.uint64(1)) * _GOLDEN)
    return np.ascontiguousarray(mixed).astype("<u8", copy=False)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


@cache
def _speech(law: int) -> NDArray[np.uint8]:
    """The sentence in one law; its zeros become the quietest sound there is, so that 0 keeps its one meaning."""
    with resources.files(__package__).joinpath("speech.wav").open("rb") as file, wave.open(file) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.int16)
    codes: NDArray[np.uint8] = _SAYABLE[law].take(g711.encode(law, samples))
    return codes
