"""Where the samples of a recording lie, and where they should: judged from the sender's log and the sound alone.

**The truth** is the sender's clock, counted from the first sample that arrived. Where the sender's numbers do not tell
it (another SSRC, timestamps that jump, a clock that stood still) a new *epoch* begins, and its place is told by wall
time: by the packet of each epoch that the network delayed least. So an epoch may lie elsewhere by a packet, and by as
much as the network delayed the first packets of it, or of an epoch before; within an epoch there is no tolerance.

**A recording** is laid over the truth at the offset that is best for it, as if somebody had mended its beginning.
Every sample of the sender tells its own index (``receiver.lab.sound``), so nothing is guessed.
"""

from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from receiver.lab import tally
from receiver.lab.locate import Ear, Utterance
from receiver.lab.weather import NS_PER_SAMPLE
from receiver.wire.g711 import CLOCK_RATE

PACKET: Final = 160  # samples
FIRST: Final = 10
"""A recorder that hears an epoch begin can go by so many packets."""
STOOD: Final = CLOCK_RATE
"""From so much on a sender that is behind has stood still (rule A17)."""

Ints = NDArray[np.int64]


class Truth(msgspec.Struct, frozen=True):
    """Every distinct packet that was sent, in the sender's order, and where its first sample belongs, from 0 on."""

    packets: NDArray[np.void]
    position: Ints
    epoch: Ints
    tolerance: Ints
    """Samples that each epoch may lie elsewhere; the first none."""

    @property
    def frames(self) -> int:
        """How long a recording of it is."""
        return int((self.position + self.packets["size"]).max())


class Found(msgspec.Struct, frozen=True):
    """How well a recording does. All in samples."""

    received: int
    right: int
    near: int
    """At most `PACKET` from their true position."""
    length_error: int
    """Its length less the true one."""
    offset: int
    """The frame that position 0 lies at."""
    tolerance: int
    """Of the last epoch, as in `Truth`: no length is more certain than that."""

    @property
    def share(self) -> float:
        """Of the received samples, those at their true position."""
        return self.right / self.received

    @property
    def exact(self) -> bool:
        """Nothing to be desired."""
        return self.right == self.received and abs(self.length_error) <= self.tolerance


def truth(sent: NDArray[np.void]) -> Truth:
    """Read SENT records, in the order in which they left, as positions."""
    distinct = np.concatenate([each.distinct for each in tally.by_ssrc(sent).values()])
    packets = distinct[np.argsort(distinct["sample"], kind="stable")]
    sample = packets["sample"].astype(np.int64)
    transit = packets["sent_ns"] // NS_PER_SAMPLE - sample
    # the least that anything still to come is behind: rises where the sender's clock stood still, and nowhere else
    behind = np.minimum.accumulate(transit[::-1])[::-1]
    numbers = (packets["timestamp"].astype(np.int64) - sample) % (1 << 32)
    new = (np.diff(numbers) != 0) | (np.diff(packets["ssrc"].astype(np.int64)) != 0) | (np.diff(behind) > STOOD)
    epoch = np.append(0, np.cumsum(new))
    first = np.flatnonzero(np.append(True, new))
    least = np.minimum.reduceat(transit, first)
    position = sample + np.maximum.accumulate(least - least[0])[epoch]  # no epoch begins before the last one's end
    beginnings = (first[:, None] + np.arange(FIRST)).clip(max=len(packets) - 1)
    delay = (transit - least[epoch])[beginnings].max(axis=1)
    delay[0] = 0
    tolerance = np.maximum.accumulate(delay) + np.where(np.arange(len(first)) > 0, PACKET, 0)
    return Truth(packets, position - position.min(), epoch, tolerance)


def judge(recording: NDArray[np.int16], true: Truth, voice: int) -> Found:
    """Lay a recording, int16[frames], over the truth."""
    sizes = true.packets["size"].astype(np.int64)
    received, law = int(sizes.sum()), int(true.packets["payload_type"][0])
    begin, end = int(true.packets["sample"].min()), int((true.packets["sample"] + sizes).max())
    position, epoch = np.full(end - begin, -1), np.full(end - begin, -1)
    for k, (at, size) in enumerate(zip((true.packets["sample"] - begin).tolist(), sizes.tolist(), strict=True)):
        position[at : at + size] = true.position[k] + np.arange(size)
        epoch[at : at + size] = true.epoch[k]
    frame, index = _heard(recording, Utterance(voice, law, begin, end - begin))
    index -= begin
    sent = position[index] >= 0
    shift, index = (frame - position[index])[sent], index[sent]
    of, tolerance = epoch[index], true.tolerance[epoch[index]]
    right, near, offset = 0, 0, 0
    for candidate in [_mode(shift[of == each]) for each in np.unique(of)]:
        off = np.abs(shift - candidate)
        within = [shift[(of == each) & (off <= tolerance)] for each in np.unique(of)]
        exact = sum(int(np.count_nonzero(one == _mode(one))) for one in within if one.size)
        if exact > right:
            right, offset = exact, candidate
        near = max(near, np.unique(index[off <= tolerance + PACKET]).size)
    return Found(received, right, near, len(recording) - true.frames, offset, int(true.tolerance[-1]))


def _heard(recording: NDArray[np.int16], said: Utterance) -> tuple[Ints, Ints]:
    """All samples of the sender's that are in a recording: their frames and their indices."""
    runs = _ear(said).runs(recording)
    runs = runs[runs["voice"] == said.voice]
    of = np.repeat(np.arange(len(runs)), runs["frames"])
    ahead = np.arange(of.size) - np.append(0, np.cumsum(runs["frames"]))[of]
    return runs["frame"][of] + ahead, runs["sample"][of] + ahead


@lru_cache(maxsize=1)
def _ear(said: Utterance) -> Ear:
    """All recordings of a stream are listened to by the same one."""
    return Ear([said])


def _mode(shift: Ints) -> int:
    """The shift that most samples have."""
    values, counts = np.unique(shift, return_counts=True)
    return int(values[counts.argmax()])
