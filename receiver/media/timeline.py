"""The ring: a sample's position is its address. Reordering, duplicates and late arrival stop being cases.

A row is a ring of ``window`` samples with a guard band at both ends, so that a packet across the seam is written whole
at both ends. Absence is the value −32768. Samples stay until they are committed (rule K4).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from receiver.media.block import ABSENT, Block
from receiver.media.columns import LONGEST_PACKET, SPLICES
from receiver.media.packets import DENSITY, PacketRows, Parcel
from receiver.media.state import State

Ints = NDArray[np.int64]


class Timeline:
    """Rows of the ring, and the frames that their positions become."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.window = state.shape.window
        self._flat = state.ring.reshape(-1)
        self._pitch = state.ring.shape[1]
        self.packets = PacketRows(state)
        self._absence = np.full(self.window, ABSENT, np.int16)

    # -- writing

    def place(self, row: Ints, position: Ints, sound: NDArray[np.int16]) -> None:
        """Write equally long packets; the caller knows that they fit. ``sound`` is (packets, samples)."""
        length = sound.shape[1]
        column = position % self.window
        runs = as_strided(self._flat, (self._flat.size - length + 1, length), (2, 2))
        start = row * self._pitch + LONGEST_PACKET + column
        runs[start] = sound
        seam = column + length > self.window
        if seam.any():
            runs[start[seam] - self.window] = sound[seam]

    def blank_ahead(self) -> None:
        """Make every row empty from its edge on: what a turn left there that was never committed."""
        live = self._state.live
        for row in np.flatnonzero(live.rows["tap"] >= 0).tolist():
            stop = int(self._state.cleared[row]) + self.window
            for piece in self.views(row, min(int(live.rows["edge"][row]), stop), stop):
                piece[:] = ABSENT

    def hand_out(self, row: int, start: int = 0) -> None:
        """Make a free row empty and set its cursors: nothing of an earlier call is left in it (P5)."""
        self._state.ring[row] = ABSENT
        for cursor in (self._state.written, self._state.committed, self._state.cleared):
            cursor[row] = start

    def clear(self, row: int, upto: int) -> None:
        """Fill [cleared, upto) with absence, and only then raise ``cleared`` (rule K4)."""
        start = int(self._state.cleared[row])
        for piece in self.views(row, start, min(upto, start + self.window)):
            piece[:] = ABSENT
        self._state.cleared[row] = upto

    def erase(self, row: int, start: int, stop: int) -> None:
        """Make [start, stop) absent, and leave nothing of the packets that began there."""
        if self._state.now.rows["packed"][row]:
            position, size = self._starts(row, start, stop)
            self.packets.write(row, position, [bytes(octets) for octets in size.tolist()])
        for piece in self.views(row, start, stop):
            piece[:] = ABSENT

    def patch(self, row: int, position: int, sound: NDArray[np.int16]) -> None:
        """Write of one packet what lies at or above ``cleared``; the rest has left the ring (rule K6)."""
        gone = max(0, int(self._state.cleared[row]) - position)
        for piece in self.views(row, position + gone, position + sound.size):
            piece[:] = sound[gone : gone + piece.size]
            gone += piece.size

    def move(self, row: int, start: int, stop: int, target: int, delta: int) -> None:
        """Copy the present samples of [start, stop) to another row, ``delta`` later. Twice is once."""
        if self._state.now.rows["packed"][row]:
            position, size = self._starts(row, start, stop)
            self.packets.write(target, position + delta, self.packets.read(row, position, size))
        at = start
        for piece in self.views(row, start, stop):
            taken = 0
            for there in self.views(target, at + delta, at + delta + piece.size):
                here = piece[taken : taken + there.size]
                np.copyto(there, here, where=here != ABSENT)
                taken += there.size
            at += piece.size

    # -- reading

    def views(self, row: int, start: int, stop: int) -> Iterator[NDArray[np.int16]]:
        """The ring's own samples of [start, stop): one view, or two across the seam."""
        core = self._state.ring[row, LONGEST_PACKET : LONGEST_PACKET + self.window]
        while start < stop:
            column = start % self.window
            length = min(stop - start, self.window - column)
            yield core[column : column + length]
            start += length

    def blocks(self, row: int, start: int, stop: int) -> Iterator[Block]:
        """[start, stop) as it will lie in the part, with the absence of every splice in it."""
        record = self._state.now.rows[row]
        shift = int(record["shift"])
        for k in range(int(record["splices"])):
            at, after = int(record["splice_at"][k]), int(record["splice_shift"][k])
            if start <= at < stop:
                yield from self._span(row, start, at, shift)
                yield from self._nothing(row, at + shift, after - shift)
                start = at
            if at < stop:
                shift = after
        yield from self._span(row, start, stop, shift)

    def parcel(self, row: int, start: int, stop: int) -> Parcel:
        """[start, stop) of a row of packets, in order; one that reaches over ``stop`` is of it."""
        position, size = self._starts(row, start, stop)
        room = np.diff(position, append=stop + LONGEST_PACKET) * DENSITY
        whole = size <= room  # else another one that overlaps it lies over its end
        position, size = position[whole], size[whole]
        silent = 0
        for piece in list(self.views(row, start, stop))[::-1]:
            heard = np.flatnonzero(piece != ABSENT)
            silent += piece.size - (int(heard[-1]) + 1 if heard.size else 0)
            if heard.size:
                break
        frames = [self.frame(row, each) for each in position.tolist()]
        return Parcel(start, frames, self.packets.read(row, position, size), self.frame(row, stop), silent)

    def packed(self, row: int, start: int, stop: int) -> tuple[list[int], list[bytes]]:
        """Positions and octets of the packets that begin in [start, stop)."""
        position, size = self._starts(row, start, stop)
        return position.tolist(), self.packets.read(row, position, size)

    def _starts(self, row: int, start: int, stop: int) -> tuple[Ints, Ints]:
        """Where packets begin in [start, stop), and how many octets each has."""
        found, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for piece in self.views(row, start, stop):
            begins = np.flatnonzero(piece > 0)
            found.append(begins + start)
            sizes.append(piece[begins].astype(np.int64))
            start += piece.size
        return np.concatenate(found), np.concatenate(sizes)

    def frame(self, row: int, position: int) -> int:
        """The frame of a position in the row's part."""
        record = self._state.now.rows[row]
        count = int(record["splices"])
        at = record["splice_at"][:count]
        passed = int(np.searchsorted(at, position, side="right"))
        return position + int(record["splice_shift"][passed - 1] if passed else record["shift"])

    def spliceable(self, row: int) -> bool:
        """Whether there is a place left to note a splice."""
        record = self._state.now.rows[row]
        return bool(record["splices"] < SPLICES or record["splice_at"][0] < record["freed"])

    def splice(self, row: int, at: int, more: int) -> None:
        """Let ``more`` frames of absence stand in the part before position ``at``, which was not handed on yet.

        The caller has asked ``spliceable`` and touched the row.
        """
        record = self._state.now.rows[row]
        if record["splices"] == SPLICES:
            self._fold(record)
        count = int(record["splices"])
        places, shifts = record["splice_at"], record["splice_shift"]
        k = int(np.searchsorted(places[:count], at, side="right"))
        places[k + 1 : count + 1] = places[k:count].copy()
        shifts[k + 1 : count + 1] = shifts[k:count] + more
        places[k], shifts[k] = at, int(shifts[k - 1] if k else record["shift"]) + more
        record["splices"] = count + 1

    @staticmethod
    def _fold(record: Any) -> None:
        """Make the oldest splice the row's plain shift; what is late for the time before it has no frame any more."""
        record["floor"], record["shift"] = record["splice_at"][0], record["splice_shift"][0]
        for column in ("splice_at", "splice_shift"):
            record[column][:-1] = record[column][1:].copy()
        record["splices"] -= 1

    def _span(self, row: int, start: int, stop: int, shift: int) -> Iterator[Block]:
        for piece in self.views(row, start, stop):
            yield Block(row, start + shift, piece)
            start += piece.size

    def _nothing(self, row: int, frame: int, frames: int) -> Iterator[Block]:
        while frames > 0:
            piece = self._absence[:frames]
            yield Block(row, frame, piece)
            frame, frames = frame + piece.size, frames - piece.size
