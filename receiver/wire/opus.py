"""Opus packets: whether one is whole, how long it sounds, one channel or two (RFC 6716, section 3; RFC 7587).

::

     0 1 2 3 4 5 6 7         code 0: one frame            code 2: two, the first one's length in front
    +-+-+-+-+-+-+-+-+        code 1: two, equally long    code 3: 1..48, their count in the next octet,
    | config  |s| c |                                             with all lengths but the last, or none; padding
    +-+-+-+-+-+-+-+-+

Decoding is another process's (`receiver.decoder`). What `survey` takes for whole is what libopus takes for whole, so
nothing that it lets through is refused there. Durations count in 1/8000 s, the unit of the ring: every Opus frame is a
multiple of 20 of them long (2.5 ms), and one is six ticks of Opus' RTP clock, which always runs at 48 kHz.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CLOCK_RATE: Final = 48_000
"""Samples, and ticks of the RTP clock, per second (RFC 7587, section 4.1)."""

TICKS: Final = 6
"""Of the RTP clock, in 1/8000 s."""

LONGEST: Final = 960
"""120 ms in 1/8000 s: no packet is longer (RFC 6716, requirement R5)."""

LONGEST_FRAME: Final = 1_275
"""Octets (R2)."""

DYNAMIC: Final = 96
"""Payload types from here on mean what was announced (RFC 3551, section 6)."""

_SILK, _HYBRID, _CELT = (80, 160, 320, 480), (80, 160), (20, 40, 80, 160)
_FRAME: Final = np.array([*3 * _SILK, *2 * _HYBRID, *4 * _CELT], np.int64)
_FRAMES: Final = np.array([1, 2, 2, 0], np.int64)

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Survey(NamedTuple):
    """What the first octets say. Element *i* speaks of packet *i*."""

    duration: Ints
    """In 1/8000 s, 20..960; 0: not an Opus packet."""
    stereo: Bools


def survey(octets: NDArray[np.uint8], which: NDArray[np.intp], at: Ints, size: Ints) -> Survey:
    """Read the packets of ``size`` ≥ 1 octets at ``at`` of rows ``which`` of ``octets`` u1[n, m]."""
    toc = octets[which, at]
    code = toc & 3
    frames, last = _FRAMES[code], size - 1
    whole = (code != 1) | (last % 2 == 0)
    last = np.where(code == 1, last // 2, last)
    odd = np.flatnonzero(code > 1)
    if odd.size:
        frames[odd], last[odd], whole[odd] = _look_closely(octets, which[odd], at[odd], size[odd], code[odd] == 3)
    duration = frames * _FRAME[toc >> 3]
    whole &= (last >= 0) & (last <= LONGEST_FRAME) & (duration <= LONGEST)
    return Survey(np.where(whole, duration, 0), (toc & 4) != 0)


def _look_closely(
    octets: NDArray[np.uint8], which: NDArray[np.intp], at: Ints, size: Ints, many: Bools
) -> tuple[Ints, Ints, Bools]:
    """Count of frames, octets of the last one, and whether all is whole, of packets of code 2 and (``many``) 3.

    Every read is clipped into the row; what it read where it had nothing to read is outvoted by ``whole``.
    """
    end = octets.shape[1] - 1

    def read(place: Ints) -> Ints:
        return np.asarray(octets[which, np.minimum(place, end)], np.int64)

    at, rest = at + 1, size - 1
    head = read(at)
    count = np.where(many, head & 0x3F, 2)
    varied = ~many | (head & 0x80 != 0)
    padded = many & (head & 0x40 != 0)
    whole = (rest >= many) & (count >= 1)
    at, rest = at + many, rest - many
    padded &= whole
    while padded.any():  # each round takes an octet that is there
        more = read(at)
        whole &= ~padded | (rest >= 1)
        at, rest = at + padded, rest - np.where(padded, 1 + np.minimum(more, 254), 0)
        padded &= (more == 255) & (rest >= 0)
    whole &= rest >= 0
    last = np.where(varied, rest, rest // np.maximum(count, 1))
    whole &= varied | (last * count == rest)
    for k in range(int(count[varied & whole].max(initial=1)) - 1):
        on = varied & whole & (k < count - 1)
        first = read(at)
        used = 1 + (first >= 252)
        length = first + np.where(first >= 252, 4 * read(at + 1), 0)
        rest = rest - np.where(on, used, 0)
        whole &= ~on | ((rest >= 0) & (length <= rest))
        at, last = at + np.where(on, used, 0), last - np.where(on, used + length, 0)
    return count, last, whole & (last >= 0)
