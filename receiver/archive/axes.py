"""One axis for the channels of a recording. Pure.

Each channel's part counts its own frames, from what came first on it. At the finish they lie beside each other: a
channel's **offset** is how much later its frames lie on the shared axis, whose zero is that of the channel that came
first. Where a recording goes on in a next segment, every channel was cut at the same moment, so there all of them begin
anew at the same place.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from receiver.archive.gaps import Stretch
from receiver.archive.names import PartKey
from receiver.archive.sidecar import Reason

SECOND_NS: Final = 1_000_000_000


class Lane(NamedTuple):
    """One channel in one segment: from ``first`` on (a frame of its part axis) ``offset`` holds, and on its way silence
    is put in (rule A15): ``insertions`` are (frame of the part, frames of silence right before it), in order."""

    first: int
    offset: int
    insertions: tuple[tuple[int, int], ...] = ()

    def shared(self, frame: int) -> int:
        """Where a frame of the part lies on the shared axis; silence that is put in right before it comes first."""
        return frame + self.offset + self._put(bisect_right(self.insertions, frame, key=itemgetter(0)))

    def end(self, frame: int) -> int:
        """Where ends what ends before this frame: silence that is put in there is behind it."""
        return frame + self.offset + self._put(bisect_left(self.insertions, frame, key=itemgetter(0)))

    def silences(self) -> tuple[tuple[int, int], ...]:
        """What is put in: (first frame on the shared axis, frames), in order."""
        return tuple((self.end(at), more) for at, more in self.insertions)

    def _put(self, count: int) -> int:
        return sum(more for _, more in self.insertions[:count])


Lanes = tuple[Lane, ...]
"""By channel."""


def lanes(parts: Sequence[PartKey], anchors: Sequence[int | None], rate: int, before: int | None) -> Lanes:
    """Where the parts of one segment lie. ``before``: the shared frame at which the segment before ended.

    ``anchors`` are moments (ns) at which the same frame of each channel's part axis came; None, or nothing at all: no
    sound came on it. Without two that are known there is nothing to align.
    """
    known = [anchor for anchor in anchors if anchor is not None]
    found = []
    for key, anchor in zip(parts, anchors or [None] * len(parts), strict=True):
        offset = 0
        if before is not None and (key.first_frame or anchor is None):
            offset = before - key.first_frame
        elif anchor is not None:
            offset = round((anchor - min(known)) * rate / SECOND_NS)
        found.append(Lane(key.first_frame, offset))
    return tuple(found)


def reach(ends: Sequence[int], of: Lanes) -> int:
    """One past the last shared frame of a segment whose channels end there (frames of the part axes)."""
    return max(lane.end(end) for end, lane in zip(ends, of, strict=True))


def begin(of: Lanes) -> int:
    """The first shared frame of a segment."""
    return min(lane.first + lane.offset for lane in of)


def moved(stretches: Iterable[Stretch], segment: Lanes) -> list[Stretch]:
    """Stretches of the part axes on the shared one, and behind them the silences that are put in."""
    told = []
    for it in stretches:
        frame = shared(it.channel, it.frame, (segment,))
        stop = segment[it.channel].end(it.frame + it.frames) if it.channel < len(segment) else frame + it.frames
        everybody = range(len(segment)) if it.reason == Reason.PAUSED else (it.channel,)  # a pause is of the recording
        told += [it._replace(frame=frame, frames=stop - frame, channel=channel) for channel in everybody]
    for channel, lane in enumerate(segment):
        told += [Stretch(frame, frames, channel, Reason.DRIFT) for frame, frames in lane.silences()]
    return told


def shared(channel: int, frame: int, segments: Sequence[Lanes]) -> int:
    """Where a frame of a channel's part axis lies on the shared one. ``segments`` in order."""
    mine = [of[channel] for of in segments if channel < len(of)]
    reached = [lane for lane in mine if lane.first <= frame] or mine[:1]
    return reached[-1].shared(frame) if reached else frame
