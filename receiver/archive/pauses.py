"""What a pause leaves: its rows in the sidecar, and (``[taps].pause_as = "cut"``) the frames that are left out.

Left out is what lies inside a pause and is absent in all channels. Packets overtake each other, so at a pause's borders
sound that came before it may lie inside: it stays. Frames
are those of the part axis; runs are those of `receiver.archive.gaps`.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET

from receiver.archive.gaps import Runs, Stretch, merge
from receiver.archive.sidecar import Epoch, Gap, Pause, Reason, Stream, moment

CUT: Final = "cut"
NONE: Final[Runs] = np.empty((0, 2), np.int64)


class Paused(NamedTuple):
    """One pause, as the worker knows it. ``end`` is one past its last frame; None for both ends: it was not resumed."""

    frame: int
    end: int | None
    at_ns: int
    until_ns: int | None

    def moved(self, place: Callable[[int], int]) -> "Paused":
        """The same on another axis."""
        return self._replace(frame=place(self.frame), end=None if self.end is None else place(self.end))


def stretches(pauses: Iterable[Paused], stop: int, channels: int = 1) -> list[Stretch]:
    """Return why frames inside are absent. ``stop``: one past the recording's last frame."""
    ends = [(pause.frame, stop if pause.end is None else pause.end) for pause in pauses]
    return [
        Stretch(frame, end - frame, channel, Reason.PAUSED)
        for frame, end in ends for channel in range(channels) if end > frame
    ]  # fmt: skip


def inside(told: Iterable[Stretch], span: tuple[int, int]) -> Runs:
    """Return the pauses' frames in ``[first, stop)``, pauses that touch made one."""
    clipped = sorted(
        (max(it.frame, span[0]), min(it.frame + it.frames, span[1])) for it in told if it.reason == Reason.PAUSED
    )
    joined: list[list[int]] = []
    for first, stop in clipped:
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], stop)
        elif first < stop:
            joined.append([first, stop])
    return np.array(joined, np.int64).reshape(-1, 2)


def place(frame: int, left_out: Runs) -> int:
    """Return how many frames before this one stay."""
    within = np.minimum(left_out[:, 1], frame) - left_out[:, 0]
    return frame - int(np.maximum(within, 0).sum())


def closed_up(gaps: Iterable[Gap], left_out: Runs, shift: int) -> list[Gap]:
    """Return one channel's gaps, told in frames of the part axis, as they lie in a file without the frames left out."""
    rows = []
    for gap in gaps:
        first, stop = place(gap.frame, left_out), place(gap.frame + gap.frames, left_out)
        if stop > first:
            rows.append(Gap(first - shift, stop - first, gap.channel, gap.reason))
    return merge(rows)


def in_sidecar(pauses: Sequence[Paused], left_out: Runs, begins: int, stop: int, cut: bool) -> tuple[Pause, ...]:
    """Return the rows of the sidecar; ``begins`` is the recording's frame 0, ``stop`` one past its last.

    A pause that was ``cut`` has no frames: it lies where the first of those that are left out would be.
    """

    def at(frame: int) -> int:
        frame = max(min(frame, stop), begins)
        return place(frame, left_out) - place(begins, left_out)

    rows = []
    for pause in pauses:
        end = stop if pause.end is None else pause.end
        within = left_out[(left_out[:, 0] >= pause.frame) & (left_out[:, 0] < end), 0]
        frame = at(int(within[0]) if cut and within.size else pause.frame)
        until = UNSET if pause.until_ns is None else moment(pause.until_ns)
        rows.append(Pause(frame, 0 if cut else max(0, at(end) - frame), moment(pause.at_ns), until))
    return tuple(rows)


def resumed(streams: Sequence[Stream], left_out: Runs, rate: int) -> list[Stream]:
    """Return streams with an epoch more behind each run left out: the clock went on there, and the file did not.

    Frames stay those of the part axis. An epoch inside a run is told at its end.
    """
    told = [[_behind(epoch, left_out, rate) for epoch in stream.epochs] for stream in streams]
    for _, end in left_out.tolist():
        begun = [(epoch.frame, s) for s, epochs in enumerate(told) for epoch in epochs if epoch.frame <= end]
        frame, s = max(begun, default=(end, -1))
        if frame < end:
            latest = max((epoch for epoch in told[s] if epoch.frame == frame), key=lambda epoch: epoch.frame)
            told[s].append(along(latest, end - frame, rate))
    return [
        msgspec.structs.replace(stream, epochs=tuple(sorted(epochs, key=lambda epoch: epoch.frame)))
        for stream, epochs in zip(streams, told, strict=True)
    ]


def along(epoch: Epoch, frames: int, rate: int) -> Epoch:
    """Return the same line of a sender's clock, told so many frames later."""
    at = epoch.at
    if isinstance(at, datetime):
        at = at + (moment(frames * 1_000_000_000 // rate) - moment(0))
    return Epoch(frame=epoch.frame + frames, timestamp=(epoch.timestamp + frames) % (1 << 32), at=at)


def _behind(epoch: Epoch, left_out: Runs, rate: int) -> Epoch:
    for first, end in left_out.tolist():
        if first <= epoch.frame < end:
            return along(epoch, end - epoch.frame, rate)
    return epoch
