"""From the ring to the parts: what is cut off, patched or noted goes to the one writer, in order (rules K5, K6)."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.gaps import Stretch
from receiver.archive.names import PartKey
from receiver.archive.part import Growing, Notes, Part
from receiver.archive.writer import Call, Write, Writer
from receiver.media.block import Block
from receiver.media.columns import NOTE
from receiver.media.drain import Cut
from receiver.media.journal import Journal
from receiver.media.state import Records, State

OnError = Callable[[Write | Call, Exception], None]


@dataclass
class Shelved:
    """The growing files of one tap: its present part, the one before until it is a WAV, its notes.

    ``unwritten`` tells which of its frames the disk refused in this worker's life.
    """

    part: Part
    notes: Notes
    before: Part | None = None
    unwritten: list[Stretch] = field(default_factory=list)

    @property
    def files(self) -> tuple[Growing, ...]:
        """All of them."""
        return (self.part, self.notes) if self.before is None else (self.part, self.notes, self.before)

    def close(self) -> None:
        """Let go of the files."""
        for file in self.files:
            file.close()

    def part_of(self, frame: int) -> Part | None:
        """Where a frame lies (rule C7); None: in a segment that is published."""
        if frame >= self.part.key.first_frame:
            return self.part
        if self.before is not None and frame >= self.before.key.first_frame:
            return self.before
        return None

    def pieces(self, block: Block) -> Iterator[Block]:
        """A block, cut where a segment begins: what was handed on before a death may reach over it."""
        split = self.part.key.first_frame - block.frame
        if 0 < split < block.samples.size:
            yield Block(block.row, block.frame, block.samples[:split])
            block = Block(block.row, block.frame + split, block.samples[split:])
        yield block


class Shelf:
    """Puts blocks, patches and notes into files.

    ``on_error`` is called in the writer's thread: with a write whose octets are not on the disk (its cursor went on all
    the same: the ring must not fill), or with a call that failed.
    """

    def __init__(self, state: State, journal: Journal, files: Files, on_error: OnError) -> None:
        self._state, self._journal, self._files, self._told = state, journal, files, on_error
        self.writer = Writer(self._failed)
        self.taps: dict[int, Shelved] = {}
        self._slots: dict[bytes, int] = {}
        self._nowhere = np.zeros(1, np.int64)  # a cut is written when its last block is
        self._patches, self._notes = int(state.patched[0]), int(state.noted[0])

    # -- files come and go

    def add(self, slot: int, part: Part) -> None:
        """A tap whose files rule C1 has made durable. Whoever had the slot before is over."""
        if slot in self.taps:
            self.remove(slot).close()
        self.taps[slot] = Shelved(part, Notes(self._files, part.key.recording_id, NOTE.itemsize))
        self._slots[part.log_key[0]] = slot

    def reopen(self, slot: int, recording_id: str) -> None:
        """Rule K5: a tap that an earlier worker had; where its parts begin is in the columns."""
        record = self._state.live.taps[slot]
        segment = int(record["segment"])
        self.add(slot, Part.reopen(self._files, PartKey(recording_id, 0, segment, int(record["segment_frame"]))))
        if segment:
            before = PartKey(recording_id, 0, segment - 1, int(record["segment_before"]))
            if self._files.stat(before.name):
                self.taps[slot].before = Part.reopen(self._files, before)

    def may_roll(self, slot: int) -> bool:
        """Whether the part before has become a WAV, so that the next one may be begun."""
        return slot in self.taps and self.taps[slot].before is None

    def roll(self, slot: int) -> None:
        """Rule C7: open the part that the columns name now; the present one is complete behind what is queued."""
        shelved, record = self.taps[slot], self._state.live.taps[slot]
        key = PartKey(shelved.part.key.recording_id, 0, int(record["segment"]), int(record["segment_frame"]))
        shelved.before, shelved.part = shelved.part, Part.reopen(self._files, key)

    def close_before(self, shelved: Shelved) -> None:
        """The part before has become a WAV."""
        if shelved.before is not None:
            shelved.before.close()
            shelved.before = None

    def remove(self, slot: int) -> Shelved:
        """A tap that is finished; the caller closes its files."""
        shelved = self.taps.pop(slot)
        self._slots.pop(shelved.part.log_key[0], None)
        return shelved

    def slot_of(self, file: Growing) -> int | None:
        """The tap that this is a file of, now."""
        slot = self._slots.get(file.log_key[0])
        return slot if slot is not None and file in self.taps[slot].files else None

    # -- what goes into them

    def write(self, cut: Cut) -> None:
        """Queue the blocks of one cut; ``written`` rises behind the last one, and the next commit says so."""
        shelved = self.taps.get(cut.tap)
        if shelved is None:
            return self._skip(self._state.written, cut.row, cut.upto)
        pieces = [piece for block in cut.blocks for piece in shelved.pieces(block)]
        for number, piece in enumerate(pieces, 1):
            cursor, index = (self._state.written, cut.row) if number == len(pieces) else (self._nowhere, 0)
            self._put(shelved.part_of(piece.frame), piece.frame, piece.samples, (cursor, index, cut.upto))
        if not pieces:
            self.writer.put(Write(shelved.part, 0, (), self._state.written, cut.row, cut.upto))

    def write_logs(self) -> tuple[int, int]:
        """Queue patches and notes of the turns committed since the last call; returns how many ever were queued."""
        state = self._state
        for patch in self._journal.patches_since(self._patches):
            self._patches += 1
            frame, shelved = int(patch["frame"]), self.taps.get(int(patch["tap"]))
            part = None if shelved is None else shelved.part_of(frame)
            self._put(part, frame, patch["samples"][: int(patch["count"])], (state.patched, 0, self._patches))
        for record in self._journal.notes_since(self._notes):
            self._notes += 1
            shelved = self.taps.get(int(record["tap"]))
            if shelved is None:
                self._skip(state.noted, 0, self._notes)
                continue
            octets, octet = record["note"].tobytes(), shelved.notes.octet_of(int(record["index"]))
            self.writer.put(Write(shelved.notes, octet, (octets,), state.noted, 0, self._notes))
        return self._patches, self._notes

    async def behind(self) -> None:
        """Wait until everything that was queued so far is in its file."""
        loop, behind = asyncio.get_running_loop(), asyncio.Event()
        self.writer.call(lambda: loop.call_soon_threadsafe(behind.set))
        await behind.wait()

    # -- inside

    def _put(
        self, part: Part | None, frame: int, samples: NDArray[np.int16], cursor: tuple[NDArray[np.int64], int, int]
    ) -> None:
        if part is None:
            self._skip(*cursor)
        else:
            self.writer.put(Write(part, part.octet_of(frame), (samples,), *cursor))

    def _skip(self, cursor: NDArray[np.int64], index: int, upto: int) -> None:
        """Something of what is published: nothing is written, but the cursor passes it in its turn."""

        def passed() -> None:
            cursor[index] = upto

        self.writer.call(passed)

    def _failed(self, item: Write | Call, error: Exception) -> None:
        if isinstance(item, Write):
            item.cursor[item.index] = item.upto
        self._told(item, error)


def read_notes(files: Files, recording_id: str, count: int) -> Records:
    """The first ``count`` notes of a recording as they lie in spool; fewer where the disk did not take them."""
    try:
        octets = files.read(names.notes(recording_id)) if count else b""
    except FileNotFoundError:
        octets = b""
    whole = min(count, len(octets) // NOTE.itemsize)
    return np.frombuffer(octets[: whole * NOTE.itemsize], NOTE)
