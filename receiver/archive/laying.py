"""The lanes of a segment's channels: by their clocks, or by when they came where nobody knows of clocks (rule A15)."""

from collections.abc import Sequence

import numpy as np

from receiver.archive import axes
from receiver.archive.align import Absence, Voice, align
from receiver.archive.axes import Lane, Lanes
from receiver.archive.files import Files
from receiver.archive.gaps import Runs, runs
from receiver.archive.names import PartKey
from receiver.archive.pace import Pace
from receiver.archive.weave import Track, opened, read
from receiver.media.block import ABSENT

Paces = Sequence[tuple[Pace, ...]]
"""By channel: how its epochs kept time; nothing at all where nobody knows."""


def lay(
    files: Files,
    parts: Sequence[PartKey],
    ends: Sequence[int],
    believed: Sequence[int],
    paces: Paces,
    anchors: Sequence[int | None],
    rate: int,
    before: int | None,
) -> Lanes:
    """Return where the parts of one segment lie. ``ends`` and ``believed`` are frames of the part axes.

    ``before`` is the shared frame at which the segment before ended; ``anchors``: see `axes.lanes`.
    """
    plain = axes.lanes(parts, anchors, rate, before)
    if len(parts) != len(paces) or sum(map(bool, paces)) < 2:
        return plain
    with opened(files, parts, believed) as tracks:
        voices = [
            Voice(mine, key.first_frame, end, _absence(files, track))
            for mine, key, end, track in zip(paces, parts, ends, tracks, strict=True)
        ]
        courses = align(voices, rate, None if before is None else [lane.offset for lane in plain])
    return tuple(Lane(key.first_frame, *course) for key, course in zip(parts, courses, strict=True))


def _absence(files: Files, track: Track) -> Absence:
    """What is absent in a part, read where it is asked for."""

    def absent(first: int, stop: int) -> Runs:
        sound = np.empty(max(0, stop - first), "<i2")
        read(files, track, first, sound)
        return runs(sound == ABSENT) + first

    return absent
