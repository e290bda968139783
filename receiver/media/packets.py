"""Opus packets on the ring. A codec with memory is not decoded here (design, section 3): its octets wait in order.

A row of a tap of Opus is addressed as every row is: the position is the address. Its samples are **marks**: where a
packet begins stands how many octets it has, then 0 as far as it sounds, and −32768 still means "never came". The octets
themselves lie beside the ring, those of position *p* from ``p × density`` on; they are never split, so the row's end
has room for a whole packet. Without its mark nobody reads an octet, so clearing, handing out and blanking a row are
what they are for sound.

Packets of one clock do not overlap. Of such that do, the later one to come holds; what it cut into is dropped.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import CLOCK_RATE
from receiver.media.state import State
from receiver.wire import opus, rtp
from receiver.wire.rtp import Verdict

Ints = NDArray[np.int64]
Octets = NDArray[np.uint8]

DENSITY = 12
"""Octets of a row for each position: 768 kbit/s, where Opus' encoders end at 510."""
PREROLL = CLOCK_RATE * 8 // 10
"""Positions that stay in the ring behind what is committed, for a decoder that must begin anew. With the 80 ms of RFC
7845 before it up to half a second of samples differed, with 600 ms one in two million."""
PATIENCE = CLOCK_RATE * 16 // 10
"""How long a missing packet is waited for, if the ring has room: a decoder cannot take it up later (rule K6 is for
sound)."""
DIFFERS = CLOCK_RATE * 8 // 100
"""Positions from a decoder's new beginning on of which nobody promises that they are what they would have been."""


def preroll(window: int) -> int:
    """How much of a row of packets stays for a decoder's new beginning: of a short ring less."""
    return min(PREROLL, window * 2 // 15)


class Parcel(NamedTuple):
    """What one cut holds, on its way to the decoder. Frames count in 1/8000 s, as those of all rows do.

    ``start`` is the position where the cut begins. The last ``silent`` frames before ``upto`` never came, as far as is
    known yet.
    """

    start: int
    frames: list[int]
    packets: list[bytes]
    upto: int
    silent: int


class PacketRows:
    """The octets of the rows of a state, and what of a batch belongs there."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._flat = state.packets.reshape(-1)
        self._pitch = state.packets.shape[1]

    @property
    def preroll(self) -> int:
        """How much of a row stays for a decoder's new beginning: of a short ring less."""
        return preroll(self._state.shape.window)

    def patience(self, horizon: int) -> int:
        """How long a missing packet is waited for: at least as long as one of sound."""
        return max(horizon, min(PATIENCE, self._state.shape.window - self.preroll - 4 * CLOCK_RATE))

    def measure(self, octets: Octets, tap: NDArray[np.int32], batch: rtp.Batch) -> rtp.Batch:
        """The batch with the packets of Opus taps judged by what was announced there (rule A14), their size in samples
        of the ring. What follows need not know of octets."""
        announced = self._state.now.taps["opus"][tap]
        ours = announced > 0
        if not ours.any():
            return batch
        verdict, size = batch.verdict.copy(), batch.payload_size.copy()
        verdict[ours & (verdict == Verdict.ACCEPTED)] = Verdict.PAYLOAD_TYPE
        which = np.flatnonzero(ours & (batch.verdict == Verdict.PAYLOAD_TYPE) & (batch.payload_type == announced))
        duration = opus.survey(octets, which, batch.payload_at[which], size[which]).duration
        fate = np.where(size[which] > DENSITY * duration, Verdict.OVERSIZED, Verdict.ACCEPTED)
        verdict[which] = np.where(duration == 0, Verdict.NOT_OPUS, fate)
        size[which] = np.maximum(duration, 1)
        return replace(batch, verdict=verdict, payload_size=size)

    def put(self, row: Ints, position: Ints, octets: Octets, which: Ints, at: Ints, size: Ints) -> None:
        """Copy the payloads of ``size`` octets at ``at`` of the slab's rows ``which`` to their positions; count those
        of two channels. The caller marks them."""
        now = self._state.now
        stereo = np.flatnonzero(octets[which, at] & 4)
        if stereo.size:
            taps = now.rows["tap"][row[stereo]]
            self._state.touch("taps_aside", taps)
            np.add.at(now.taps_aside["stereo"], taps, 1)
        each = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
        self._flat[np.repeat(self._address(row, position), size) + each] = octets.reshape(-1)[
            np.repeat(which * octets.shape[1] + at, size) + each
        ]

    @staticmethod
    def marks(duration: int, size: Ints) -> NDArray[np.int16]:
        """What is placed on the ring, int16[n, duration], for packets of ``size`` octets that sound equally long."""
        marks = np.zeros((size.size, duration), np.int16)
        marks[:, 0] = size
        return marks

    def read(self, row: int, position: Ints, size: Ints) -> list[bytes]:
        """The packets at these positions."""
        start = self._address(np.int64(row), position).tolist()
        return [self._flat[at : at + count].tobytes() for at, count in zip(start, size.tolist(), strict=True)]

    def write(self, row: int, position: Ints | list[int], packets: list[bytes]) -> None:
        """Put packets at these positions. Twice is once."""
        start = self._address(np.int64(row), np.asarray(position, np.int64))
        for at, packet in zip(start.tolist(), packets, strict=True):
            self._flat[at : at + len(packet)] = np.frombuffer(packet, np.uint8)

    def _address(self, row: Ints | np.int64, position: Ints) -> Ints:
        return np.asarray(row * self._pitch + position % self._state.shape.window * DENSITY, np.int64)
