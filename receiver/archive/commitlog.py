"""The commit log: how many octets of each growing file are known to be durable (rule C2, read by C5).

A file of batches, one for each commit, all numbers little-endian::

    magic "TDC1" · count u4 · UNIX time in ns i8 · CRC-32 u4 of all else in the batch
    count × ( recording's UUID, 16 octets · channel u2 · segment u2 · octets u8 )

A batch counts whole or not at all; from the first that is torn or wrong on, nothing is believed. Files only grow, so
the largest number of a file holds, whatever the order.
"""

import struct
import time
import zlib
from collections.abc import Mapping

from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.part import LogKey, notes_key

MAGIC = b"TDC1"
ROTATE_OCTETS = 8 << 20

_HEAD = struct.Struct("<4sIqI")
_BODY = struct.Struct("<16sHHQ")
_CRC_AT = _HEAD.size - 4


def pack(reached: Mapping[LogKey, int], unix_ns: int) -> bytes:
    """Return one batch."""
    body = b"".join([_BODY.pack(*key, octets) for key, octets in reached.items()])
    head = _HEAD.pack(MAGIC, len(reached), unix_ns, 0)[:_CRC_AT]
    return head + struct.pack("<I", zlib.crc32(body, zlib.crc32(head))) + body


def unpack(log: bytes) -> tuple[dict[LogKey, int], int]:
    """Return what all sound batches say together, and the octet at which belief ends."""
    reached: dict[LogKey, int] = {}
    at = 0
    while at + _HEAD.size <= len(log):
        magic, count, _, crc = _HEAD.unpack_from(log, at)
        first, last = at + _HEAD.size, at + _HEAD.size + count * _BODY.size
        if magic != MAGIC or last > len(log):
            break
        if zlib.crc32(log[first:last], zlib.crc32(log[at : at + _CRC_AT])) != crc:
            break
        for identity, channel, segment, octets in _BODY.iter_unpack(log[first:last]):
            key = (identity, channel, segment)
            reached[key] = max(octets, reached.get(key, 0))
        at = last
    return reached, at


def read_log(files: Files, worker: int) -> dict[LogKey, int]:
    """Return the durable octets of each file in one worker's log; none of it if there is no log."""
    try:
        return unpack(files.read(names.log(worker)))[0]
    except FileNotFoundError:
        return {}


class CommitLog:
    """One worker's log, open for appending. Begins with a rewritten one: behind a torn tail nothing would be read."""

    def __init__(self, files: Files, worker: int, rotate_octets: int = ROTATE_OCTETS) -> None:
        self._files = files
        self._name = names.log(worker)
        self._rotate_octets = rotate_octets
        self._reached = read_log(files, worker)
        self._descriptor: int | None = None
        self._end = 0
        self._rotate()

    def append(self, reached: Mapping[LogKey, int]) -> None:
        """Make one commit known, durably. ``OSError``: it is not known, and the next one begins a new log."""
        for key, octets in reached.items():
            self._reached[key] = max(octets, self._reached.get(key, 0))
        if self._descriptor is None or self._end > self._rotate_octets:
            self._rotate()
            return
        try:
            self._end = self._files.pwrite(self._descriptor, (pack(reached, time.time_ns()),), self._end)
            self._files.fdatasync(self._descriptor)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            self._files.close_file(self._descriptor)
        self._descriptor = None

    def _rotate(self) -> None:
        """Begin a new file with what is still true: one batch of the files that still lie in spool."""
        self.close()
        alive = _growing(self._files)
        self._reached = {key: octets for key, octets in self._reached.items() if key in alive}
        whole = pack(self._reached, time.time_ns())
        self._files.write_durably(self._name, whole)
        self._descriptor = self._files.open(self._name, write=True)
        self._end = len(whole)


def _growing(files: Files) -> set[LogKey]:
    found: set[LogKey] = set()
    for name in files.listing("spool"):
        spooled = names.parse(name)
        if spooled and spooled.kind in ("part", "notes"):
            found.add(key_of(spooled))
    return found


def key_of(spooled: names.Spooled) -> LogKey:
    """How the log calls a part or the notes."""
    identity = bytes.fromhex(spooled.recording_id.replace("-", ""))
    if spooled.kind == "notes":
        return notes_key(identity, spooled.channel)
    return identity, spooled.channel, spooled.segment
