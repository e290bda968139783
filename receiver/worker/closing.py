"""How a recording ends: 100 ms of grace, the last read, the last drain, then its files go to ready/ (rules A16, C4)."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from receiver.archive import finish as finishing
from receiver.archive.files import Files
from receiver.archive.names import PartKey
from receiver.archive.sidecar import Draft, Ending, Problem, Sidecar
from receiver.media.columns import Flaw, TapState
from receiver.media.state import State
from receiver.media.taps import Picture, Taps
from receiver.media.timeline import Timeline
from receiver.worker import interludes, story
from receiver.worker.errands import Errands
from receiver.worker.intake import Intake, Slots, clocks
from receiver.worker.keeping import Keeping
from receiver.worker.rolling import Rolling
from receiver.worker.shelf import Shelf, Shelved, read_notes, scale

GRACE_S: Final = 0.1  # rule A16
MOST_READS: Final = 200  # of 64 datagrams: more than any socket buffer holds, and time for a late commit
ROOM_S: Final = 0.05


@dataclass(frozen=True)
class End:
    """What is known of a recording when its last block is queued. ``frames``: one past its last one, in the row."""

    draft: Draft
    ending: Ending
    problem: Problem | None
    picture: Picture
    wall_ns: int
    frames: int


class Closing:
    """Finishes recordings beside the tick."""

    def __init__(
        self, state: State, timeline: Timeline, intake: Intake, keeping: Keeping, taps: Taps, shelf: Shelf,
        rolling: Rolling, errands: Errands, files: Files, horizon: int, grace_s: float = GRACE_S,
    ) -> None:  # fmt: skip
        self._state, self._timeline, self._horizon, self._grace_s = state, timeline, horizon, grace_s
        self._intake, self._keeping, self._taps, self._shelf = intake, keeping, taps, shelf
        self._rolling, self._errands, self._files = rolling, errands, files

    async def close(self, slot: int, draft: Draft, ending: Ending, problem: Problem | None) -> Sidecar:
        """Bring a recording to ready/. Done again after a death at any point, it ends with the same two names."""
        if self._state.live.taps["state"][slot] != TapState.CLOSING:  # else a worker before us came so far
            await asyncio.sleep(self._grace_s)
            await self._read_rest(np.array([slot]))
            self._taps.close(slot)
            self._state.commit()
        done = await self._errands.insist("finish", finishing.finished, self._files, draft.recording_id)
        if done is None:
            done = await self._finish(slot, draft, ending, problem)
        else:  # the worker before us published it and could not say so
            await self._errands.insist("sweep", self._sweep, slot, draft.recording_id)
        return done

    async def _finish(self, slot: int, draft: Draft, ending: Ending, problem: Problem | None) -> Sidecar:
        now_ns, offset_ns = clocks()
        self._keeping.end(np.array([slot]), now_ns, now_ns + offset_ns)
        await self._shelf.decoded()
        self._intake.tell()  # keys that were still held
        picture = self._taps.picture(slot)  # now: a later turn may bury streams in notes that are not written yet
        heard = bool(picture.tap["first_ns"])
        end = End(
            draft, ending, problem, picture, now_ns + offset_ns,
            frames=self._timeline.frame(int(picture.tap["row"]), int(picture.row["edge"])) if heard else 0,
        )  # fmt: skip
        await self._shelf.behind()
        await self._rolling.rest(slot)
        done = await self._errands.insist("finish", self._bring, end, self._shelf.taps[slot])
        self._shelf.remove(slot).close()
        return done

    def _bring(self, end: End, shelved: Shelved) -> Sidecar:
        """In a thread."""
        tap, row, draft = end.picture.tap, end.picture.row, end.draft
        notes = read_notes(self._files, draft.recording_id, int(tap["notes"]))
        heard, ticks = bool(tap["first_ns"]), scale(tap)
        facts = finishing.Facts(
            draft=draft, parts=(shelved.part.key,), frames=(end.frames * ticks,),
            anchor_frame=self._horizon * ticks, anchor_ns=int(row["anchor_wall_ns"]) if heard else None,
            first_packet_ns=int(tap["first_wall_ns"]) if heard else None, ended_ns=end.wall_ns, ending=end.ending,
            channels=(story.channel(end.picture, notes, draft.channels[0]),),
            stretches=(*story.stretches(notes, ticks), *shelved.unwritten),
            pauses=interludes.pauses(notes, int(tap["turns"]), end.picture.aside, ticks),
            dtmf=story.digits(notes, ticks), noise=story.noises(notes, ticks),
            faults=story.faults(end.picture, len(notes)), problem=end.problem or story.nothing(end.picture),
        )  # fmt: skip
        return finishing.finish(self._files, facts)

    def _sweep(self, slot: int, recording_id: str) -> None:
        """In a thread: what a worker left in spool that died between publishing and sweeping."""
        tap = self._state.live.taps[slot]
        part = PartKey(recording_id, 0, int(tap["segment"]), int(tap["segment_frame"]) * scale(tap))
        finishing.sweep(self._files, recording_id, [part.name], part.segment)

    async def _read_rest(self, slots: Slots) -> None:
        """What the kernel still holds for a tap, also where its ring must be cleared first. A sender that goes on is
        not waited for."""
        for _ in range(MOST_READS):
            received = self._intake.read(slots, time.monotonic_ns(), every=True)
            if self._intake.starved.size:
                self._keeping.hurry(slots, time.monotonic_ns())
                self._state.commit()  # room that was cleared counts from now on
                await asyncio.sleep(ROOM_S)  # a commit must return
            elif received:
                self._keeping.drain(slots, time.monotonic_ns())
            else:
                return
        if self._intake.starved.size:
            self._taps.blame(int(slots[0]), Flaw.NO_ROOM)
