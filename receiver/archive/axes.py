"""One axis for the channels of a recording. Pure.

Each channel's part counts its own frames, from what came first on it. At the finish they lie beside each other: a
channel's **offset** is how much later its frames lie on the shared axis, whose zero is that of the channel that came
first. Where a recording goes on in a next segment, every channel was cut at the same moment, so there all of them begin
anew at the same place.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from receiver.archive.gaps import Stretch
from receiver.archive.names import PartKey

SECOND_NS: Final = 1_000_000_000


class Lane(NamedTuple):
    """One channel in one segment: from ``first`` on (a frame of its part axis) ``offset`` holds."""

    first: int
    offset: int


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
    return max(end + lane.offset for end, lane in zip(ends, of, strict=True))


def begin(of: Lanes) -> int:
    """The first shared frame of a segment."""
    return min(lane.first + lane.offset for lane in of)


def moved(stretches: Iterable[Stretch], segments: Sequence[Lanes]) -> list[Stretch]:
    """Stretches of the part axes on the shared one."""
    return [it._replace(frame=shared(it.channel, it.frame, segments)) for it in stretches]


def beginnings(parts: Sequence[PartKey]) -> list[PartKey]:
    """The same channels in the recording's first segment."""
    return [part._replace(segment=0, first_frame=0) for part in parts]


def spread(stretches: Sequence[Stretch], of: int, lanes: Lanes) -> list[Stretch]:
    """What is said of one channel, said of all at the same moments; each in frames of its own part axis."""
    return [
        it._replace(channel=channel, frame=it.frame + lanes[of].offset - lane.offset)
        for channel, lane in enumerate(lanes) for it in stretches
    ]  # fmt: skip


def shared(channel: int, frame: int, segments: Sequence[Lanes]) -> int:
    """Where a frame of a channel's part axis lies on the shared one. ``segments`` in order."""
    mine = [of[channel] for of in segments if channel < len(of)]
    reached = [lane for lane in mine if lane.first <= frame] or mine[:1]
    return frame + reached[-1].offset if reached else frame
