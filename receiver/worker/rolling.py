"""Rule C7: a long recording becomes several files, one after the other, while its tap goes on."""

import asyncio

from receiver.archive import pauses
from receiver.archive import roll as rolls
from receiver.archive.files import Files
from receiver.archive.names import PartKey
from receiver.archive.sidecar import Draft
from receiver.media.state import State
from receiver.worker import interludes, story
from receiver.worker.errands import Errands
from receiver.worker.shelf import Shelf, Shelved, read_notes, scale


class Rolling:
    """Brings the part before the present one to ready/, beside the tick."""

    def __init__(self, state: State, shelf: Shelf, errands: Errands, files: Files, horizon: int) -> None:
        self._state, self._shelf, self._errands, self._files = state, shelf, errands, files
        self._horizon = horizon
        self._rolls: dict[int, asyncio.Task[None]] = {}

    def roll(self, slot: int, draft: Draft) -> None:
        """The columns say that the recording goes on in its next part: open that, and publish the one before."""
        self._shelf.roll(slot)
        self.resume(slot, draft)

    def resume(self, slot: int, draft: Draft) -> None:
        """Publish the part before, if there is one: an earlier worker may have died over it. Twice is once."""
        shelved, under_way = self._shelf.taps.get(slot), self._rolls.get(slot)
        if shelved is None or shelved.before is None or (under_way is not None and not under_way.done()):
            return
        self._rolls[slot] = self._errands.start(self._publish(slot, shelved, shelved.before.key, draft))

    async def rest(self, slot: int) -> None:
        """Wait for what is under way of this tap."""
        under_way = self._rolls.pop(slot, None)
        if under_way is not None:
            await under_way

    async def _publish(self, slot: int, shelved: Shelved, before: PartKey, draft: Draft) -> None:
        """All segments before this one are files already: only then was it begun (`Shelf.may_roll`)."""
        upto = shelved.part.key.first_frame
        record = self._state.live.taps[slot]
        anchor_ns, count = int(self._state.live.rows["anchor_wall_ns"][int(record["row"])]), int(record["notes"])
        self._shelf.write_logs()
        await self._shelf.behind()
        notes = await self._errands.insist("notes", read_notes, self._files, draft.recording_id, count)
        live, ticks = self._state.live, scale(record)
        known = interludes.pauses(notes, int(live.taps["turns"][slot]), live.taps_aside[slot], ticks)
        stretches = [*story.stretches(notes, ticks), *shelved.unwritten, *pauses.stretches(known, upto)]
        await self._errands.insist(
            "roll", rolls.roll, self._files, draft, (before,), upto, self._horizon * ticks, anchor_ns, stretches
        )
        self._shelf.close_before(shelved)
