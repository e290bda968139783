"""G.711: codes to samples and back, by tables made from ITU-T's formula (G.711, tables 1 and 2; RFC 3551, 4.5.14).

Samples are 16 bits wide: µ-law spans ± 32,124, A-law ± 32,256, so −32,768 is free to mean "never came". µ-law knows two
zeros (0x7F and 0xFF); both decode to 0. A-law knows none.

Laws are named by their RTP payload type: ``PCMU`` = 0, ``PCMA`` = 8.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

CLOCK_RATE: Final = 8000
"""Samples per second, of both laws (RFC 3551, table 4)."""

PCMU: Final = 0
PCMA: Final = 8


def _expand_u() -> NDArray[np.int16]:
    """Samples of the 256 µ-law codes: every bit inverted; sign, 3 bits of segment, 4 bits of step; bias 33 × 4."""
    code = ~np.arange(256, dtype=np.uint8) & 0xFF
    segment, step = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = ((step << 3) + 0x84 << segment) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _expand_a() -> NDArray[np.int16]:
    """Samples of the 256 A-law codes: even bits inverted; sign (set: positive), segment, step; middle of the step."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment, step = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    first = (step << 4) + 8
    magnitude = np.where(segment == 0, first, first + 0x100 << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _compress_u() -> NDArray[np.uint8]:
    """µ-law codes of all 65,536 samples, by their bits as uint16: decision values of G.711 table 2, 14 bits wide."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum((np.where(sample < 0, ~sample, sample) >> 2) + 33, 0x1FFF)
    segment = np.searchsorted(np.array([64 << k for k in range(7)]), biased, side="right").astype(np.int32)
    code = segment << 4 | (biased >> segment + 1 & 15)
    codes: NDArray[np.uint8] = (~np.where(sample < 0, code | 0x80, code) & 0xFF).astype(np.uint8)
    return codes


def _compress_a() -> NDArray[np.uint8]:
    """A-law codes of all 65,536 samples, by their bits as uint16: decision values of G.711 table 1, 13 bits wide."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    size = np.where(sample < 0, ~sample, sample) >> 4
    segment = np.searchsorted(np.array([16 << k for k in range(7)]), size, side="right").astype(np.int32)
    code = segment << 4 | (size >> np.maximum(segment - 1, 0) & 15)
    codes: NDArray[np.uint8] = (np.where(sample < 0, code, code | 0x80) ^ 0x55).astype(np.uint8)
    return codes


ULAW: Final = _expand_u()
"""int16[256], by µ-law code."""

ALAW: Final = _expand_a()
"""int16[256], by A-law code."""

_TWO_CODES = np.arange(65536, dtype=np.uint16).view(np.uint8).reshape(-1, 2)

PAIRS: Final = np.stack([table[_TWO_CODES].view(np.uint32)[:, 0] for table in (ULAW, ALAW)])
"""uint32[2, 65536], µ-law then A-law: two samples for two octets, both in the order of memory."""

_CODES: Final = {PCMU: _compress_u(), PCMA: _compress_a()}


def decode(law: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the samples int16[n, size] of ``codes`` u1[n, size]; ``law`` u1[n] is 0 (PCMU) or 8 (PCMA) per row.

    The last axis of ``codes`` must be contiguous; its rows may lie apart (a view into the slab costs no copy).
    """
    if not len(codes):
        return np.empty(codes.shape, np.int16)
    if (law == law[0]).all():
        return _decode_alike(int(law[0] == PCMA), codes)
    samples = np.empty(codes.shape, np.int16)
    for which, own in ((law == PCMU, 0), (law == PCMA, 1)):
        samples[which] = _decode_alike(own, codes[which])
    return samples


def _decode_alike(own: int, codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Decode rows of one law; two octets at a time where the size is even (twice as fast)."""
    if codes.shape[1] % 2:
        return (ULAW, ALAW)[own].take(codes)
    pairs: NDArray[np.uint32] = PAIRS[own].take(codes.view(np.uint16))
    return pairs.view(np.int16)


def encode(law: int, samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the codes, u1, of ``samples`` int16 of any shape, in law 0 (PCMU) or 8 (PCMA); KeyError for another.

    Decides as ITU's own encoder (G.191, ``ulaw_compress`` and ``alaw_compress``): every code but µ-law 0x7F (the
    negative zero) comes back from its own sample.
    """
    return _CODES[law].take(samples.view(np.uint16))
