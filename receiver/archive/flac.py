"""FLAC: written and read by libsndfile on a descriptor of ours, its header looked at by ourselves (RFC 9639).

libsndfile is loaded on first use, in the thread that finishes a recording. It gets descriptors, never file objects: for
those it calls back through memory that is written and executed, which ``MemoryDenyWriteExecute=yes`` forbids.
"""

import errno
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_CHANNELS = 8  # RFC 9639, section 9.1.3

_STREAMINFO_OCTETS = 34
_MOST_BLOCKS = 64
_BITS = 16
_CHUNK_FRAMES = 1 << 18

Sound = NDArray[np.int16]


class Shape(NamedTuple):
    """What a FLAC file says of itself, in its STREAMINFO (RFC 9639, section 8.2)."""

    channels: int
    rate: int  # frames a second
    bits: int  # of one sample
    frames: int


class NotFlac(ValueError):
    """The octets are no FLAC, or one whose header is not true. The message says which."""


@contextmanager
def writer(descriptor: int, channels: int, rate: int) -> Iterator[Callable[[Sound], None]]:
    """Write a FLAC of 16 bits to an empty file; gives the function that takes the next int16[frames, channels].

    Raises ``OSError`` when libsndfile does not get rid of it. What it says then is not to be relied on when it says
    nothing: read back what was written (``checksum``).
    """
    import soundfile

    with (
        _told_as_os_error(),
        soundfile.SoundFile(descriptor, "w", rate, channels, "PCM_16", format="FLAC", closefd=False) as file,
    ):

        def write(sound: Sound) -> None:
            try:
                file.write(sound.astype(np.int16, copy=False))
            except AssertionError:  # fewer frames than it got, and it gives no reason
                raise OSError(errno.EIO, "libsndfile wrote less than it was given") from None

        yield write


def checksum(descriptor: int) -> int:
    """Return the CRC-32 of all samples of a FLAC, little-endian, frame by frame. ``OSError`` if it cannot be read."""
    import soundfile

    check = 0
    with _told_as_os_error(), soundfile.SoundFile(descriptor, closefd=False) as file:
        while len(sound := file.read(_CHUNK_FRAMES, dtype="int16", always_2d=True)):
            check = zlib.crc32(sound.astype("<i2", copy=False).data, check)
    return check


@contextmanager
def _told_as_os_error() -> Iterator[None]:
    import soundfile

    try:
        yield
    except soundfile.SoundFileError as error:
        raise OSError(errno.EIO, f"libsndfile: {error}") from error


def inspect(read: Callable[[int, int], bytes], octets: int) -> Shape:
    """Read the header. ``read(at, count)`` returns octets of the file, which has ``octets``. Raises ``NotFlac``."""

    def exactly(at: int, count: int) -> bytes:
        found = read(at, count)
        if len(found) != count:
            raise NotFlac("it ends inside its header")
        return found

    if exactly(0, 4) != b"fLaC":
        raise NotFlac("it does not begin as a FLAC file does")
    at, shape = 4, None
    for _ in range(_MOST_BLOCKS):
        kind, length = exactly(at, 1)[0], int.from_bytes(exactly(at + 1, 3), "big")
        at += 4
        if shape is None:
            if kind & 0x7F or length != _STREAMINFO_OCTETS:
                raise NotFlac("its first block is not the one that describes it")
            shape = _true(exactly(at, length))
        at += length
        if kind & 0x80:  # the last block
            break
    else:
        raise NotFlac("its header has no end")
    assert shape is not None
    if shape.frames and (at + 2 > octets or int.from_bytes(exactly(at, 2), "big") & 0xFFFE != 0xFFF8):
        raise NotFlac("behind its header there is no sound")
    return shape


def _true(block: bytes) -> Shape:
    packed = int.from_bytes(block[10:18], "big")
    shape = Shape((packed >> 41 & 7) + 1, packed >> 44, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1)
    if not shape.rate or shape.bits != _BITS:
        raise NotFlac(f"its format cannot be ours: {shape.rate} frames a second, {shape.bits} bits")
    return shape
