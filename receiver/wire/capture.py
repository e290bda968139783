"""Captures as octets: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), in pieces of any length.

``Reader.feed`` takes the next octets of a file and gives back the frames that are whole now, as columns. It never
raises: where the file stops to make sense the reader stops too, and ``fault`` says at which octet; what lies before is
read. It keeps at most one block that has not ended.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

LONGEST_FRAME: Final = 262_144  # what libpcap takes for the longest packet that can be
LONGEST_BLOCK: Final = 1 << 24
MOST_INTERFACES: Final = 4_096  # of one section
LATEST_NS: Final = 1 << 62  # the year 2116: later stamps are none, and sums of two still fit

_NANOSECONDS: Final = 1_000_000_000
_PCAP: Final = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1}  # magic → nanoseconds per unit of the stamps' second half
_PCAP_HEAD: Final = 24
_RECORD_HEAD: Final = 16
_SECTION: Final = 0x0A0D0D0A
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_END, _RESOLUTION, _OFFSET = 0, 9, 14  # options of an interface
_KNOWN_OTHERS: Final = {
    b"\x1f\x8b": "it is compressed with gzip: unpack it first",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd: unpack it first",
    b"\x42\x5a\x68": "it is compressed with bzip2: unpack it first",
    b"\xfd7zXZ": "it is compressed with xz: unpack it first",
    b"RIFF": "it is a WAV",
}


class CaptureError(Exception):
    """What is wrong with a capture, and at which octet of the file."""

    def __init__(self, why: str, offset: int) -> None:
        super().__init__(f"{why} (at octet {offset:,})")
        self.why, self.offset = why, offset


class Frames(NamedTuple):
    """Frames as they lay on the wire, element *i* of every column of frame *i*.

    ``octets`` is what was fed, with `LONGEST_ROW` zeros behind it; a frame lies at ``start`` and has ``size`` octets,
    of ``full`` on the wire. ``link``: the type of its link layer (www.tcpdump.org/linktypes.html). ``stamp_ns``: UNIX
    time.
    """

    octets: NDArray[np.uint8]
    start: Ints
    size: Ints
    full: Ints
    link: Ints
    stamp_ns: Ints


LONGEST_ROW: Final = 1_536
"""So many octets from any octet of a frame on may be read without leaving the buffer."""


@dataclass(frozen=True)
class _Interface:
    link: int
    snap: int
    scale: Callable[[int], int]
    offset_ns: int


class _Cut(Exception):
    """Inside: the file makes no sense from this octet of the buffer on."""

    def __init__(self, why: str, at: int) -> None:
        self.why, self.at = why, at


class Reader:
    """Reads one capture. ``fault``: why it stopped, None as long as all is well. ``untimed``: frames without a stamp of
    their own, which get that of the frame before."""

    def __init__(self) -> None:
        self.fault: CaptureError | None = None
        self.untimed = 0
        self._kept = b""
        self._base = 0  # where in the file the buffer begins
        self._read: Callable[[bytes], int] | None = None
        self._order = "<"
        self._unit_ns = 1
        self._link = 0
        self._interfaces: list[_Interface] = []
        self._stamp_ns = 0
        self._rows: list[tuple[int, int, int, int, int]] = []

    @property
    def begun(self) -> bool:
        """Whether it is a capture at all."""
        return self._read is not None

    def feed(self, octets: bytes) -> Frames:
        """The frames that are whole with these octets. After a fault: none."""
        buffer = self._kept + octets
        self._rows = []
        used = 0
        if self.fault is None:
            try:
                used = self._walk(buffer)
            except _Cut as cut:
                self._stop(cut.why, cut.at)
        frames = self._frames(buffer)
        if self.fault is None:
            self._kept = buffer[used:]
            self._base += used
        return frames

    def end(self) -> None:
        """The file has no more octets: what is left over is a fault."""
        if self.fault is None and not self.begun:
            self._stop("this is no capture, it is too short to be one" if self._kept else "the file is empty", 0)
        elif self.fault is None and self._kept:
            self._stop(f"the capture is cut off: {len(self._kept)} octets of a record that goes on", 0)
        self._kept = b""

    def _stop(self, why: str, at: int) -> None:
        self.fault = CaptureError(why, self._base + at)
        self._kept = b""

    def _frames(self, buffer: bytes) -> Frames:
        rows = np.array(self._rows, np.int64).reshape(-1, 5)
        octets = np.frombuffer(buffer + bytes(LONGEST_ROW), np.uint8) if self._rows else np.empty(0, np.uint8)
        return Frames(octets, *(np.ascontiguousarray(rows[:, column]) for column in range(5)))

    def _walk(self, buffer: bytes) -> int:
        """Read what is whole; returns how far that goes."""
        if self._read is None:
            if len(buffer) < 4:
                return 0
            self._read = self._recognise(buffer)
        return self._read(buffer)

    def _recognise(self, buffer: bytes) -> Callable[[bytes], int]:
        for order in "<>":
            magic = int(struct.unpack_from(order + "I", buffer)[0])
            if magic in _PCAP:
                self._order, self._unit_ns = order, _PCAP[magic]
                return self._pcap_head
            if magic == _SECTION:
                return self._blocks
        why = next((why for head, why in _KNOWN_OTHERS.items() if buffer.startswith(head)), "it begins like none")
        raise _Cut(f"this is no pcap or pcapng: {why}", 0)

    # -- pcap

    def _pcap_head(self, buffer: bytes) -> int:
        if len(buffer) < _PCAP_HEAD:
            return 0
        major, minor, link = struct.unpack_from(self._order + "4xHH12xI", buffer)
        if major != 2:
            raise _Cut(f"pcap of version {major}.{minor} is not known", 4)
        self._link = link & 0xFFFF  # above it: whether there is a frame check sequence
        self._read = self._records
        return self._records(buffer, _PCAP_HEAD)

    def _records(self, buffer: bytes, at: int = 0) -> int:
        unpack, rows = struct.Struct(self._order + "IIII").unpack_from, self._rows
        unit_ns, link, length = self._unit_ns, self._link, len(buffer)
        while at + _RECORD_HEAD <= length:
            seconds, part, size, full = unpack(buffer, at)
            if size > LONGEST_FRAME:
                raise _Cut(f"a record of {size:,} octets is longer than any packet: the capture is damaged", at)
            if at + _RECORD_HEAD + size > length:
                break
            rows.append((at + _RECORD_HEAD, size, max(full, size), link, seconds * _NANOSECONDS + part * unit_ns))
            at += _RECORD_HEAD + size
        return at

    # -- pcapng

    def _blocks(self, buffer: bytes) -> int:
        at, length = 0, len(buffer)
        while at + 12 <= length:
            kind = int(struct.unpack_from(self._order + "I", buffer, at)[0])
            if kind == _SECTION:
                self._order = self._section_order(buffer, at)
            size = int(struct.unpack_from(self._order + "I", buffer, at + 4)[0])
            if size < 12 or size % 4 or size > LONGEST_BLOCK:
                raise _Cut(f"a block of {size:,} octets cannot be: the capture is damaged", at)
            if at + size > length:
                break
            if struct.unpack_from(self._order + "I", buffer, at + size - 4)[0] != size:
                raise _Cut("a block's two lengths differ: the capture is damaged", at)
            self._block(kind, buffer, at, at + size - 4)
            at += size
        return at

    def _section_order(self, buffer: bytes, at: int) -> str:
        for order in "<>":
            if struct.unpack_from(order + "I", buffer, at + 8)[0] == _BYTE_ORDER:
                return order
        raise _Cut("a section without a byte order: the capture is damaged", at)

    def _block(self, kind: int, buffer: bytes, at: int, end: int) -> None:
        if kind == _SECTION:
            self._interfaces = []
        elif kind == _INTERFACE:
            self._interface(buffer, at, end)
        elif kind in (_ENHANCED_PACKET, _OLD_PACKET):
            form = "IIIII" if kind == _ENHANCED_PACKET else "HxxIIII"
            number, high, low, size, full = self._fields(form, buffer, at, end)
            interface = self._known(number, at)
            stamp_ns = interface.scale(high << 32 | low) + interface.offset_ns
            self._frame(interface, buffer, (at, at + 28, end), size, full, stamp_ns)
        elif kind == _SIMPLE_PACKET:
            (full,) = self._fields("I", buffer, at, end)
            interface = self._known(0, at)
            size = min(full, interface.snap or full, end - at - 12)
            self.untimed += 1
            self._frame(interface, buffer, (at, at + 12, end), size, full, self._stamp_ns)

    def _fields(self, form: str, buffer: bytes, at: int, end: int) -> tuple[int, ...]:
        packed = struct.Struct(self._order + form)
        if at + 8 + packed.size > end:
            raise _Cut("a block is too short for what it says it is: the capture is damaged", at)
        return packed.unpack_from(buffer, at + 8)

    def _known(self, number: int, at: int) -> _Interface:
        if number >= len(self._interfaces):
            raise _Cut(f"a packet of interface {number}, which was not told of: the capture is damaged", at)
        return self._interfaces[number]

    def _frame(
        self, interface: _Interface, buffer: bytes, where: tuple[int, int, int], size: int, full: int, stamp_ns: int
    ) -> None:
        at, start, end = where
        if size > LONGEST_FRAME or start + size > end:
            raise _Cut(f"a packet of {size:,} octets sticks out of its block: the capture is damaged", at)
        self._stamp_ns = min(max(stamp_ns, 0), LATEST_NS)
        self._rows.append((start, size, max(full, size), interface.link, self._stamp_ns))

    def _interface(self, buffer: bytes, at: int, end: int) -> None:
        link, snap = self._fields("HxxI", buffer, at, end)
        if len(self._interfaces) >= MOST_INTERFACES:
            raise _Cut(f"more than {MOST_INTERFACES:,} interfaces in one section: the capture is damaged", at)
        resolution, offset_s = 6, 0
        option = at + 16
        while option + 4 <= end:
            code, size = struct.unpack_from(self._order + "HH", buffer, option)
            if code == _END or option + 4 + size > end:
                break
            if code == _RESOLUTION and size == 1:
                resolution = buffer[option + 4]
            elif code == _OFFSET and size == 8:
                offset_s = int(struct.unpack_from(self._order + "q", buffer, option + 4)[0])
            option += 4 + size + -size % 4
        self._interfaces.append(_Interface(link, snap, _scale(resolution), offset_s * _NANOSECONDS))


def _scale(resolution: int) -> Callable[[int], int]:
    """From units of ``if_tsresol`` to nanoseconds: a power of ten, or of two where the highest bit is set."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return lambda units: units * _NANOSECONDS >> exponent
    if exponent <= 9:
        factor = 10 ** (9 - exponent)
        return lambda units: units * factor
    divisor = 10 ** (exponent - 9)
    return lambda units: units // divisor
