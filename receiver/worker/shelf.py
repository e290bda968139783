"""From the ring to the parts: what is cut off, patched or noted goes to the one writer, in this order (rules K5, K6)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from receiver.archive.files import Files
from receiver.archive.names import PartKey
from receiver.archive.part import Growing, Notes, Part
from receiver.archive.writer import Write, Writer
from receiver.media.columns import NOTE
from receiver.media.drain import Cut
from receiver.media.journal import Journal
from receiver.media.state import State


@dataclass
class Shelved:
    """The growing files of one tap: its present part, the one before while its last blocks are under way, its notes."""

    part: Part
    notes: Notes
    before: Part | None = None
    faults: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Let go of the files."""
        for file in (self.part, self.notes, self.before):
            if file is not None:
                file.close()

    def part_of(self, frame: int) -> Part:
        """Where a frame lies (rule C7)."""
        return self.part if self.before is None or frame >= self.part.key.first_frame else self.before


class Shelf:
    """Puts blocks, patches and notes into files. ``on_error(name, error)`` is called in the writer's thread."""

    def __init__(self, state: State, journal: Journal, files: Files, on_error: Callable[[str, Exception], None]) -> None:
        self._state, self._journal, self._files = state, journal, files
        self._told = on_error
        self.writer = Writer(self._failed)
        self.taps: dict[int, Shelved] = {}
        self._nowhere = np.zeros(1, np.int64)  # a cut is written when its last block is
        self._patches, self._notes = int(state.patched[0]), int(state.noted[0])

    def add(self, slot: int, part: Part) -> None:
        """A tap whose files rule C1 has made durable."""
        self.taps[slot] = Shelved(part, Notes(self._files, part.key.recording_id, NOTE.itemsize))

    def reopen(self, slot: int, recording_id: str) -> None:
        """Rule K5: a tap that an earlier worker had; where its parts begin is in the columns."""
        record = self._state.live.taps[slot]
        segment = int(record["segment"])
        part = Part.reopen(self._files, PartKey(recording_id, 0, segment, int(record["segment_frame"])))
        self.add(slot, part)
        if segment:
            before = PartKey(recording_id, 0, segment - 1, int(record["segment_before"]))
            if self._files.stat(before.name):
                self.taps[slot].before = Part.reopen(self._files, before)

    def roll(self, slot: int) -> Part:
        """Rule C7: open the part that the columns name now; returns the one that is complete behind its last block."""
        shelved, record = self.taps[slot], self._state.live.taps[slot]
        shelved.before = shelved.part
        key = PartKey(shelved.part.key.recording_id, 0, int(record["segment"]), int(record["segment_frame"]))
        shelved.part = Part.reopen(self._files, key)
        return shelved.before

    def close_before(self, slot: int, part: Part) -> None:
        """The part before has become a WAV."""
        part.close()
        if slot in self.taps and self.taps[slot].before is part:
            self.taps[slot].before = None

    def remove(self, slot: int) -> Shelved:
        """A tap that is finished; the caller closes its files."""
        return self.taps.pop(slot)

    def write(self, cut: Cut) -> None:
        """Queue the blocks of one cut; ``written`` rises behind the last one."""
        shelved = self.taps.get(cut.tap)
        if shelved is None:
            self._skip(self._state.written, cut.row, cut.upto)
            return
        for number, block in enumerate(cut.blocks, 1):
            last = number == len(cut.blocks)
            cursor, index = (self._state.written, cut.row) if last else (self._nowhere, 0)
            part = shelved.part_of(block.frame)
            self.writer.put(Write(part, part.octet_of(block.frame), (block.samples,), cursor, index, cut.upto))

    def write_logs(self) -> None:
        """Queue the patches and notes of the turns that were committed since the last call."""
        state, writer = self._state, self.writer
        for patch in self._journal.patches_since(self._patches):
            self._patches += 1
            frame, shelved = int(patch["frame"]), self.taps.get(int(patch["tap"]))
            if shelved is None or frame < int(state.live.taps["segment_frame"][int(patch["tap"])]):
                self._skip(state.patched, 0, self._patches)
                continue
            samples = patch["samples"][: int(patch["count"])]
            part = shelved.part
            writer.put(Write(part, part.octet_of(frame), (samples,), state.patched, 0, self._patches))
        for slot in self._journal.notes_since(self._notes):
            self._notes += 1
            shelved = self.taps.get(int(slot["tap"]))
            if shelved is None:
                self._skip(state.noted, 0, self._notes)
                continue
            octets = slot["note"].tobytes()
            notes = shelved.notes
            writer.put(Write(notes, notes.octet_of(int(slot["index"])), (octets,), state.noted, 0, self._notes))

    def file_of(self, slot: int) -> tuple[Growing, ...]:
        """The files that a commit may speak of as this tap's."""
        shelved = self.taps.get(slot)
        return () if shelved is None else (shelved.part, *([shelved.before] if shelved.before else []))

    def _skip(self, cursor: NDArray[np.int64], row: int, upto: int) -> None:
        """Something of a tap whose recording is published: nothing is written, but the cursor passes it in its turn."""

        def passed() -> None:
            cursor[row] = upto

        self.writer.call(passed)

    def _failed(self, item: object, error: Exception) -> None:
        """A write failed: its samples will be a gap, and the tap says so. The cursor goes on: the ring must not fill."""
        if not isinstance(item, Write):
            raise error
        item.cursor[item.index] = item.upto
        self._told(item.file.name, error)

    def suspect(self, names: set[str], why: str) -> None:
        """Files whose octets cannot be vouched for: their recordings will be ``degraded``."""
        for shelved in self.taps.values():
            files = (shelved.part, shelved.notes, *([shelved.before] if shelved.before else []))
            if any(file.name in names for file in files):
                shelved.faults.append(why)
