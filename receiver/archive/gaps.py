"""From what is absent to rows in the list of gaps (rules A6, A7).

Runs are int64 arrays of shape (n, 2): first frame and one past the last, in order. Two may touch, at a chunk's border.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.archive.sidecar import Gap, Reason

Runs = NDArray[np.int64]

_REASONS = tuple(Reason)


class Stretch(NamedTuple):
    """Why the absent frames in ``[frame, frame + frames)`` of a channel are absent, where it is not loss.

    Frames are those of the part. It says nothing of frames that are present. Of two that overlap the later one in the
    list holds.
    """

    frame: int
    frames: int
    channel: int
    reason: str


def runs(absent: NDArray[np.bool_]) -> Runs:
    """Return the runs of a mask."""
    edges = np.flatnonzero(absent[1:] != absent[:-1]) + 1
    if absent[:1].any():
        edges = np.concatenate(([0], edges))
    if absent[-1:].any():
        edges = np.concatenate((edges, [absent.size]))
    return edges.astype(np.int64).reshape(-1, 2)


def merged(touching: Runs) -> Runs:
    """Return runs of which those that touch (at a chunk's border) are made one."""
    apart = np.flatnonzero(touching[1:, 0] != touching[:-1, 1])
    first = np.concatenate((touching[:1, 0], touching[apart + 1, 0]))
    return np.stack((first, np.concatenate((touching[apart, 1], touching[-1:, 1]))), axis=1)


def explain(absent: Runs, channel: int, stretches: Iterable[Stretch], shift: int = 0) -> list[Gap]:
    """Return one channel's gaps: runs that touch made one, each cut where its reason changes.

    Their frames are the runs' less ``shift``.
    """
    told = [stretch for stretch in stretches if stretch.channel == channel and stretch.frames > 0]
    ends = np.array([(it.frame, it.frame + it.frames) for it in told], np.int64).reshape(-1, 2)
    cuts = np.unique(ends)
    reason_from_cut = np.zeros(len(cuts), np.int8)  # an index into Reason, from each cut to the next; 0 is lost
    for stretch, (first, last) in zip(told, np.searchsorted(cuts, ends), strict=True):
        reason_from_cut[first:last] = _REASONS.index(Reason(stretch.reason))
    points = np.unique(np.concatenate((absent.ravel(), cuts)))
    run = np.searchsorted(absent[:, 0], points, side="right") - 1
    inside = (run >= 0) & (points < absent[run, 1]) if len(absent) else np.zeros(len(points), np.bool_)
    begin = points[inside]
    end = points[1:][inside[:-1]]  # the last point is never inside: it ends a run or lies behind all
    cut = np.searchsorted(cuts, begin, side="right") - 1
    reason = np.where(cut >= 0, reason_from_cut[cut], 0) if len(cuts) else np.zeros(len(begin), np.int8)
    return merge(
        Gap(first - shift, last - first, channel, _REASONS[why])
        for first, last, why in zip(begin.tolist(), end.tolist(), reason.tolist(), strict=True)
    )


def merge(rows: Iterable[Gap]) -> list[Gap]:
    """Return the rows with those made one that touch, of the same channel and reason. One channel's rows, in order."""
    merged: list[Gap] = []
    for gap in rows:
        last = merged[-1] if merged else None
        if last and last.frame + last.frames == gap.frame and last.reason == gap.reason:
            merged[-1] = Gap(last.frame, last.frames + gap.frames, gap.channel, gap.reason)
        else:
            merged.append(gap)
    return merged


def in_order(by_channel: Sequence[Iterable[Gap]]) -> tuple[Gap, ...]:
    """Return the gaps of several channels as the sidecar lists them: by frame, then by channel."""
    return tuple(sorted((gap for rows in by_channel for gap in rows), key=lambda gap: (gap.frame, gap.channel)))
