"""What the disk refused: it is blamed on its taps, kept out of the ring's way, and said seldom (promise P3, rule C3).

Nothing is tried again here: the recording goes on, what is missing is in its list of gaps, its outcome is ``degraded``.
"""

from typing import Final

import numpy as np
import structlog

from receiver.archive.gaps import Stretch
from receiver.archive.part import FRAME_OCTETS, Part
from receiver.archive.sidecar import Reason
from receiver.archive.writer import Mark, Write
from receiver.media.columns import Flaw
from receiver.media.state import State
from receiver.media.taps import Damage, Taps
from receiver.worker.keeping import Keeping
from receiver.worker.shelf import Shelf, Shelved

SELDOM_NS: Final = 60_000_000_000
log = structlog.get_logger("worker")


class Mishaps:
    """Called in the loop, for what other threads met."""

    def __init__(self, state: State, taps: Taps, shelf: Shelf, keeping: Keeping) -> None:
        self._state, self._taps, self._shelf, self._keeping = state, taps, shelf, keeping
        self._said_ns: dict[str, int] = {}
        self._unsaid: dict[str, int] = {}

    def unwritten(self, write: Write, error: Exception, now_ns: int) -> None:
        """These octets are on no disk. The ring gives their room back all the same."""
        self._say("write failed", error, now_ns, file=write.file.name, hint="what is missing will be a gap")
        slot = self._shelf.slot_of(write.file)
        if slot is not None:
            self._taps.blame(slot, Damage.WRITE_FAILED if isinstance(write.file, Part) else Flaw.NOTES_LOST)
            _remember(self._shelf.taps[slot], write)
        rows = [write.index] if slot is not None and write.cursor is self._state.written else []
        self._keeping.give_back_late(rows)

    def unsafe(self, marks: list[Mark], error: OSError, now_ns: int) -> None:
        """A commit failed: nobody can vouch for what it was to keep; no sync is repeated (rule C3)."""
        self._say("commit failed", error, now_ns, files=len(marks), hint="these recordings will be degraded")
        found = {slot for mark in marks if (slot := self._shelf.slot_of(mark.file)) is not None}
        for slot in found:
            self._taps.blame(slot, Damage.SYNC_FAILED)
        self._keeping.give_back_late(self._keeping.rows(np.array(sorted(found), np.int64)))
        self._keeping.free_logs()

    def _say(self, what: str, error: Exception, now_ns: int, **more: object) -> None:
        """At once, then once a minute with how often it was: a line for each tap would fill the next disk."""
        if now_ns - self._said_ns.get(what, now_ns - SELDOM_NS) < SELDOM_NS:
            self._unsaid[what] = self._unsaid.get(what, 0) + 1
            return
        self._said_ns[what] = now_ns
        log.error(what, error=str(error), unsaid=self._unsaid.pop(what, 0), **more)


def _remember(shelved: Shelved, write: Write) -> None:
    """Which frames they were, for the list of gaps."""
    if not isinstance(write.file, Part):
        return
    frame = write.file.key.first_frame + write.octet // FRAME_OCTETS
    frames = sum(np.frombuffer(piece, np.uint8).size for piece in write.pieces) // FRAME_OCTETS
    last = shelved.unwritten[-1] if shelved.unwritten else None
    if last is not None and last.frame + last.frames == frame:
        shelved.unwritten[-1] = last._replace(frames=last.frames + frames)
    else:
        shelved.unwritten.append(Stretch(frame, frames, write.file.channel, Reason.WRITE_FAILED))
