"""Rule C7: a long recording becomes several files, one after the other, while its taps go on."""

import asyncio
from collections.abc import Sequence
from typing import Final

from receiver.archive import pauses
from receiver.archive import roll as rolls
from receiver.archive.files import Files
from receiver.archive.gaps import Stretch
from receiver.archive.names import PartKey
from receiver.archive.sidecar import Draft, Reason
from receiver.media.columns import TapState
from receiver.media.cutting import SETTLED_NS
from receiver.media.state import Records, State
from receiver.media.timeline import Timeline
from receiver.worker import interludes, story, voices
from receiver.worker.clocks import by_channel
from receiver.worker.errands import Errands
from receiver.worker.intake import Slots
from receiver.worker.shelf import Shelf, read_notes, scale

LOOK_AGAIN_S: Final = 0.1


class Rolling:
    """Brings the parts before the present ones to ready/, beside the tick. A recording's taps go together."""

    def __init__(
        self, state: State, timeline: Timeline, shelf: Shelf, errands: Errands, files: Files, horizon: int,
        known_ns: Slots,
    ) -> None:  # fmt: skip
        self._state, self._timeline, self._shelf, self._errands, self._files = state, timeline, shelf, errands, files
        self._horizon, self._known_ns = horizon, known_ns
        self._rolls: dict[int, asyncio.Task[None]] = {}  # by the recording's first tap

    def roll(self, slots: Sequence[int], draft: Draft) -> None:
        """The columns say that the recording goes on in its next parts: open them, and publish those before."""
        for slot in slots:
            self._shelf.roll(slot)
        self.resume(slots[0], draft)

    def resume(self, slot: int, draft: Draft) -> None:
        """Publish the parts before, if there are any: an earlier worker may have died over it. Twice is once."""
        slots = self._shelf.beside(slot) if slot in self._shelf.taps else []
        if not any(self._shelf.taps[each].is_rolling for each in slots):
            return
        under_way = self._rolls.get(slots[0])
        if under_way is None or under_way.done():
            self._rolls[slots[0]] = self._errands.start(self._publish(slots, draft))

    async def rest(self, slot: int) -> None:
        """Wait for what is under way of this recording."""
        under_way = self._rolls.pop(self._shelf.beside(slot)[0], None)
        if under_way is not None:
            await under_way

    async def _publish(self, slots: list[int], draft: Draft) -> None:
        """All segments before this one are files already: only then was it begun (`Shelf.may_roll`)."""
        shelved = [self._shelf.taps[slot] for slot in slots]
        rows = voices.rows(self._state, slots)
        tap_of = self._state.live.rows["tap"]
        strands = [self._shelf.strand(int(tap_of[row]), row) for row in rows]
        there = [k for k, strand in enumerate(strands) if k < len(slots) or strand.before is not None]
        rows, strands = [rows[k] for k in there], [strands[k] for k in there]
        ends = [strand.part.key.first_frame for strand in strands]
        before = [_before(strand.part.key, strand.before.key if strand.before else None) for strand in strands]
        while len(rows) > 1 and not all(map(self._has_passed, rows, ends)):  # noqa: ASYNC110  # of columns
            await asyncio.sleep(LOOK_AGAIN_S)
        anchors, counts = story.anchors(self._state, rows), self._state.live.taps["notes"][slots].tolist()
        reached = [
            min(max(self._reached(row), key.first_frame), end)
            for row, key, end in zip(rows, before, ends, strict=True)
        ]  # fmt: skip
        self._shelf.write_logs()
        await self._shelf.behind()
        ticks = scale(self._state.live.taps[slots[0]])
        stretches = [  # one that fell silent was cut where the others were: nothing of it was to be written there
            Stretch(frame, end - frame, number, Reason.NOT_SENT)
            for number, (frame, end) in enumerate(zip(reached, ends, strict=True)) if frame < end
        ]  # fmt: skip
        numbers = {key.channel: number for number, key in enumerate(before)}
        noted: dict[int, Records] = {}
        live = self._state.live
        teller = shelved[interludes.teller(anchors[: len(slots)])]
        for slot, each, count in zip(slots, shelved, counts, strict=True):
            notes = await self._errands.insist(
                "notes", read_notes, self._files, draft.recording_id, count, each.part.channel
            )
            notes = story.in_the_part(notes, ticks)
            stretches += voices.stretches(notes, each, numbers)
            noted[each.part.channel] = notes
            number = numbers[each.part.channel]
            if each is teller:
                known = interludes.pauses(notes, int(live.taps["turns"][slot]), live.taps_aside[slot], ticks)
                stretches += [it._replace(channel=number) for it in pauses.stretches(known, ends[number])]
        await self._errands.insist(
            "roll", rolls.roll, self._files, draft, before, ends, self._horizon * ticks, story.earliest(anchors),
            stretches, reached, anchors, by_channel(list(numbers), noted),
        )  # fmt: skip
        for each in shelved:
            self._shelf.close_before(each)

    def _reached(self, row: int) -> int:
        """One past the last frame that was handed on, in the part."""
        record = self._state.live.rows[row]
        last = self._timeline.frame(row, int(record["playout"]) - 1)
        return (last + 1) * scale(self._state.live.taps[int(record["tap"])])

    def _has_passed(self, row: int, frame: int) -> bool:
        """Whether all that lies before a frame was handed on: a channel is cut where the others were, ahead of what it
        was handed on up to then (`receiver.media.cutting`)."""
        live = self._state.live
        record, slot = live.rows[row], int(live.rows["tap"][row])
        tap = live.taps[slot]
        heard_ns = live.streams["heard_ns"][record["stream"]] if record["further"] else tap["heard_ns"]
        playout = self._timeline.frame(row, int(record["playout"])) * scale(tap)
        silent = int(self._known_ns[slot]) - int(heard_ns) > SETTLED_NS
        over = silent or tap["state"] in (TapState.CLOSING, TapState.FINISHED)
        return playout >= frame or (over and bool(record["playout"] >= record["edge"]))  # its last drain may still come


def _before(present: PartKey, before: PartKey | None) -> PartKey:
    """The part before; of a channel whose file was taken away after it was published, by name alone."""
    return before or PartKey(present.recording_id, present.channel, present.segment - 1, 0)
