"""The media path without a worker: state, pipeline and drain over parts that are written at once.

It does in one thread, in this order, what a worker does in three: a turn, its logs, a drain, the writes, the cursors
(rules K4, K6). Nothing has to survive its death, so the state lies in plain memory and no commit is asked of the disk:
the finish makes durable what it publishes (rule C4).
"""

import mmap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from receiver.archive import finish as finishing
from receiver.archive.files import Files
from receiver.archive.names import PartKey
from receiver.archive.part import Part
from receiver.archive.sidecar import Channel, Draft, Ending, Problem, Sidecar
from receiver.media.columns import NOTE, Policy
from receiver.media.drain import Drain
from receiver.media.pipeline import Datagrams, Pipeline
from receiver.media.sources import Source
from receiver.media.state import Shape, State
from receiver.media.taps import Taps, Wanted
from receiver.worker import story

Ints = NDArray[np.int64]
WINDOWS: Final = (6 * 8_000, 30 * 8_000)
"""Samples of ring: the daemon's, and where streams are few so many that a second of packets always has room."""
FINISHERS: Final = 8
PATCHES: Final = 4_096  # every packet of a slab may be late
RINGS: Final = 1 << 28
"""Octets for all rings, if that is more than the least of each."""


@dataclass
class _Open:
    """A recording under way; its parts by what they are beside its own (rule A12), which is 0."""

    draft: Draft
    parts: dict[int, Part]
    notes: list[Any] = field(default_factory=list)


class Engine:
    """So many taps at a time. Slots are 0..``slots`` − 1; the caller says which one a datagram is for."""

    def __init__(
        self, files: Files, slots: int, horizon: int, kinds: NDArray[np.uint8], mask_dtmf: bool = False
    ) -> None:
        # Rows of candidates (rule A3) come on top: a tap is refused its row as long as they hold too many
        shape = Shape.of(slots + max(64, slots // 4), min(max(RINGS // (2 * slots), WINDOWS[0]), WINDOWS[1]), 0)
        shape = shape._replace(patches=max(shape.patches, PATCHES))
        self._state = State(mmap.mmap(-1, State.needed(shape)[0]), shape)  # what is not used costs nothing
        self._state.allocated[:] = 1
        self._pipeline = Pipeline(self._state, horizon, kinds, [], mask_dtmf)
        self._drain = Drain(self._state, self._pipeline.timeline, horizon)
        self._taps = Taps(self._state, self._pipeline.joining)
        self._files, self._horizon = files, horizon
        self._open: dict[int, _Open] = {}
        self._finishers = ThreadPoolExecutor(FINISHERS, "finish")
        self._patches = self._notes = 0

    def open(self, slot: int, draft: Draft, source: Source, port: int, now_ns: int) -> bool:
        """Begin a recording of what comes from exactly this source; False where candidates of others have taken all
        rows. OSError where the disk does not take it."""
        row = self._taps.free_row()
        if row < 0:
            return False
        part = Part.create(self._files, PartKey(draft.recording_id, 0, 0, 0))
        self._taps.open(slot, Wanted(draft.recording_id, port, Policy.EXACT, source, False), row, now_ns)
        self._state.commit()
        self._open[slot] = _Open(draft, {0: part})
        return True

    def step(self, datagrams: Datagrams, now_ns: int, wall_offset_ns: int) -> None:
        """Run a slab of any length, in turns that its rings have room for (design, section 3.2); then what time alone
        decides, and what is ripe of the taps that nothing came for."""
        rest = np.arange(datagrams.size.size)
        while rest.size:
            found, inverse = np.unique(datagrams.tap[rest], return_inverse=True)
            slots: Ints = found.astype(np.int64)
            room = np.maximum(self._drain.room(slots), 1)
            order = np.argsort(inverse, kind="stable")
            begin = np.searchsorted(inverse[order], np.arange(slots.size))
            rank = np.empty(rest.size, np.int64)
            rank[order] = np.arange(rest.size) - begin[inverse[order]]
            fits = rank < room[inverse]
            some, rest = rest[fits], rest[~fits]
            until_ns = int(datagrams.arrival_ns[some].max()) if rest.size else now_ns
            part = datagrams if some.size == datagrams.size.size else _take(datagrams, some)
            self._pipeline.step(part, until_ns, wall_offset_ns)
            self._state.commit()
            if rest.size:
                self._settle(slots, until_ns)
        self._pipeline.sources.review(now_ns, now_ns + wall_offset_ns)
        self._settle(np.array(sorted(self._open), np.int64), now_ns)

    def close(
        self, slot: int, ending: Ending, now_ns: int, wall_ns: int, faults: tuple[Problem, ...],
        told: Callable[[Channel], Channel],
    ) -> "Future[Sidecar]":  # fmt: skip
        """End a recording; ``told`` may say more of its channel. The slot is free then, and the recording on its way to
        ready/, beside what comes next: the disk takes its time to make things durable."""
        mine = np.array([slot], np.int64)
        self._pipeline.sources.conclude(slot, now_ns, wall_ns)
        self._settle(mine, now_ns, ending=True)
        one, picture = self._open.pop(slot), self._taps.picture(slot)
        heard = bool(picture.tap["first_ns"])
        notes = np.array(one.notes, NOTE) if one.notes else np.empty(0, NOTE)
        rows = self._taps.rows(slot)
        edges = self._state.live.rows["edge"][rows].tolist()
        anchors = story.anchors(self._state, rows)
        further: list[int] = self._state.live.rows["further"][rows].tolist()
        of_each = [story.own(notes, number) for number in further]
        facts = finishing.Facts(
            draft=one.draft, parts=tuple(self._part(one, number).key for number in further),
            frames=tuple(map(self._pipeline.timeline.frame, rows, edges)) if heard else (0,),
            anchor_frame=self._horizon, anchor_ns=story.earliest(anchors), anchors=anchors,
            first_packet_ns=int(picture.tap["first_wall_ns"]) if heard else None, ended_ns=wall_ns, ending=ending,
            channels=tuple(
                told(story.channel(picture, notes, one.draft.channels[0], row if k else None))
                for k, row in enumerate(rows)
            ),
            stretches=tuple(each for k, these in enumerate(of_each) for each in story.stretches(these, k)),
            dtmf=tuple(digit for k, these in enumerate(of_each) for digit in story.digits(these, k)),
            noise=tuple(level for k, these in enumerate(of_each) for level in story.noises(these, k)),
            faults=(*story.faults(picture, len(notes)), *faults), problem=story.nothing(picture),
        )  # fmt: skip
        for part in one.parts.values():
            part.close()
        self._taps.forget(slot)
        self._state.commit()
        return self._finishers.submit(self._finish, facts)

    def _finish(self, facts: finishing.Facts) -> Sidecar:
        done = finishing.finish(self._files, facts)
        finishing.forget(self._files, facts.draft.recording_id)
        return done

    def shut(self) -> None:
        """Wait for what is on its way and let go of the rest; what lies in spool then is for rule C5."""
        self._finishers.shutdown()
        for one in self._open.values():
            for part in one.parts.values():
                part.close()
        self._open.clear()

    # -- inside

    def _settle(self, slots: Ints, now_ns: int, ending: bool = False) -> None:
        """The rest of a turn: drain, write, give the room back (rule K4). Patches go first, they are of blocks that are
        written already."""
        spans = self._drain.hand_on(slots, now_ns, ending)
        self._state.commit()
        self._write_logs()
        for tap, row, start, stop in spans:
            part = self._part(self._open[tap], int(self._state.live.rows["further"][row]))
            for block in self._drain.cut(tap, row, start, stop).blocks:
                part.write(part.octet_of(block.frame), (block.samples,))
            self._state.written[row] = self._state.committed[row] = stop
            self._drain.give_back(row)
        self._state.commit()  # room that was cleared counts from now on

    def _part(self, one: _Open, further: int) -> Part:
        """Where a row of a recording goes; one beside its own (rule A12) is made when the first of it is ripe."""
        if further not in one.parts:
            key = one.parts[0].key._replace(channel=further)
            one.parts[further] = Part.create(self._files, key)
        return one.parts[further]

    def _write_logs(self) -> None:
        """What came after its block, and what the recording must tell of itself."""
        state, journal = self._state, self._pipeline.journal
        for patch in journal.patches_since(self._patches):
            self._patches += 1
            one = self._open.get(int(patch["tap"]))
            if one is not None:
                part = self._part(one, int(patch["further"]))
                part.write(part.octet_of(int(patch["frame"])), (patch["samples"][: int(patch["count"])],))
        for record in journal.notes_since(self._notes):
            self._notes += 1
            one = self._open.get(int(record["tap"]))
            if one is not None:
                one.notes.append(record["note"].copy())
        state.patched[0] = state.patches_freed[0] = self._patches
        state.noted[0] = state.notes_freed[0] = self._notes


def _take(datagrams: Datagrams, which: Ints) -> Datagrams:
    columns: tuple[NDArray[Any], ...] = datagrams
    return Datagrams(*(column[which] for column in columns))
