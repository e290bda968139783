"""The growing files of a recording in spool, and how a recording begins (rule C1).

A part is one channel's sound: linear 16 bits, little-endian, mono, **absence still −32768**. A hole is absence too:
whoever writes behind the end fills what lies between, so a part never holds the zeros of a sparse file, which would
read as silence that was heard.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import NamedTuple, Self
from uuid import UUID

import msgspec
import numpy as np

from receiver.archive import names
from receiver.archive.files import Files, Piece
from receiver.archive.names import PartKey
from receiver.archive.sidecar import Draft, decode_draft, encode
from receiver.media.block import ABSENT

FRAME_OCTETS = 2
NOTES_CHANNEL = 0xFFFF  # under this channel, and those before it, the commit log counts the notes of channel 0, 1, …

LogKey = tuple[bytes, int, int]
"""The recording's id as 16 octets, channel, segment: how the commit log calls a file."""

_ABSENCE = np.full(1 << 19, ABSENT, "<i2").tobytes()  # 1 MiB


class Growing:
    """One file that the writer thread writes to. Its cursors are somebody else's; it only knows octets.

    ``octets`` is how far it reaches. It is touched by the writer thread alone.
    """

    filler = b""  # what a hole must read as; empty where zeros will do
    channel = 0  # of the recording

    def __init__(self, files: Files, name: str, log_key: LogKey, descriptor: int | None) -> None:
        self.files = files
        self.name = name
        self.log_key = log_key
        self._descriptor = descriptor
        self._closed = False
        self._closing = threading.Lock()
        self.octets = 0 if descriptor is None else files.size(descriptor)

    def write(self, octet: int, pieces: Sequence[Piece]) -> None:
        """Put the pieces there, one behind the other, all of them or ``OSError``."""
        if not pieces:
            return
        descriptor = self._opened()
        while self.filler and self.octets < octet:
            self.octets = self.files.pwrite(descriptor, (self.filler[: octet - self.octets],), self.octets)
        self.octets = max(self.octets, self.files.pwrite(descriptor, pieces, octet))

    def sync(self) -> None:
        """Make it durable by itself. One that was closed meanwhile needs it no more: its recording is published."""
        with self._closing:
            if self._descriptor is not None:
                self.files.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the file. Twice is once. Only behind its last write (``Writer.call``)."""
        with self._closing:
            if self._descriptor is not None:
                self.files.close_file(self._descriptor)
            self._descriptor = None
            self._closed = True

    def _opened(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self.name} is closed")
        return self._descriptor


class Part(Growing):
    """One channel's sound of one segment, frames ``key.first_frame`` and following."""

    filler = _ABSENCE

    def __init__(self, files: Files, key: PartKey, descriptor: int) -> None:
        super().__init__(files, key.name, (UUID(key.recording_id).bytes, key.channel, key.segment), descriptor)
        self.key = key
        self.channel = key.channel

    @classmethod
    def create(cls, files: Files, key: PartKey) -> Self:
        """Make the file. ``FileExistsError`` if there is one. Durable only after the next sync."""
        names.require_id(key.recording_id)
        return cls(files, key, files.create(key.name))

    @classmethod
    def reopen(cls, files: Files, key: PartKey) -> Self:
        """Go on with a file that an earlier process of ours made, or make it."""
        try:
            return cls.create(files, key)
        except FileExistsError:
            return cls(files, key, files.open(key.name, write=True))

    def octet_of(self, frame: int) -> int:
        """Where a frame of the recording lies. A frame before this segment: ``ValueError``."""
        if frame < self.key.first_frame:
            raise ValueError(f"frame {frame} lies before {self.name}")
        return (frame - self.key.first_frame) * FRAME_OCTETS


class Notes(Growing):
    """What the worker wants to find again after a power cut: records of one size, each at its own index, opaque to us.

    The file is made at the first write, in the writer thread.
    """

    def __init__(self, files: Files, recording_id: str, record_octets: int, channel: int = 0) -> None:
        names.require_id(recording_id)
        key = notes_key(UUID(recording_id).bytes, channel)
        super().__init__(files, names.notes(recording_id, channel), key, None)
        self.channel = channel
        self.record_octets = record_octets

    def octet_of(self, index: int) -> int:
        """Where a record lies."""
        return index * self.record_octets

    def _opened(self) -> int:
        with self._closing:
            if self._closed:
                raise ValueError(f"{self.name} is closed")
            if self._descriptor is None:
                try:
                    self._descriptor = self.files.create(self.name)
                except FileExistsError:
                    self._descriptor = self.files.open(self.name, write=True)
                    self.octets = self.files.size(self._descriptor)
            return self._descriptor


def notes_key(identity: bytes, channel: int) -> LogKey:
    """How the commit log calls the notes of a channel."""
    return identity, NOTES_CHANNEL - max(channel, 0), 0


class _Start(NamedTuple):
    parts: list[Part]
    made: list[str]  # names that were not there before: what may be taken back


def begin(files: Files, starts: Sequence[tuple[Draft, int]]) -> list[tuple[Part, ...] | OSError]:
    """Rule C1 for several recordings at once: each draft, a part for each of its channels, then one sync for all.

    ``starts`` are drafts with their counts of channels. Only after this returned may a tap be asked for. The answer is
    in the same order; a start that failed is its ``OSError``, and nothing of it is left. Doing it again, after a kill
    at any point, is doing it once.
    """
    begun = [_begin(files, draft, channels) for draft, channels in starts]
    sound = [start for start in begun if isinstance(start, _Start)]
    try:
        if sound:
            files.sync_all()  # files, names and the folder
    except OSError as error:
        for start in sound:
            _take_back(files, start)
        return [start if isinstance(start, OSError) else error for start in begun]
    return [start if isinstance(start, OSError) else tuple(start.parts) for start in begun]


def _begin(files: Files, draft: Draft, channels: int) -> _Start | OSError:
    start = _Start([], [])
    try:
        names.require_id(draft.recording_id)
        _put_draft(files, draft, start.made)
        for channel in range(channels):
            key = PartKey(draft.recording_id, channel, 0, 0)
            try:
                start.parts.append(Part.create(files, key))
                start.made.append(key.name)
            except FileExistsError:
                start.parts.append(Part.reopen(files, key))
    except OSError as error:
        _take_back(files, start)
        return error
    return start


def _put_draft(files: Files, draft: Draft, made: list[str]) -> None:
    """Create it exclusively. One that is there already is our own, whole or torn by a kill."""
    name = names.draft(draft.recording_id)
    try:
        descriptor = files.create(name)
    except FileExistsError:
        with contextlib.suppress(msgspec.MsgspecError):
            if decode_draft(files.read(name)) == draft:
                return
        files.write_durably(name, encode(draft))
        return
    made.append(name)
    try:
        files.pwrite(descriptor, (encode(draft),), 0)
    finally:
        files.close_file(descriptor)


def _take_back(files: Files, start: _Start) -> None:
    """Nothing was asked for yet, so nothing need be accounted for."""
    for part in start.parts:
        part.close()
    with contextlib.suppress(OSError):  # else they are a start that never was: ``repair`` says so
        for name in start.made:
            files.unlink(name)
