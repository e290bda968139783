"""What a recording's samples become in its file: ``[storage].encoding``, and pcm16 where that would not be exact.

A form is tried from the first chunk on and given up at the first one that it cannot hold exactly, so no more than one
reading of the parts is needed where the sender kept to the law that it was asked for. The last form holds everything.
"""

import errno
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from receiver.archive import flac, wav
from receiver.archive.files import Files
from receiver.archive.sidecar import FLAC, G711, PCM16
from receiver.media.block import ABSENT
from receiver.wire import g711

READY_MODE = 0o640

_CHUNK_OCTETS = 1 << 21

Sound = NDArray[np.int16]


class Shape(NamedTuple):
    """What is to be written."""

    frames: int
    channels: int
    rate: int


class Written(NamedTuple):
    """A durable file: its size, and the SHA-256 of what was read back from the disk."""

    octets: int
    sha256: str


class Form(Protocol):
    """A way to write sound down. ``suffix`` is that of the file's name."""

    @property
    def encoding(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def write(self, files: Files, target: str, shape: Shape, chunks: Iterable[Sound]) -> Written | None:
        """Make ``target`` anew from chunks little-endian int16[frames, channels], absence in them still −32768.

        None if it cannot hold them exactly. The chunks are the form's to change. Raises ``OSError``, also when the disk
        gives back something else than it got.
        """


@dataclass(frozen=True)
class Wav:
    """Linear samples of 16 bits; absence is 0."""

    encoding: str = PCM16
    suffix: str = ".wav"
    tag: int = wav.PCM

    def write(self, files: Files, target: str, shape: Shape, chunks: Iterable[Sound]) -> Written | None:
        """See ``Form``."""
        head = wav.header(*shape, self.tag)
        descriptor = files.create(target, READY_MODE, afresh=True)  # its mode is durable with its content
        try:
            octet = files.pwrite(descriptor, (head,), 0)
            check = zlib.crc32(head)
            for sound in chunks:
                piece = self._octets(sound)
                if piece is None:
                    return None
                octet = files.pwrite(descriptor, (piece,), octet)
                check = zlib.crc32(piece.data, check)
            if rest := wav.pad(octet):  # both headers are of even length
                octet = files.pwrite(descriptor, (rest,), octet)
                check = zlib.crc32(rest, check)
            files.fsync(descriptor)
            sha256, seen = _read_back(files, descriptor, octet)
        finally:
            files.close_file(descriptor)
        if seen != check:
            raise _changed()
        return Written(octet, sha256)

    def _octets(self, sound: Sound) -> NDArray[np.int16] | NDArray[np.uint8] | None:
        return _silenced(sound)


@dataclass(frozen=True)
class G711Wav(Wav):
    """The octets that came, one for each sample, by law 0 (PCMU) or 8 (PCMA): half the disk.

    Exact: every sample comes back from its code. µ-law's two zeros both become 0xFF, the positive one. Absence is 0 in
    µ-law; A-law knows no zero, there it is +8, the code 0xD5 by which a silent A-law line is told.
    """

    law: int = g711.PCMU

    def _octets(self, sound: Sound) -> NDArray[np.uint8] | None:
        bits = sound.astype(np.int16, copy=False).view(np.uint16)
        if not _EXACT[self.law].take(bits).all():
            return None
        return _CODE[self.law].take(bits)


@dataclass(frozen=True)
class Flac:
    """Linear samples of 16 bits, packed without loss; absence is 0."""

    encoding: str = FLAC
    suffix: str = ".flac"

    def write(self, files: Files, target: str, shape: Shape, chunks: Iterable[Sound]) -> Written | None:
        """See ``Form``."""
        if not shape.frames:  # libsndfile would not even write a header
            return None
        try:
            return self._write(files, target, shape, chunks)
        except OSError:
            _ask_for_room(files, target, shape.frames * shape.channels * wav.SAMPLE_OCTETS)
            raise

    def _write(self, files: Files, target: str, shape: Shape, chunks: Iterable[Sound]) -> Written:
        """The octets are libsndfile's, so what is compared is the samples that it reads back."""
        check = 0
        descriptor = files.create(target, READY_MODE, afresh=True)
        try:
            with flac.writer(descriptor, shape.channels, shape.rate) as write:
                for sound in chunks:
                    write(_silenced(sound))
                    check = zlib.crc32(sound.data, check)
            files.fsync(descriptor)
        finally:
            files.close_file(descriptor)
        descriptor = files.open(target)  # libsndfile reads from the octet where a descriptor stands
        try:
            octets = files.size(descriptor)
            sha256, _ = _read_back(files, descriptor, octets)
            if flac.checksum(descriptor) != check:
                raise _changed()
        finally:
            files.close_file(descriptor)
        return Written(octets, sha256)


PCM16_WAV = Wav()
ULAW_WAV = G711Wav(G711, tag=wav.ULAW, law=g711.PCMU)
ALAW_WAV = G711Wav(G711, tag=wav.ALAW, law=g711.PCMA)
FLAC_FILE = Flac()


def forms(encoding: str, channels: int, rate: int, codecs: Sequence[object] = ()) -> tuple[Form, ...]:
    """Return the forms to try, in their order, for ``[storage].encoding``; the last one is always pcm16.

    ``codecs`` are those that the channels were asked for: whose law is tried first, so that sound which both laws hold
    (silence) carries the sender's. What decides is the samples: of both laws, or at another rate, it is pcm16.
    """
    if encoding == G711 and rate == g711.CLOCK_RATE:
        laws = (ALAW_WAV, ULAW_WAV) if "PCMA" in codecs else (ULAW_WAV, ALAW_WAV)
        return *laws, PCM16_WAV
    if encoding == FLAC and channels <= flac.MOST_CHANNELS:
        return FLAC_FILE, PCM16_WAV
    return (PCM16_WAV,)


def _ask_for_room(files: Files, target: str, octets: int) -> None:
    """Write what a FLAC may have wanted at most, and take it away again, after libsndfile failed.

    It does not say why it failed, and on a full disk its writes give up no reserve; ours do both (rule C6). ``OSError``
    says what is wrong; without one the next try finds room.
    """
    zeros = bytes(_CHUNK_OCTETS)
    descriptor = files.create(target, afresh=True)
    try:
        for octet in range(0, octets, _CHUNK_OCTETS):
            files.pwrite(descriptor, (zeros[: octets - octet],), octet)
    finally:
        files.close_file(descriptor)
        files.unlink(target)  # it shall not fill the disk


def _silenced(sound: Sound) -> Sound:
    np.putmask(sound, sound == ABSENT, 0)
    return sound


def _read_back(files: Files, descriptor: int, octets: int) -> tuple[str, int]:
    """Return SHA-256 and CRC-32 of what is on the disk."""
    files.drop_pages(descriptor)
    digest, seen = hashlib.sha256(), 0
    buffer = bytearray(min(octets, _CHUNK_OCTETS))
    for octet in range(0, octets, len(buffer)):
        piece = memoryview(buffer)[: files.pread(descriptor, buffer, octet)]
        digest.update(piece)
        seen = zlib.crc32(piece, seen)
    if files.size(descriptor) != octets:
        raise _changed()
    return digest.hexdigest(), seen


def _changed() -> OSError:
    return OSError(errno.EIO, "the disk gave back something else than was written")


def _codes(law: int) -> NDArray[np.uint8]:
    """u1[65536]: the code of each sample, by its bits; of absence that of the smallest one from 0 on."""
    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    return g711.encode(law, np.where(samples == ABSENT, np.int16(0), samples))


def _exact(law: int) -> NDArray[np.bool_]:
    """bool[65536]: whether each sample comes back from its code, by its bits; absence is no sample."""
    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    back = (g711.ULAW if law == g711.PCMU else g711.ALAW).take(_CODE[law])
    exact: NDArray[np.bool_] = (back == samples) | (samples == ABSENT)
    return exact


_CODE = {law: _codes(law) for law in (g711.PCMU, g711.PCMA)}
_EXACT = {law: _exact(law) for law in (g711.PCMU, g711.PCMA)}
