"""How a recording ends: 100 ms of grace, the last read, the last drain, then its files go to ready/ (rules A16, C4)."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import numpy as np
import structlog

from receiver.archive import finish as finishing
from receiver.archive import names
from receiver.archive import roll as rolling
from receiver.archive.files import Files
from receiver.archive.gaps import Stretch
from receiver.archive.sidecar import Draft, Ending, Problem, Reason, Sidecar
from receiver.media.columns import NOTE
from receiver.media.state import Records, State
from receiver.media.taps import Picture, Taps
from receiver.media.timeline import Timeline
from receiver.worker import story
from receiver.worker.intake import Intake, Slots
from receiver.worker.keeping import Keeping
from receiver.worker.shelf import Shelf, Shelved

GRACE_S: Final = 0.1  # rule A16
AGAIN_S: Final = 5.0
AT_ONCE: Final = 2  # finishes under way: they read and hash whole recordings beside the tick
MOST_READS: Final = 200  # of 64 datagrams: more than any socket buffer holds, and time for a late commit
ROOM_S: Final = 0.05
Result = TypeVar("Result")
log = structlog.get_logger("worker")


class Closing:
    """Finishes recordings, a few at a time, outside the tick."""

    def __init__(
        self, state: State, timeline: Timeline, intake: Intake, keeping: Keeping, taps: Taps, shelf: Shelf, files: Files,
        horizon: int,
    ) -> None:  # fmt: skip
        self._state, self._timeline, self._horizon = state, timeline, horizon
        self._intake, self._keeping, self._taps, self._shelf = intake, keeping, taps, shelf
        self._files = files
        self._threads = ThreadPoolExecutor(AT_ONCE, "finish")
        self._rolls: dict[int, asyncio.Future[None]] = {}

    async def close(self, slot: int, draft: Draft, ending: Ending, problem: Problem | None) -> Sidecar:
        """Bring a recording to ready/. Done again after a death, it ends with the same two names."""
        done = finishing.finished(self._files, draft.recording_id)
        if done is not None:  # the worker before us came so far and could not say it
            return done
        await asyncio.sleep(GRACE_S)
        await self._read_rest(np.array([slot]))
        self._intake.pause(slot)
        self._keeping.drain(np.array([slot]), time.monotonic_ns(), ending=True)
        await self._behind_writer()
        if slot in self._rolls:
            await self._rolls.pop(slot)
        picture, shelved = self._taps.picture(slot), self._shelf.remove(slot)
        notes = await self._in_thread(self._notes, draft, int(picture.tap["notes"]))
        facts = self._facts(picture, shelved, notes, draft, ending, problem)
        done = await self._insist(finishing.finish, self._files, facts)
        shelved.close()
        return done

    def roll(self, slot: int, draft: Draft) -> None:
        """Rule C7: the part that is complete behind what was queued becomes a WAV of its own, while the tap goes on."""
        old, earlier = self._shelf.roll(slot), self._rolls.get(slot)
        record, row = self._state.live.taps[slot], int(self._state.live.taps["row"][slot])
        upto, anchor_ns = int(record["segment_frame"]), int(self._state.live.rows["anchor_wall_ns"][row])

        async def behind() -> None:
            await self._behind_writer()
            if earlier is not None:
                await earlier
            notes = await self._in_thread(self._notes, draft, int(record["notes"]))
            stretches = self._stretches(notes)
            keys = (old.key,)
            await self._insist(rolling.roll, self._files, draft, keys, upto, self._horizon, anchor_ns, stretches)
            self._shelf.close_before(slot, old)

        self._rolls[slot] = asyncio.ensure_future(behind())

    async def _read_rest(self, slots: Slots) -> None:
        """What the kernel still holds for a tap, also where its ring must be cleared first. A sender that goes on is
        not waited for."""
        for _ in range(MOST_READS):
            received = self._intake.read(slots, time.monotonic_ns(), every=True)
            if self._intake.starved.size:
                self._keeping.hurry(slots, time.monotonic_ns())
                await asyncio.sleep(ROOM_S)  # a commit must return, and its room be cleared
            elif received:
                self._keeping.drain(slots, time.monotonic_ns())
            else:
                return

    def _facts(
        self, picture: Picture, shelved: Shelved, notes: Records, draft: Draft, ending: Ending, problem: Problem | None
    ) -> finishing.Facts:
        tap, heard = picture.tap, bool(picture.tap["first_ns"])
        edge = self._timeline.frame(int(tap["row"]), int(picture.row["edge"])) if heard else 0
        return finishing.Facts(
            draft=draft, parts=(shelved.part.key,), frames=(edge,),
            anchor_frame=self._horizon, anchor_ns=int(picture.row["anchor_wall_ns"]) if heard else None,
            first_packet_ns=int(tap["first_wall_ns"]) if heard else None, ended_ns=time.time_ns(), ending=ending,
            channels=(story.channel(picture, notes, draft.channels[0]),), stretches=self._stretches(notes),
            faults=story.faults(picture, shelved.faults), problem=problem or story.nothing(picture),
        )  # fmt: skip

    @staticmethod
    def _stretches(notes: Records) -> tuple[Stretch, ...]:
        return tuple(Stretch(*span, 0, Reason.NOT_SENT) for span in story.stretches(notes))

    def _notes(self, draft: Draft, count: int) -> Records:
        if not count:
            return np.empty(0, NOTE)
        octets = self._files.read(names.notes(draft.recording_id))
        return np.frombuffer(octets[: count * NOTE.itemsize], NOTE)

    async def _behind_writer(self) -> None:
        """Wait until everything that was queued so far is in its file."""
        loop, behind = asyncio.get_running_loop(), asyncio.Event()
        self._shelf.writer.call(lambda: loop.call_soon_threadsafe(behind.set))
        await behind.wait()

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _insist(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Until the disk lets it be done: nothing recorded is lost by an error, the parts stay in spool meanwhile."""
        while True:
            try:
                return await self._in_thread(work, *arguments)
            except OSError as error:
                log.error("finish failed, tried again soon", error=str(error), seconds=AGAIN_S)
            await asyncio.sleep(AGAIN_S)
