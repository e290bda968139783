"""Where each packet lies in a recording: found by its content, at the place that an epoch of its stream gives it.

A packet with timestamp *t* lies right in an epoch (frame *f*, timestamp *a*) when the frames from *f* + (*t* − *a*)
on are its samples, all of them. Differences are taken on the circle of 32 bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from receiver.archive.sidecar import Epoch
from receiver.lab import sound

NOWHERE = -1


@dataclass(frozen=True)
class Places:
    """Of *n* distinct packets of one SSRC by sequence number, and *e* epochs.

    ``frames`` i8[n, e]: where each epoch would have them; ``fits`` bool[n, e]: they are there, wholly.
    """

    packets: NDArray[np.void]
    frames: NDArray[np.int64]
    fits: NDArray[np.bool_]

    @property
    def epoch(self) -> NDArray[np.int64]:
        """i8[n]: the epoch each packet lies in (the first that fits), or NOWHERE."""
        if not self.fits.shape[1]:
            return np.full(len(self.packets), NOWHERE, np.int64)
        return np.where(self.fits.any(axis=1), self.fits.argmax(axis=1), NOWHERE)

    @property
    def frame(self) -> NDArray[np.int64]:
        """i8[n]: the frame each packet lies at, or NOWHERE."""
        epoch = self.epoch
        if not self.fits.shape[1]:
            return epoch
        return np.where(epoch == NOWHERE, NOWHERE, self.frames[np.arange(len(epoch)), epoch])

    @property
    def disorder(self) -> NDArray[np.intp]:
        """Packets in an epoch before that of a packet with a lower sequence number."""
        if not self.fits.shape[1]:
            return np.empty(0, np.intp)
        found = np.flatnonzero(self.fits.any(axis=1))
        last = self.fits.shape[1] - 1 - self.fits[found, ::-1].argmax(axis=1)
        return found[last < np.maximum.accumulate(self.epoch[found])] if len(found) else found


def find(packets: NDArray[np.void], voice: int, epochs: Sequence[Epoch], samples: NDArray[np.int16]) -> Places:
    """Look for distinct packets (SENT records, one SSRC) of a voice in one channel, int16[frames]."""
    told = np.array([(epoch.frame, epoch.timestamp) for epoch in epochs], np.int64).reshape(-1, 2)
    ahead = (packets["timestamp"].astype(np.int64)[:, None] - told[:, 1] + (1 << 31)) % (1 << 32) - (1 << 31)
    frames = told[:, 0] + ahead
    fits = np.zeros(frames.shape, np.bool_)
    for rows, said in renderings(packets, voice):
        size = said.shape[1]
        if size > len(samples):
            continue
        windows = sliding_window_view(samples, size)
        for epoch in range(len(epochs)):
            at = frames[rows, epoch]
            near = np.flatnonzero((at >= 0) & (at < len(windows)))
            near = near[samples[at[near]] == said[near, 0]]  # most epochs are settled by one sample
            fits[rows[near], epoch] = (windows[at[near]] == said[near]).all(axis=1)
    return Places(packets, frames, fits)


def renderings(packets: NDArray[np.void], voice: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int16]]]:
    """Yield rows of packets that are alike in size and law, with the samples that they carry, int16[rows, size]."""
    kinds = packets["size"].astype(np.int64) << 8 | packets["payload_type"]
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        voices = np.full(len(rows), voice, np.uint64)
        yield rows, sound.heard(voices, packets["sample"][rows], int(kind >> 8), int(kind & 0xFF))


def cover(frames: NDArray[np.int64], sizes: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """How many packets cover each frame, i8[length]."""
    edges = np.bincount(frames, minlength=length + 1) - np.bincount(frames + sizes, minlength=length + 1)
    covered: NDArray[np.int64] = np.cumsum(edges)[:length]
    return covered
