"""How a recording ends: 100 ms of grace, the last read, the last drain, then its files go to ready/ (rules A16, C4)."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from receiver.archive import finish as finishing
from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.names import MOST_TAPS, PartKey
from receiver.archive.sidecar import Draft, Ending, Problem, Sidecar
from receiver.media.columns import Flaw, TapState
from receiver.media.state import Records, State
from receiver.media.taps import Picture, Taps
from receiver.media.timeline import Timeline
from receiver.worker import interludes, story, voices
from receiver.worker.clocks import by_channel
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
    """What is known of a recording when its last block is queued. By tap: ``pictures``; by channel: ``rows``,
    ``frames`` (one past the last one, in the part), ``anchors``."""

    draft: Draft
    ending: Ending
    problem: Problem | None
    faults: tuple[Problem, ...]
    pictures: list[Picture]
    wall_ns: int
    rows: list[int]
    frames: tuple[int, ...]
    anchors: tuple[int | None, ...]


class Closing:
    """Finishes recordings beside the tick."""

    def __init__(
        self, state: State, timeline: Timeline, intake: Intake, keeping: Keeping, taps: Taps, shelf: Shelf,
        rolling: Rolling, errands: Errands, files: Files, horizon: int, grace_s: float = GRACE_S,
    ) -> None:  # fmt: skip
        self._state, self._timeline, self._horizon, self._grace_s = state, timeline, horizon, grace_s
        self._intake, self._keeping, self._taps, self._shelf = intake, keeping, taps, shelf
        self._rolling, self._errands, self._files = rolling, errands, files

    async def close(
        self, slots: list[int], draft: Draft, ending: Ending, problem: Problem | None,
        faults: tuple[Problem, ...] = (),
    ) -> Sidecar:  # fmt: skip
        """Bring a recording to ready/, whose taps these are, by their channels. Done again after a death at any point,
        it ends with the same two names."""
        if (self._state.live.taps["state"][slots] != TapState.CLOSING).any():  # else a worker before us came so far
            await asyncio.sleep(self._grace_s)
            await self._read_rest(np.array(slots))
            for slot in slots:
                self._taps.close(slot)
            self._state.commit()
        done = await self._errands.insist("finish", finishing.finished, self._files, draft.recording_id)
        if done is None:
            done = await self._finish(slots, draft, ending, problem, faults)
        else:  # the worker before us published it and could not say so
            await self._errands.insist("sweep", self._sweep, slots, draft.recording_id)
        return done

    async def _finish(
        self, slots: list[int], draft: Draft, ending: Ending, problem: Problem | None, faults: tuple[Problem, ...]
    ) -> Sidecar:
        now_ns, offset_ns = clocks()
        self._keeping.end(np.array(slots), now_ns, now_ns + offset_ns)
        await self._shelf.decoded()
        self._intake.tell()  # keys that were still held
        # now: a later turn may bury streams in notes that are not written yet
        pictures = [self._taps.picture(slot) for slot in slots]
        rows = voices.rows(self._state, slots)
        end = End(
            draft, ending, problem, faults, pictures, now_ns + offset_ns, rows, tuple(map(self._frames, rows)),
            story.anchors(self._state, rows),
        )  # fmt: skip
        await self._shelf.behind()
        await self._rolling.rest(slots[0])
        done = await self._errands.insist("finish", self._bring, end, [self._shelf.taps[slot] for slot in slots])
        for slot in slots:
            self._shelf.remove(slot).close()
        return done

    def _frames(self, row: int) -> int:
        record = self._state.live.rows[row]
        tap = self._state.live.taps[int(record["tap"])]
        reached = self._timeline.frame(row, int(record["edge"])) if tap["first_ns"] else int(tap["segment_frame"])
        return reached * scale(tap)

    def _bring(self, end: End, shelved: list[Shelved]) -> Sidecar:
        """In a thread."""
        draft, pictures, ticks = end.draft, end.pictures, scale(end.pictures[0].tap)
        keys = [shelved[side].strands[further].part.key for side, further in self._whose(end)]
        numbers = {key.channel: number for number, key in enumerate(keys)}
        notes = [
            story.in_the_part(
                read_notes(self._files, draft.recording_id, int(picture.tap["notes"]), each.part.channel), ticks
            )
            for picture, each in zip(pictures, shelved, strict=True)
        ]
        told = [(k, story.own(notes[side], further)) for k, (side, further) in enumerate(self._whose(end))]
        heard = interludes.teller(end.anchors[: len(pictures)])
        heard_ns = [int(picture.tap["first_wall_ns"]) for picture in pictures if picture.tap["first_ns"]]
        faults = (story.faults(picture, len(mine)) for picture, mine in zip(pictures, notes, strict=True))
        facts = finishing.Facts(
            draft=draft, parts=tuple(keys), frames=end.frames,
            anchor_frame=self._horizon * ticks, anchor_ns=story.earliest(end.anchors), anchors=end.anchors,
            paces=by_channel([key.channel for key in keys], notes, self._streams(end), ticks),
            first_packet_ns=story.earliest(heard_ns), ended_ns=end.wall_ns, ending=end.ending,
            channels=tuple(
                story.channel(pictures[side], notes[side], draft.channels[side], row if further else None)
                for row, (side, further) in zip(end.rows, self._whose(end), strict=True)
            ),
            stretches=tuple(
                stretch for mine, each in zip(notes, shelved, strict=True)
                for stretch in voices.stretches(mine, each, numbers)
            ),
            pauses=interludes.pauses(notes[heard], int(pictures[heard].tap["turns"]), pictures[heard].aside, ticks),
            pauses_of=heard,
            dtmf=tuple(digit for channel, mine in told for digit in story.digits(mine, channel)),
            noise=tuple(level for channel, mine in told for level in story.noises(mine, channel)),
            faults=tuple(dict.fromkeys((*end.faults, *(fault for each in faults for fault in each)))),
            problem=end.problem or story.nothing(pictures[0]), notices=story.silent(pictures, draft),
        )  # fmt: skip
        return finishing.finish(self._files, facts)

    @staticmethod
    def _whose(end: End) -> list[tuple[int, int]]:
        """Of each channel, which of the recording's taps it is of, and the how-manieth beside its own."""
        own = [(side, 0) for side in range(len(end.pictures))]
        beside = {row: (side, int(each["further"])) for side, one in enumerate(end.pictures)
                  for row, each in one.further.items()}  # fmt: skip
        return [*own, *(beside[row] for row in end.rows[len(own) :])]

    def _streams(self, end: End) -> list[list[Records]]:
        """The streams of each channel."""
        sides = [side for side, _ in self._whose(end)]
        return [
            [stream for stream in end.pictures[side].streams if stream["row"] == row]
            for row, side in zip(end.rows, sides, strict=True)
        ]

    def _sweep(self, slots: list[int], recording_id: str) -> None:
        """In a thread: what a worker left in spool that died between publishing and sweeping."""
        live, parts = self._state.live, []
        for row in voices.rows(self._state, slots):
            record = live.rows[row]
            tap, further = live.taps[int(record["tap"])], int(record["further"])
            first = int((record if further else tap)["segment_frame"]) * scale(tap)
            parts.append(PartKey(recording_id, int(tap["channel"]) + MOST_TAPS * further, int(tap["segment"]), first))
        left = [file for part in parts for file in (part.name, names.notes(recording_id, part.channel))]
        finishing.sweep(self._files, recording_id, left, parts[0].segment)

    async def _read_rest(self, slots: Slots) -> None:
        """What the kernel still holds for a tap, also where its ring must be cleared first. A sender that goes on is
        not waited for."""
        for _ in range(MOST_READS):
            received = self._intake.read(slots, time.monotonic_ns(), every=True)
            if self._intake.starved.size:
                self._keeping.hurry(slots, time.monotonic_ns(), self._intake.known_ns)
                self._state.commit()  # room that was cleared counts from now on
                await asyncio.sleep(ROOM_S)  # a commit must return
            elif received:
                self._keeping.drain(slots, self._intake.known_ns)
            else:
                return
        if self._intake.starved.size:
            for slot in self._intake.starved.tolist():
                self._taps.blame(slot, Flaw.NO_ROOM)
