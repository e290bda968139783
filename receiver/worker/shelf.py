"""From the ring to the parts: what is cut off, patched or noted goes to the one writer, in order (rules K5, K6)."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

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
from receiver.wire.opus import TICKS


class Decodes(Protocol):
    """Who makes samples of the parcels of Opus taps: they come back as cuts with blocks, in frames of the part."""

    def feed(self, cut: Cut, shelved: "Shelved") -> None:
        """Take a parcel."""

    async def settled(self) -> None:
        """Wait until all have come back."""

    def has(self, slot: int) -> bool:
        """Whether something of this tap has not come back."""

    def forget(self, slot: int) -> None:
        """Nothing more comes of this tap."""


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
        self.decoding: Decodes | None = None
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
        first_frame, before_frame = (int(record[each]) * scale(record) for each in ("segment_frame", "segment_before"))
        self.add(slot, Part.reopen(self._files, PartKey(recording_id, 0, segment, first_frame)))
        if segment:
            before = PartKey(recording_id, 0, segment - 1, before_frame)
            if self._files.stat(before.name):
                self.taps[slot].before = Part.reopen(self._files, before)

    def may_roll(self, slot: int) -> bool:
        """Whether the part before has become a WAV, so that the next one may be begun."""
        return slot in self.taps and self.taps[slot].before is None

    def roll(self, slot: int) -> None:
        """Rule C7: open the part that the columns name now; the present one is complete behind what is queued."""
        shelved, record = self.taps[slot], self._state.live.taps[slot]
        first_frame = int(record["segment_frame"]) * scale(record)
        key = PartKey(shelved.part.key.recording_id, 0, int(record["segment"]), first_frame)
        shelved.before, shelved.part = shelved.part, Part.reopen(self._files, key)

    def close_before(self, shelved: Shelved) -> None:
        """The part before has become a WAV."""
        if shelved.before is not None:
            shelved.before.close()
            shelved.before = None

    def remove(self, slot: int) -> Shelved:
        """A tap that is finished; the caller closes its files."""
        shelved = self.taps.pop(slot)
        if self.decoding is not None:
            self.decoding.forget(slot)
        self._slots.pop(shelved.part.log_key[0], None)
        return shelved

    def slot_of(self, file: Growing) -> int | None:
        """The tap that this is a file of, now."""
        slot = self._slots.get(file.log_key[0])
        return slot if slot is not None and file in self.taps[slot].files else None

    # -- what goes into them

    def write(self, cut: Cut) -> None:
        """Queue the blocks of one cut; ``written`` rises behind the last one."""
        shelved = self.taps.get(cut.tap)
        if shelved is None:
            return self._skip(self._state.written, cut.row, cut.upto)
        if cut.parcel is not None:
            assert self.decoding is not None, "a tap of Opus, and nobody to decode it"
            return self.decoding.feed(cut, shelved)
        pieces = [piece for block in cut.blocks for piece in shelved.pieces(block)]
        if not pieces:
            self._skip(self._state.written, cut.row, cut.upto)
        for number, piece in enumerate(pieces, 1):
            cursor, index = (self._state.written, cut.row) if number == len(pieces) else (self._nowhere, 0)
            self._put(shelved.part_of(piece.frame), piece.frame, piece.samples, (cursor, index, cut.upto))

    def write_logs(self) -> tuple[int, int]:
        """Queue patches and notes of the turns committed since the last call; returns how many ever were queued."""
        state = self._state
        for patch in self._journal.patches_since(self._patches):
            tap = int(patch["tap"])
            frame, shelved, samples = int(patch["frame"]), self.taps.get(tap), patch["samples"][: int(patch["count"])]
            if state.live.taps["opus"][tap]:
                if self.decoding is not None and self.decoding.has(tap):
                    break  # what is to be erased must not come back behind it
                frame, samples = frame * TICKS, np.repeat(samples, TICKS)  # a pause's absence: no sound is patched
            self._patches += 1
            part = None if shelved is None else shelved.part_of(frame)
            self._put(part, frame, samples, (state.patched, 0, self._patches))
        for record in self._journal.notes_since(self._notes):
            self._notes += 1
            shelved = self.taps.get(int(record["tap"]))
            if shelved is None:
                self._skip(state.noted, 0, self._notes)
                continue
            octets, octet = record["note"].tobytes(), shelved.notes.octet_of(int(record["index"]))
            self.writer.put(Write(shelved.notes, octet, (octets,), state.noted, 0, self._notes))
        return self._patches, self._notes

    async def decoded(self) -> None:
        """Wait until all that was cut off so far has come back from the decoder; it may have left notes."""
        if self.decoding is not None:
            await self.decoding.settled()
        self.write_logs()

    async def behind(self) -> None:
        """Wait until everything that was cut off or queued so far is in its file."""
        await self.decoded()
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


def scale(tap: Any) -> int:
    """Frames of a tap's part for each frame of its row: Opus is recorded at 48 kHz, rows are told in 1/8000 s."""
    return TICKS if tap["opus"] else 1


def read_notes(files: Files, recording_id: str, count: int) -> Records:
    """The first ``count`` notes of a recording as they lie in spool; fewer where the disk did not take them."""
    try:
        octets = files.read(names.notes(recording_id)) if count else b""
    except FileNotFoundError:
        octets = b""
    whole = min(count, len(octets) // NOTE.itemsize)
    return np.frombuffer(octets[: whole * NOTE.itemsize], NOTE)
