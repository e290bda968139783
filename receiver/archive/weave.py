"""From parts to one file in spool: read once, woven, gaps listed, absence made silence, durable, checked (rule C4).

What was absent is read off the samples themselves, so the sound and its list of gaps cannot disagree.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.archive.axes import Lane, Lanes
from receiver.archive.encoding import PCM16_WAV, Form, Shape
from receiver.archive.files import Files
from receiver.archive.gaps import Runs, runs
from receiver.archive.names import PartKey
from receiver.archive.part import FRAME_OCTETS
from receiver.media.block import ABSENT

CHUNK_FRAMES = 1 << 20  # 2 MiB: the measure at which neither calls nor caches matter

Sound = NDArray[np.int16]


class Track(NamedTuple):
    """What one channel's open part gives: frames ``[first, stop)`` of the shared axis. Outside it all is absent.

    No descriptor: nothing at all came, or the file is away. ``silences`` are put in: (frame, frames), in order (A15).
    """

    descriptor: int | None
    first: int
    stop: int
    silences: tuple[tuple[int, int], ...] = ()


@contextmanager
def opened(
    files: Files, keys: Sequence[PartKey], believed: Sequence[int], lanes: Lanes | None = None
) -> Iterator[list[Track]]:
    """Open one segment's parts for reading, in their lanes of the shared axis (none told: it is the part axis).

    ``believed`` are frames of the part axes, one past the last of each.
    """
    with ExitStack() as stack:
        tracks = []
        where = lanes or [Lane(key.first_frame, 0) for key in keys]
        for key, last, lane in zip(keys, believed, where, strict=True):
            begin = lane.first + lane.offset
            try:
                descriptor = files.open(key.name)
            except FileNotFoundError:
                tracks.append(Track(None, begin, begin))
                continue
            stack.callback(files.close_file, descriptor)
            there = lane.first + files.size(descriptor) // FRAME_OCTETS
            tracks.append(Track(descriptor, begin, lane.end(max(lane.first, min(last, there))), lane.silences()))
        yield tracks


@dataclass(frozen=True)
class Woven:
    """A file in spool, durable, and what is in it."""

    begins: int  # frame of the shared axis that is the file's frame 0
    frames: int
    octets: int
    sha256: str  # of what was read back from the disk
    absent: tuple[Runs, ...]  # by channel, in frames of the shared axis
    form: Form  # how it is written
    left_out: Runs  # frames of the part axis that are not among the file's


def weave(
    files: Files,
    target: str,
    tracks: Sequence[Track],
    span: tuple[int, int],
    rate: int,
    cut_lead: bool,
    chunk_frames: int = CHUNK_FRAMES,
    forms: Sequence[Form] = (PCM16_WAV,),
    paused: Runs | None = None,
) -> Woven | None:
    """Weave the frames ``[first, stop)`` = ``span`` of all tracks into ``target``, which is made anew.

    It is written in the first of the ``forms`` that holds the samples exactly. With ``cut_lead`` the file begins at the
    earliest sample that came (rule A2); None if none did. What is absent at the end is kept. Of the ``paused`` frames
    those that are absent in all tracks are left out. Raises ``OSError``, also
    when the disk gives back something else than it got.
    """
    begins, stop = span
    if cut_lead:
        found = _first_present(files, tracks, span, chunk_frames)
        if found is None:
            return None
        begins = found
    left_out = _absent_in_all(files, tracks, paused, chunk_frames)
    left_out = left_out[left_out[:, 1] > begins]
    shape = Shape(stop - begins - int((left_out[:, 1] - left_out[:, 0]).sum()), len(tracks), rate)
    for form in forms:
        absent: list[list[Runs]] = [[np.empty((0, 2), np.int64)] for _ in tracks]
        chunks = _chunks(files, tracks, (begins, stop), chunk_frames, absent, left_out)
        written = form.write(files, target, shape, chunks)
        if written is not None:
            absences = tuple(np.concatenate(pieces) for pieces in absent)
            return Woven(begins, shape.frames, *written, absences, form, left_out)
    raise ValueError("the last form must hold every sample")


def _absent_in_all(files: Files, tracks: Sequence[Track], spans: Runs | None, chunk_frames: int) -> Runs:
    """Return what of these runs is absent in every track."""
    found = [np.empty((0, 2), np.int64)]
    for first, stop in [] if spans is None else spans.tolist():
        for frame in range(first, stop, chunk_frames):
            sound = np.empty(min(chunk_frames, stop - frame), "<i2")
            absent = np.ones(len(sound), np.bool_)
            for track in tracks:
                read(files, track, frame, sound)
                absent &= sound == ABSENT
            found.append(runs(absent) + frame)
    return np.concatenate(found)


def _without(woven: Sound, frame: int, left_out: Runs) -> Sound:
    """A chunk that begins at ``frame`` without the runs left out."""
    stays = np.ones(len(woven), np.bool_)
    for first, stop in (left_out - frame).tolist():
        stays[max(first, 0) : max(stop, 0)] = False
    return woven if stays.all() else woven[stays]


def _chunks(
    files: Files,
    tracks: Sequence[Track],
    span: tuple[int, int],
    chunk_frames: int,
    absent: Sequence[list[Runs]],
    left_out: Runs,
) -> Iterator[Sound]:
    """The frames of a span but for those left out, int16[frames, channels]; what of the span is absent (shared frames)
    is put into ``absent``."""
    for frame in range(*span, chunk_frames):
        woven = np.empty((min(chunk_frames, span[1] - frame), len(tracks)), "<i2")
        for track, own, into in zip(tracks, absent, woven.T, strict=True):
            read(files, track, frame, into)
            mask = into == ABSENT
            if mask.any():
                own.append(runs(mask) + frame)
        yield _without(woven, frame, left_out)


def read(files: Files, track: Track, frame: int, into: Sound) -> None:
    """Fill ``into`` with the track's frames from ``frame`` on."""
    at, stop, put = frame, frame + len(into), 0
    if track.silences:
        into[:] = ABSENT
    for begin, more in (*track.silences, (stop, 0)):
        piece = into[at - frame : max(at, min(begin, stop)) - frame]
        if piece.size:
            _read_even(files, track, at, put, piece)
        at, put = max(at, begin + more), put + more
        if at >= stop:
            break


def _read_even(files: Files, track: Track, frame: int, put: int, into: Sound) -> None:
    """The same where no silence is put in; ``put`` is how much was before."""
    low, high = (min(max(0, edge - frame), len(into)) for edge in (track.first, track.stop))
    there = 0
    if track.descriptor is not None and low < high:
        # A channel among others lies strided in the woven chunk: it is read beside it first.
        sound = into[low:high] if into.flags.c_contiguous else np.empty(high - low, "<i2")
        octets = files.pread(track.descriptor, sound, (frame + low - put - track.first) * FRAME_OCTETS)
        there = octets // FRAME_OCTETS
        if not into.flags.c_contiguous:
            into[low : low + there] = sound[:there]
    into[:low] = ABSENT
    into[low + there :] = ABSENT


def _first_present(files: Files, tracks: Sequence[Track], span: tuple[int, int], chunk_frames: int) -> int | None:
    for frame in range(*span, chunk_frames):
        sound = np.empty(min(chunk_frames, span[1] - frame), "<i2")
        firsts = []
        for track in tracks:
            read(files, track, frame, sound)
            present = sound != ABSENT
            if present.any():
                firsts.append(frame + int(present.argmax()))
        if firsts:
            return min(firsts)
    return None
