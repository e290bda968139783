"""A capture's UDP datagrams as columns, from a file that is read in pieces."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.importing.stamps import Stamps
from receiver.wire import ip
from receiver.wire.capture import LONGEST_ROW, CaptureError, Reader
from receiver.wire.ip import Fate

Ints = NDArray[np.int64]
PIECE: Final = 1 << 20


class Letters(NamedTuple):
    """Element *i* speaks of datagram *i*, in the order of the file."""

    key: NDArray[np.void]
    """Who to whom: source and target address and both ports, as one value."""
    source: NDArray[np.uint64]  # [n, 2]
    source_port: Ints
    target: NDArray[np.uint64]  # [n, 2]
    target_port: Ints
    octets: NDArray[np.uint8]
    """What was read; a datagram's payload lies at ``at``."""
    at: Ints
    size: Ints
    arrival_ns: Ints

    def rows(self, which: Ints) -> NDArray[np.uint8]:
        """The payloads of some of them as a slab, u1[k, 1536]; behind a payload lies anything."""
        if not which.size:
            return np.empty((0, LONGEST_ROW), np.uint8)
        all_rows: NDArray[np.void] = np.ndarray(
            (self.octets.size - LONGEST_ROW + 1,), f"V{LONGEST_ROW}", self.octets, strides=(1,)
        )
        return all_rows[self.at[which]].view(np.uint8).reshape(-1, LONGEST_ROW)


class Letterbox:
    """One reading of a file, from its beginning to where it ends or makes no sense any more.

    ``fates``: how many frames were what (`Fate`); ``fault``: why it was not read to the end.
    """

    def __init__(self, path: Path, longest_pause_ns: int, piece: int = PIECE) -> None:
        self._path, self._piece = path, piece
        self._reader = Reader()
        self.stamps = Stamps(longest_pause_ns)
        self.fates = np.zeros(len(Fate), np.int64)
        self.links: set[int] = set()
        """Link layers that are not read."""

    @property
    def fault(self) -> CaptureError | None:
        """What is wrong with the file, if something is."""
        return self._reader.fault

    @property
    def untimed(self) -> int:
        """Frames without a stamp."""
        return self._reader.untimed

    def read(self) -> Iterator[Letters]:
        """Piece after piece. OSError where the file cannot be read."""
        with self._path.open("rb") as file:
            while self.fault is None and (octets := file.read(self._piece)):
                yield self._letters(octets)
        self._reader.end()

    def _letters(self, octets: bytes) -> Letters:
        frames = self._reader.feed(octets)
        found = ip.read(frames)
        self.fates += np.bincount(found.fate, minlength=len(Fate))
        self.links.update(frames.link[found.fate == Fate.LINK].tolist())
        arrival_ns = self.stamps.arrivals(frames.stamp_ns)
        whole = np.flatnonzero(found.fate == Fate.UDP)
        source, target = found.source[whole], found.target[whole]
        source_port, target_port = found.source_port[whole], found.target_port[whole]
        ports = (source_port << 16 | target_port).astype(np.uint64)
        key = np.ascontiguousarray(np.column_stack((source, target, ports)))
        return Letters(
            key.view(f"V{key.itemsize * 5}")[:, 0], source, source_port, target, target_port,
            frames.octets, found.payload_at[whole], found.payload_size[whole], arrival_ns[whole],
        )  # fmt: skip
