"""A tap's way through the columns: opened, answered, heard, forgotten. Each verb is part of the present turn.

Who wants to know what a tap was asks ``picture``; it reads the committed columns only.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from receiver.media.columns import Policy, Role, TapState
from receiver.media.joining import Joining
from receiver.media.sources import Source
from receiver.media.state import PACKED, SOUND, Records, State


class Damage(IntEnum):
    """What became of a tap's samples behind this room: bits of the column ``flaws`` above those of `Flaw`.

    Nobody here sets them; they lie in the column because they must survive whoever found out (rule K8).
    """

    WRITE_FAILED = 1 << 16
    SYNC_FAILED = 1 << 17
    NOT_DECODED = 1 << 18


class Wanted(NamedTuple):
    """What a tap was opened with. ``announced`` with port 0 means any port of that address; ``channel`` is the one of
    its recording that it is. ``opus``: the payload type that was announced for it; 0: G.711."""

    recording: str
    port: int
    policy: Policy
    announced: Source
    held: bool
    channel: int = 0
    suite: int = 0  # wire.srtp.Suite; 0: plain RTP
    opus: int = 0


class Picture(NamedTuple):
    """A finished tap as columns: its own record and aside, its row, and the streams that were not buried yet, oldest
    first.

    ``further`` are the rows beside its own (rule A12), by their numbers.
    """

    tap: Any
    row: Any
    streams: list[Any]
    aside: Any = None
    further: Mapping[int, Any] = MappingProxyType({})


class Taps:
    """The verbs."""

    def __init__(self, state: State, joining: Joining) -> None:
        self._state, self._joining = state, joining

    def free_row(self, but: Sequence[int] = (), sparing: bool = True, packed: bool = False) -> int:
        """A row for a new tap, those of ``but`` left aside, and with ``sparing`` the spare ones; its memory may still
        have to be allocated. Preferably one that has room for packets, or has none, as ``packed`` says. -1: none."""
        state = self._state
        idle = (state.now.rows["tap"] < 0) & (state.live.rows["tap"] < 0)
        idle[list(but)] = False
        ready = np.flatnonzero(idle & (state.allocated != 0))
        spare = state.shape.rows - state.shape.taps if sparing else 0
        if ready.size > spare:
            alike = ready[state.allocated[ready] == (PACKED if packed else SOUND)]
            return int(alike[-1] if alike.size else ready[-1])
        new = np.flatnonzero(idle & (state.allocated == 0))
        return int(new[0]) if new.size else -1

    def open(self, tap: int, wanted: Wanted, row: int, now_ns: int) -> None:
        """Take a slot; nothing is left in it of whoever had it before (P5). The row must be idle and allocated."""
        if self._state.now.taps["state"][tap] != TapState.FREE:
            self._joining.release(tap)
        self._state.wipe("taps", tap)
        record = self._state.now.taps[tap]
        record["recording"], record["port"] = wanted.recording, wanted.port
        record["policy"], record["announced"] = wanted.policy, tuple(wanted.announced)
        record["stream"], record["row"], record["channel"] = -1, row, wanted.channel
        record["suite"] = wanted.suite
        self._state.wipe("contexts", tap)
        record["state"] = TapState.HELD if wanted.held else TapState.OPEN
        record["answered_ns"] = record["ticked_ns"] = now_ns
        record["opus"] = wanted.opus
        self._state.now.world["opus"] += wanted.opus > 0
        self._joining.give_row(tap, row)

    def holds(self, tap: int, recording: str) -> TapState:
        """Where this recording stands in this slot; FREE also where another one has it."""
        record = self._state.live.taps[tap]
        return TapState(int(record["state"])) if record["recording"] == recording.encode() else TapState.FREE

    def of(self, recording: str) -> list[int]:
        """The taps that a recording has, by their channels."""
        taps = self._state.live.taps
        mine = np.flatnonzero((taps["recording"] == recording.encode()) & (taps["state"] != TapState.FREE))
        return sorted(mine.tolist(), key=lambda tap: int(taps["channel"][tap]))

    def answer(self, tap: int, announced: Source | None, now_ns: int) -> None:
        """Rule B1: the relay's answer is there; the socket is read from now on."""
        self._state.touch("taps", tap)
        record = self._state.now.taps[tap]
        if announced is not None:
            record["announced"] = tuple(announced)
        record["state"], record["answered_ns"] = TapState.OPEN, now_ns

    def close(self, tap: int) -> None:
        """Rule A16: nothing that comes from now on is of this recording; its socket is not read any more."""
        self._state.touch("taps", tap)
        self._state.now.taps["state"][tap] = TapState.CLOSING

    def roll(self, tap: int, frame: int) -> None:
        """Rule C7: from this frame on the recording goes on in its next part."""
        self._state.touch("taps", tap)
        record = self._state.now.taps[tap]
        record["segment"] += 1
        record["segment_before"] = record["segment_frame"]
        record["segment_frame"] = frame

    def roll_further(self, row: int, frame: int) -> None:
        """The same for one of its channels beside its own (rule A12)."""
        self._state.touch("rows", row)
        record = self._state.now.rows[row]
        record["segment_before"], record["segment_frame"] = record["segment_frame"], frame

    def rows(self, tap: int) -> list[int]:
        """Those that are handed on, in the present turn: its own, then further ones."""
        return [int(self._state.now.taps["row"][tap]), *self._joining.census.further(tap)]

    def blame(self, tap: int, flaw: int) -> None:
        """Note why this tap cannot be ``complete``: a `Flaw` or a `Damage`."""
        self._state.touch("taps", tap)
        self._state.now.taps["flaws"][tap] |= flaw

    def forget(self, tap: int) -> None:
        """Its files are in ready/ and control has booked them: rows, streams and the slot are free again."""
        self._state.touch("taps", tap)
        self._joining.release(tap)
        self._state.now.taps["state"][tap] = TapState.FREE

    def picture(self, tap: int) -> Picture:
        """Copies of all that the columns know of a tap."""
        live = self._state.live
        record = live.taps[tap].copy()
        row = live.rows[int(record["row"])].copy()
        mine = np.flatnonzero((live.streams["tap"] == tap) & (live.streams["role"] >= Role.LIVE))
        streams: list[Records] = [live.streams[s].copy() for s in mine]
        further = {row: live.rows[row].copy() for row in np.flatnonzero(live.rows["tap"] == tap).tolist()}
        beside = {number: each for number, each in further.items() if each["further"]}
        oldest_first = sorted(streams, key=lambda stream: int(stream["born_ns"]))
        return Picture(record, row, oldest_first, live.taps_aside[tap].copy(), beside)
