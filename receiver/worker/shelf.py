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
from receiver.archive.names import MOST_TAPS, PartKey
from receiver.archive.part import Growing, Notes, Part
from receiver.archive.writer import Call, Write, Writer
from receiver.media.block import ABSENT, Block
from receiver.media.columns import NOTE, Flaw
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

    def forget(self, shelved: "Shelved") -> None:
        """Nothing more comes of this tap."""


OnError = Callable[[Write | Call, Exception], None]


@dataclass
class Strand:
    """The growing files of one channel: its present part, and the one before until it is a WAV."""

    part: Part
    before: Part | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Both, or the one there is."""
        return (self.part,) if self.before is None else (self.part, self.before)

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


@dataclass
class Shelved:
    """The files of one tap: those of its channel, by ``strands[0]``, and of each further one (rule A12); its notes.

    ``unwritten`` tells which of its frames the disk refused in this worker's life.
    """

    strands: dict[int, Strand]
    notes: Notes
    unwritten: list[Stretch] = field(default_factory=list)

    @property
    def part(self) -> Part:
        """The present one of its own channel."""
        return self.strands[0].part

    @property
    def before(self) -> Part | None:
        """The one before it."""
        return self.strands[0].before

    @property
    def files(self) -> tuple[Growing, ...]:
        """All of them."""
        return (self.notes, *(part for strand in self.strands.values() for part in strand.parts))

    @property
    def is_rolling(self) -> bool:
        """Whether a part before the present one is not a WAV yet."""
        return any(strand.before is not None for strand in self.strands.values())

    def close(self) -> None:
        """Let go of the files."""
        for file in self.files:
            file.close()


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
        self._slots: dict[tuple[bytes, int], int] = {}  # by recording and channel
        self._nowhere = np.zeros(1, np.int64)  # a cut is written when its last block is
        self._patches, self._notes = int(state.patched[0]), int(state.noted[0])

    # -- files come and go

    def add(self, slot: int, part: Part) -> None:
        """A tap whose files rule C1 has made durable. Whoever had the slot before is over."""
        if slot in self.taps:
            self.remove(slot).close()
        notes = Notes(self._files, part.key.recording_id, NOTE.itemsize, part.channel)
        self.taps[slot] = Shelved({0: Strand(part)}, notes)
        self._slots[_of(part)] = slot

    def reopen(self, slot: int, recording_id: str) -> None:
        """Rule K5: a tap that an earlier worker had; where its parts begin is in the columns."""
        live = self._state.live
        own = self._strand(recording_id, slot, live.taps[slot], 0)
        self.add(slot, own.part)
        self.taps[slot].strands[0] = own
        if live.taps["notes"][slot]:  # empty, but it opens the file: the next commit tells how far it reaches
            self.writer.put(Write(self.taps[slot].notes, 0, (b"",), self._nowhere, 0, 0))
        for row in np.flatnonzero((live.rows["tap"] == slot) & (live.rows["further"] > 0)).tolist():
            further = int(live.rows["further"][row])
            begun = own.before is not None and live.rows["segment_frame"][row] > 0
            strand = self._strand(recording_id, slot, live.rows[row], further, begun)
            self.taps[slot].strands[further] = strand

    def _strand(self, recording_id: str, slot: int, record: Any, further: int, begun: bool = False) -> Strand:
        """The files of one channel; ``record`` is the tap's or, of a further one, its row's. ``begun``: in the segment
        before, though perhaps nothing of it is in a file yet."""
        tap = self._state.live.taps[slot]
        segment, channel = int(tap["segment"]), int(tap["channel"]) + MOST_TAPS * further
        first, first_before = (int(record[each]) * scale(tap) for each in ("segment_frame", "segment_before"))
        strand = Strand(Part.reopen(self._files, PartKey(recording_id, channel, segment, first)))
        if segment:
            before = PartKey(recording_id, channel, segment - 1, first_before)
            if begun or self._files.stat(before.name):
                strand.before = Part.reopen(self._files, before)
                # the ring is given back by what a commit says of the present part: it must speak of this one as well
                self.writer.put(Write(strand.before, 0, (), self._nowhere, 0, 0))
        return strand

    def beside(self, slot: int) -> list[int]:
        """The taps of this one's recording that have files here, by their channels; itself among them."""
        identity = self.taps[slot].part.log_key[0]
        found = (self._slots.get((identity, channel)) for channel in range(MOST_TAPS))
        return [each for each in found if each is not None]

    def may_roll(self, slot: int) -> bool:
        """Whether the parts before have become a WAV, so that the next ones may be begun."""
        return slot in self.taps and not any(self.taps[each].is_rolling for each in self.beside(slot))

    def roll(self, slot: int) -> None:
        """Rule C7: open the parts that the columns name now; the present ones are complete behind what is queued."""
        shelved, live = self.taps[slot], self._state.live
        rows = {int(live.rows["further"][row]): live.rows[row] for row in np.flatnonzero(live.rows["tap"] == slot)}
        for row in np.flatnonzero((live.rows["tap"] == slot) & (live.rows["further"] > 0)).tolist():
            self.strand(slot, row)
        for further, strand in shelved.strands.items():
            record, before = rows[further] if further else live.taps[slot], strand.part.key
            segment, first = int(live.taps["segment"][slot]), int(record["segment_frame"]) * scale(live.taps[slot])
            key = before._replace(segment=segment, first_frame=first)
            strand.before, strand.part = strand.part, Part.reopen(self._files, key)

    def close_before(self, shelved: Shelved) -> None:
        """The parts before have become a WAV."""
        for strand in shelved.strands.values():
            if strand.before is not None:
                strand.before.close()
                strand.before = None

    def remove(self, slot: int) -> Shelved:
        """A tap that is finished; the caller closes its files."""
        shelved = self.taps.pop(slot)
        if self.decoding is not None:
            self.decoding.forget(shelved)
        self._slots.pop(_of(shelved.part), None)
        return shelved

    def slot_of(self, file: Growing) -> int | None:
        """The tap that this is a file of, now."""
        slot = self._slots.get(_of(file))
        return slot if slot is not None and file in self.taps[slot].files else None

    # -- what goes into them

    def write(self, cut: Cut) -> None:
        """Queue the blocks of one cut; ``written`` rises behind the last one, and the next commit says so."""
        shelved = self.taps.get(cut.tap)
        if shelved is None:
            return self._skip(self._state.written, cut.row, cut.upto)
        if cut.parcel is not None:
            assert self.decoding is not None, "a tap of Opus, and nobody to decode it"
            return self.decoding.feed(cut, shelved)
        strand = self.strand(cut.tap, cut.row)
        pieces = [piece for block in cut.blocks for piece in strand.pieces(block)]
        if any(strand.part_of(piece.frame) is None and (piece.samples != ABSENT).any() for piece in pieces):
            self._lose(cut.tap)
        for number, piece in enumerate(pieces, 1):
            cursor, index = (self._state.written, cut.row) if number == len(pieces) else (self._nowhere, 0)
            self._put(strand.part_of(piece.frame), piece.frame, piece.samples, (cursor, index, cut.upto))
        if not pieces or strand.part_of(pieces[-1].frame) is None:  # a ring that no commit speaks of stays full
            self.writer.put(Write(strand.part, 0, (), self._state.written, cut.row, cut.upto))

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
            strand = None if shelved is None else shelved.strands.get(int(patch["further"]))
            part = None if strand is None else strand.part_of(frame)
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

    def strand(self, slot: int, row: int) -> Strand:
        """The files that a row goes into; a further channel's are made when the first of it is written."""
        shelved, further = self.taps[slot], int(self._state.live.rows["further"][row])
        if further not in shelved.strands:
            record, (recording_id, channel, segment, _) = self._state.live.rows[row], shelved.part.key
            # the columns may be a segment ahead: it is rolled when what was handed on before is queued
            first = "segment_frame" if segment == self._state.live.taps["segment"][slot] else "segment_before"
            key = PartKey(recording_id, channel + MOST_TAPS * further, segment, int(record[first]))
            shelved.strands[further] = Strand(Part.reopen(self._files, key))
        return shelved.strands[further]

    # -- inside

    def _put(
        self, part: Part | None, frame: int, samples: NDArray[np.int16], cursor: tuple[NDArray[np.int64], int, int]
    ) -> None:
        if part is None:
            self._skip(*cursor)
        else:
            self.writer.put(Write(part, part.octet_of(frame), (samples,), *cursor))

    def _lose(self, tap: int) -> None:
        """Sound of a segment that is published, later than its stream was thought silent (rule C7): it is said."""
        self._state.touch("taps", tap)
        self._state.now.taps["flaws"][tap] |= Flaw.LATE_LOST

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


def _of(file: Growing) -> tuple[bytes, int]:
    return file.log_key[0], file.channel % MOST_TAPS


def read_notes(files: Files, recording_id: str, count: int, channel: int = 0) -> Records:
    """The first ``count`` notes of a channel as they lie in spool; fewer where the disk did not take them."""
    try:
        octets = files.read(names.notes(recording_id, channel)) if count else b""
    except FileNotFoundError:
        octets = b""
    whole = min(count, len(octets) // NOTE.itemsize)
    return np.frombuffer(octets[: whole * NOTE.itemsize], NOTE)
