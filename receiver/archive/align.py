"""How the channels of a recording come to lie beside each other, and stay so, though their clocks drift (rule A15).

Pure. Every part has its own axis of frames, which follows its sender's clock. Here each becomes a **course** on one
common axis, the woven one: an offset, and places where silence is put in because the channel lags. Nothing that was
received is dropped, so it is always the slower side that gets silence.

What was sent at the same time lies at the same place if it was delayed equally; so each channel is laid by the lower
envelope of its transit (`pace`), never by single arrivals.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.archive.gaps import Runs
from receiver.archive.pace import Floats, Pace, envelope, slope

STEP_MS = 10  # rule A15: how far a side may lag, and how much silence is put in
SEARCH_S = 10  # so far on absence is sought for it: at 300 ppm the side lags 3 ms more by then
_TICK_NS = 1_000_000_000  # the lag is looked at so often, and where an epoch begins
_FAR = 1e9  # frames: beyond its ends a channel's clock is taken for right

Absence = Callable[[int, int], Runs]
"""The absent runs of a part in [first, stop), frames of its axis."""


class Voice(NamedTuple):
    """One channel before it is woven: frames ``[first, stop)`` of its part axis.

    ``paces`` are its epochs in order, also those outside of these frames; none where nothing came.
    """

    paces: tuple[Pace, ...]
    first: int
    stop: int
    absent: Absence


class Course(NamedTuple):
    """Where a part's frames lie on the common axis: ``offset`` later, and behind the silences before them.

    ``insertions`` are (frame of the part, frames of silence right before it), in order of frames, each frame once.
    """

    offset: int = 0
    insertions: tuple[tuple[int, int], ...] = ()


def align(voices: Sequence[Voice], rate: int, offsets: Sequence[int] | None = None) -> list[Course]:
    """Lay channels beside each other. The axis is that of the one that began first: its offset is 0.

    With ``offsets`` they begin where these say, and only silence is put in. Where nothing came, or for one channel
    alone, there is nothing to lay.
    """
    courses = [Course(offset) for offset in offsets or [0] * len(voices)]
    lines = [_line(voice, rate) for voice in voices]
    heard = [c for c, line in enumerate(lines) if line is not None]
    if len(heard) < 2:
        return courses
    given = None if offsets is None else [offsets[c] for c in heard]
    laid = _lay([line for line in lines if line is not None], [voices[c] for c in heard], rate, given)
    zero = min(offset for offset, _ in laid) if offsets is None else 0
    for c, (offset, insertions) in zip(heard, laid, strict=True):
        courses[c] = Course(offset - zero, insertions)
    return courses


class _Line(NamedTuple):
    """When each frame of a channel was due: knots, both rising. ``begin`` and ``end`` are those of what is woven,
    ``edges`` where epochs begin in between; ns."""

    frames: Floats
    times: Floats
    begin: float
    end: float
    edges: list[float]


def _line(voice: Voice, rate: int) -> _Line | None:
    """The clock of a channel over all of its epochs; between two of them time goes evenly."""
    ns = 1e9 / rate
    paces = [pace for pace in voice.paces if len(pace.points)]
    if not paces or voice.first >= voice.stop:
        return None
    gains = {ssrc: slope([pace for pace in paces if pace.ssrc == ssrc], rate) for ssrc in {it.ssrc for it in paces}}
    ends = [*(pace.begin for pace in paces[1:]), voice.stop]
    frames: list[Floats] = []
    times: list[Floats] = []
    for pace, end in zip(paces, ends, strict=True):
        last = max(int(pace.points[-1, 0]), min(end, int(pace.points[-1, 0]) + 10 * rate))
        known, when = pace.points[:, 0].astype(np.float64), envelope(pace, gains[pace.ssrc], rate)
        step = ns * (1 + gains[pace.ssrc])
        frames += [np.array([min(pace.begin, known[0])]), known, np.array([float(last)])]
        times += [when[:1] - (known[0] - frames[-3]) * step, when, when[-1:] + (last - known[-1]) * step]
    x, t = np.concatenate(frames), np.concatenate(times)
    x = np.maximum.accumulate(np.concatenate(([x[0] - _FAR], x, [x[-1] + _FAR])))
    t = np.maximum.accumulate(np.concatenate(([t[0] - _FAR * ns], t, [t[-1] + _FAR * ns])))
    begin, end = np.interp((max(voice.first, x[1]), min(voice.stop, x[-2])), x, t).tolist()
    edges = [float(piece[0]) for piece in times[::3] if begin < piece[0] < end]
    return _Line(x, t, begin, max(begin, end), edges)


_Laid = list[tuple[int, tuple[tuple[int, int], ...]]]


def _lay(lines: Sequence[_Line], voices: Sequence[Voice], rate: int, given: Sequence[int] | None) -> _Laid:
    """Walk through time: lay each channel beside the others as it begins, then put silence in wherever one lags."""
    begins, ends = np.array([line.begin for line in lines]), np.array([line.end for line in lines])
    edges = [np.array(line.edges) for line in lines]
    grid = np.unique(np.concatenate([np.arange(begins.min(), ends.max(), _TICK_NS), begins, ends, *edges]))
    place = np.array([np.interp(grid, line.times, line.frames) for line in lines])
    active = (grid >= begins[:, None]) & (grid <= ends[:, None])
    shift = np.full(len(lines), np.nan)
    offsets = [0] * len(lines)
    put: list[list[tuple[int, int]]] = [[] for _ in lines]
    starts = np.searchsorted(grid, begins)
    stops = [*np.unique(starts).tolist(), grid.size]
    for first, stop in pairwise(stops):
        for c in np.flatnonzero(starts == first).tolist():
            offsets[c] = _offset(place[:, first], active[:, first], shift, c) if given is None else given[c]
            shift[c] = offsets[c]
        known = ~np.isnan(shift)
        for k, c, more in _lags(place[known, first:stop], active[known, first:stop], shift, known, rate):
            put[c].append((_site(voices[c], int(place[c, first + k]), more, put[c], rate), more))
    return [(offset, _joined(mine)) for offset, mine in zip(offsets, put, strict=True)]


def _offset(place: Floats, active: NDArray[np.bool_], shift: Floats, c: int) -> int:
    """How much later a channel that begins now must lie, to be level with the foremost of those that are there."""
    there = ~np.isnan(shift)
    there &= active if (there & active).any() else there
    return round(float((place + shift)[there].max()) - float(place[c])) if there.any() else 0


def _lags(
    place: Floats, active: NDArray[np.bool_], shift: Floats, known: NDArray[np.bool_], rate: int
) -> list[tuple[int, int, int]]:
    """When which channel lags, and how much silence it gets: (index of time, channel, frames). Raises ``shift``."""
    step = rate * STEP_MS // 1_000
    who = np.flatnonzero(known)
    found: list[tuple[int, int, int]] = []
    k, chunk = 0, 256
    while k < place.shape[1]:
        there = active[:, k : k + chunk]
        at = place[:, k : k + chunk] + shift[who][:, None]
        front = np.where(there, at, -np.inf).max(axis=0)
        back = np.where(there, at, np.inf)
        over = np.flatnonzero(front - back.min(axis=0) > step)
        if not over.size:
            k += chunk
            continue
        k += int(over[0])
        behind = int(back[:, over[0]].argmin())
        more = round(float((front - back[behind])[over[0]]) / step) * step
        shift[who[behind]] += more
        found.append((k, int(who[behind]), more))
    return found


def _site(voice: Voice, frame: int, more: int, put: Sequence[tuple[int, int]], rate: int) -> int:
    """Before which frame of the part silence is put: the next absent one, if one comes soon."""
    frame = max(frame, put[-1][0] if put else frame)
    if more > rate * STEP_MS // 1_000:  # the channel is far behind: not a moment longer
        return frame
    absent = voice.absent(frame, min(frame + SEARCH_S * rate, voice.stop))
    return max(frame, int(absent[0, 0])) if len(absent) else frame


def _joined(put: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Each frame once."""
    joined: dict[int, int] = {}
    for frame, more in put:
        joined[frame] = joined.get(frame, 0) + more
    return tuple(sorted(joined.items()))
