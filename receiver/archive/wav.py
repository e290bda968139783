"""RIFF/WAVE, written and read by ourselves: the header is true from the first octet on.

Layout: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991), "Waveform Audio File
Format". Linear samples of 16 bits are signed, little-endian, and woven frame by frame; 44 octets lie in front of them.
G.711 has one octet for each sample; what is not linear needs the longer format chunk and a fact chunk, which counts the
frames (the 1994 revision, "New Multimedia Data Types"): 58 octets.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

PCM = 1
ALAW = 6
ULAW = 7
SAMPLE_OCTETS = 2
HEADER_OCTETS = 44
G711_HEADER_OCTETS = 58
LONGEST_DATA = 2**32 - 1 - (G711_HEADER_OCTETS - 8) - 1  # what the RIFF size can say, pad octet included

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_G711_HEADER = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
_COUNT = struct.Struct("<I")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_MOST_CHUNKS = 64


class Format(NamedTuple):
    """What a WAV says of itself."""

    tag: int  # 1 is linear PCM, 6 A-law, 7 µ-law
    channels: int
    rate: int  # frames a second
    bits: int  # of one sample
    data_at: int  # octets in front of the samples
    data_octets: int

    @property
    def frames(self) -> int:
        """Whole frames in the data."""
        return self.data_octets // max(1, self.channels * self.bits // 8)


class NotWav(ValueError):
    """The octets are no WAV, or one whose header is not true. The message says which."""


def header(frames: int, channels: int, rate: int, tag: int = PCM) -> bytes:
    """Return the octets in front of ``frames`` frames of 16 bits, or of 8 where ``tag`` is ``ALAW`` or ``ULAW``.

    Longer than 4 GiB: ``ValueError`` (rule C7). An odd number of octets of sound is followed by ``pad``.
    """
    octets = SAMPLE_OCTETS if tag == PCM else 1
    frame_octets = channels * octets
    data = frames * frame_octets
    if data > LONGEST_DATA:
        raise ValueError(f"{data} octets of sound do not fit into one WAV")
    shape = tag, channels, rate, rate * frame_octets, frame_octets, octets * 8
    if tag == PCM:
        size = HEADER_OCTETS - 8 + data
        return _HEADER.pack(b"RIFF", size, b"WAVE", b"fmt ", _FORMAT.size, *shape, b"data", data)
    size = G711_HEADER_OCTETS - 8 + data + data % 2
    return _G711_HEADER.pack(
        b"RIFF", size, b"WAVE", b"fmt ", _FORMAT.size + 2, *shape, 0, b"fact", _COUNT.size, frames, b"data", data
    )


def pad(octets: int) -> bytes:
    """Return what follows so many octets of sound: chunks begin at even octets."""
    return bytes(octets % 2)


def inspect(read: Callable[[int, int], bytes], octets: int) -> Format:
    """Read a header strictly: every size in it must fit the file's ``octets``. Raises ``NotWav``.

    ``read(at, count)`` returns octets of the file. Chunks that we do not know are stepped over (one may be kept in
    front as room for later).
    """

    def exactly(at: int, count: int) -> bytes:
        found = read(at, count)
        if len(found) != count:
            raise NotWav("it ends inside its header")
        return found

    start = exactly(0, 12)
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        raise NotWav("it does not begin as a RIFF/WAVE file does")
    said = _CHUNK.unpack(start[:8])[1] + 8
    if said != octets:
        raise NotWav(f"its header says {said} octets, it has {octets}")
    shape: tuple[int, ...] | None = None
    sound: Format | None = None
    counted: int | None = None
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at >= octets:
            break
        name, length = _CHUNK.unpack(exactly(at, _CHUNK.size))
        at += _CHUNK.size
        if at + length > octets:
            raise NotWav(f"its chunk {name!r} is longer than the file")
        if name == b"fmt ":
            if length < _FORMAT.size:
                raise NotWav("its format chunk is too short")
            shape = _FORMAT.unpack(exactly(at, _FORMAT.size))
        elif name == b"fact" and length >= _COUNT.size:
            (counted,) = _COUNT.unpack(exactly(at, _COUNT.size))
        elif name == b"data" and sound is None:
            if shape is None:
                raise NotWav("it has no format in front of the sound")
            sound = _true(shape, at, length)
        at += length + length % 2
    if sound is None:
        raise NotWav("it has no sound")
    if at != octets:
        raise NotWav("behind its last chunk there is more")
    if counted is not None and counted != sound.frames:
        raise NotWav(f"its fact chunk counts {counted} frames, it has {sound.frames}")
    return sound


def _true(shape: tuple[int, ...], at: int, length: int) -> Format:
    tag, channels, rate, per_second, frame_octets, bits = shape
    if not channels or not rate or not bits or bits % 8:
        raise NotWav(f"its format cannot be: {channels} channels, {rate} frames a second, {bits} bits")
    if frame_octets != channels * bits // 8 or per_second != rate * frame_octets:
        raise NotWav("its format contradicts itself")
    if length % frame_octets:
        raise NotWav(f"its {length} octets of sound are not whole frames")
    return Format(tag, channels, rate, bits, at, length)
