"""From parts to one WAV in spool: read once, woven, gaps listed, absence made silence, durable, checked (rule C4).

What was absent is read off the samples themselves, so the sound and its list of gaps cannot disagree.
"""

import errno
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.archive import wav
from receiver.archive.files import Files
from receiver.archive.gaps import Runs, runs
from receiver.archive.names import PartKey
from receiver.archive.part import FRAME_OCTETS
from receiver.media.block import ABSENT

CHUNK_FRAMES = 1 << 20  # 2 MiB: the measure at which neither calls nor caches matter
READY_MODE = 0o640

Sound = NDArray[np.int16]


class Track(NamedTuple):
    """What one channel's open part gives: frames ``[first, stop)`` of the part axis. Outside it all is absent.

    No descriptor: nothing at all came, or the file is away.
    """

    descriptor: int | None
    first: int
    stop: int


@contextmanager
def opened(files: Files, keys: Sequence[PartKey], believed: Sequence[int]) -> Iterator[list[Track]]:
    """Open one segment's parts for reading. ``believed`` are frames of the part axis, one past the last of each."""
    with ExitStack() as stack:
        tracks = []
        for key, last in zip(keys, believed, strict=True):
            try:
                descriptor = files.open(key.name)
            except FileNotFoundError:
                tracks.append(Track(None, key.first_frame, key.first_frame))
                continue
            stack.callback(files.close_file, descriptor)
            there = key.first_frame + files.size(descriptor) // FRAME_OCTETS
            tracks.append(Track(descriptor, key.first_frame, max(key.first_frame, min(last, there))))
        yield tracks


@dataclass(frozen=True)
class Woven:
    """A WAV in spool, durable, and what is in it."""

    begins: int  # frame of the part axis that is the file's frame 0
    frames: int
    octets: int
    sha256: str  # of what was read back from the disk
    absent: tuple[Runs, ...]  # by channel, in frames of the part axis
    left_out: Runs  # frames of the part axis that are not among the file's


def weave(
    files: Files,
    target: str,
    tracks: Sequence[Track],
    span: tuple[int, int],
    rate: int,
    cut_lead: bool,
    chunk_frames: int = CHUNK_FRAMES,
    paused: Runs | None = None,
) -> Woven | None:
    """Weave the frames ``[first, stop)`` = ``span`` of all tracks into ``target``, which is made anew.

    With ``cut_lead`` the file begins at the earliest sample that came (rule A2); None if none did. What is absent at
    the end is kept. Of the ``paused`` frames those that are absent in all tracks are left out. Raises ``OSError``, also
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
    frames = stop - begins - int((left_out[:, 1] - left_out[:, 0]).sum())
    head = wav.header(frames, len(tracks), rate)
    descriptor = files.create(target, READY_MODE, afresh=True)  # its mode is durable with its content
    try:
        octet = files.pwrite(descriptor, (head,), 0)
        check = zlib.crc32(head)
        absent: list[list[Runs]] = [[np.empty((0, 2), np.int64)] for _ in tracks]
        for frame in range(begins, stop, chunk_frames):
            woven = np.empty((min(chunk_frames, stop - frame), len(tracks)), "<i2")
            for channel, track in enumerate(tracks):
                absent[channel] += _silence(files, track, frame, woven[:, channel])
            woven = _without(woven, frame, left_out)
            octet = files.pwrite(descriptor, (woven,), octet)
            check = zlib.crc32(woven.data, check)
        files.fsync(descriptor)
        sha256 = _read_back(files, descriptor, octet, check)
    finally:
        files.close_file(descriptor)
    absences = tuple(np.concatenate(pieces) for pieces in absent)
    return Woven(begins, frames, octet, sha256, absences, left_out)


def _absent_in_all(files: Files, tracks: Sequence[Track], spans: Runs | None, chunk_frames: int) -> Runs:
    """Return what of these runs is absent in every track."""
    found = [np.empty((0, 2), np.int64)]
    for first, stop in [] if spans is None else spans.tolist():
        for frame in range(first, stop, chunk_frames):
            sound = np.empty(min(chunk_frames, stop - frame), "<i2")
            absent = np.ones(len(sound), np.bool_)
            for track in tracks:
                _read(files, track, frame, sound)
                absent &= sound == ABSENT
            found.append(runs(absent) + frame)
    return np.concatenate(found)


def _without(woven: Sound, frame: int, left_out: Runs) -> Sound:
    """A chunk that begins at ``frame`` without the runs left out."""
    stays = np.ones(len(woven), np.bool_)
    for first, stop in (left_out - frame).tolist():
        stays[max(first, 0) : max(stop, 0)] = False
    return woven if stays.all() else woven[stays]


def _silence(files: Files, track: Track, frame: int, into: Sound) -> list[Runs]:
    """Fill one channel of a chunk; return what of it is absent (part frames), now silent."""
    _read(files, track, frame, into)
    mask = into == ABSENT
    if not mask.any():
        return []
    np.putmask(into, mask, 0)
    return [runs(mask) + frame]


def _read(files: Files, track: Track, frame: int, into: Sound) -> None:
    """Fill ``into`` with the track's frames from ``frame`` on."""
    low, high = (min(max(0, edge - frame), len(into)) for edge in (track.first, track.stop))
    there = 0
    if track.descriptor is not None and low < high:
        # A channel among others lies strided in the woven chunk: it is read beside it first.
        sound = into[low:high] if into.flags.c_contiguous else np.empty(high - low, "<i2")
        octets = files.pread(track.descriptor, sound, (frame + low - track.first) * FRAME_OCTETS)
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
            _read(files, track, frame, sound)
            present = sound != ABSENT
            if present.any():
                firsts.append(frame + int(present.argmax()))
        if firsts:
            return min(firsts)
    return None


def _read_back(files: Files, descriptor: int, octets: int, check: int) -> str:
    """Return the SHA-256 of what is on the disk, if it is what was written."""
    files.drop_pages(descriptor)
    digest, seen = hashlib.sha256(), 0
    buffer = bytearray(min(octets, CHUNK_FRAMES * FRAME_OCTETS))
    for octet in range(0, octets, len(buffer)):
        piece = memoryview(buffer)[: files.pread(descriptor, buffer, octet)]
        digest.update(piece)
        seen = zlib.crc32(piece, seen)
    if seen != check or files.size(descriptor) != octets:
        raise OSError(errno.EIO, "the disk gave back something else than was written")
    return digest.hexdigest()
