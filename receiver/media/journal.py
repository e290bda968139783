"""Two bounded logs on the memory for what must still reach a file: patches (rule K6) and notes (rule K8).

A record is written beyond the committed head; the head is part of the turn, so a turn that is run again writes the same
record at the same place. The writer thread raises ``patched``/``noted`` when a record is in its file, the commit raises
the ``freed`` cursors, and only then its place is used again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import Flaw, NoteKind
from receiver.media.state import Records, State


class Journal:
    """Appends to the patch log and the note log of a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def patch(self, tap: int, frame: int, sound: NDArray[np.int16], further: int = 0) -> bool:
        """Log one packet that came after its block; False, and counted, when the log is full."""
        state = self._state
        head = int(state.now.world["patches"][0])
        if head - int(state.patches_freed[0]) >= state.patch_log.size:
            state.now.world["patch_full"] += 1
            return False
        record = state.patch_log[head % state.patch_log.size]
        record["tap"], record["frame"], record["count"], record["further"] = tap, frame, sound.size, further
        record["samples"][: sound.size] = sound
        state.now.world["patches"] = head + 1
        return True

    def note(self, tap: int, kind: NoteKind, row: int | None = None, **fields: Any) -> None:
        """Log one note about a tap's recording; on a full log the newest are dropped, and the tap says so. ``row``
        tells of which of the tap's channels."""
        state = self._state
        head = int(state.now.world["notes"][0])
        state.touch("taps", tap)
        if head - int(state.notes_freed[0]) >= state.note_log.size:
            state.now.taps["flaws"][tap] |= Flaw.NOTES_LOST
            return
        slot = state.note_log[head % state.note_log.size]
        slot["tap"], slot["index"] = tap, state.now.taps["notes"][tap]
        slot["note"] = np.zeros((), slot["note"].dtype)
        slot["note"]["kind"] = kind
        slot["note"]["channel"] = 0 if row is None else state.now.rows["further"][row]
        for name, value in fields.items():
            slot["note"][name] = value
        state.now.taps["notes"][tap] += 1
        state.now.world["notes"] = head + 1

    def note_each(
        self, taps: NDArray[np.int32], kind: NoteKind, rows: NDArray[np.int32], **columns: NDArray[Any]
    ) -> None:
        """The same for many taps at once, element *i* of each column for tap *i*."""
        state = self._state
        head, log = int(state.now.world["notes"][0]), state.note_log
        room = log.size - (head - int(state.notes_freed[0]))
        if taps.size > room or np.unique(taps).size < taps.size:
            for k, tap in enumerate(taps.tolist()):
                self.note(tap, kind, int(rows[k]), **{name: column[k] for name, column in columns.items()})
            return
        state.touch("taps", taps)
        slots = np.zeros(taps.size, log.dtype)
        slots["tap"], slots["index"], slots["note"]["kind"] = taps, state.now.taps["notes"][taps], kind
        slots["note"]["channel"] = state.now.rows["further"][rows]
        for name, column in columns.items():
            slots["note"][name] = column
        log[(head + np.arange(taps.size)) % log.size] = slots
        state.now.taps["notes"][taps] += 1
        state.now.world["notes"] = head + taps.size

    def patches_since(self, number: int) -> list[Records]:
        """Committed patch records from ``number`` on, in order."""
        log = self._state.patch_log
        return [log[k % log.size] for k in range(number, int(self._state.live.world["patches"][0]))]

    def notes_since(self, number: int) -> list[Records]:
        """Committed note slots from ``number`` on, in order."""
        log = self._state.note_log
        return [log[k % log.size] for k in range(number, int(self._state.live.world["notes"][0]))]
