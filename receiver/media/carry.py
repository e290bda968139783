"""A tap out of one memory and into another: what a next version, or other settings, need to go on with it (rule D7).

Columns are told by their names, so a version that knows more of them, or fewer, or has them elsewhere, understands what
it knows. Numbers of rows and streams are told relative to the tap. Of the ring goes along what is not in the part yet:
[playout, edge) of every row, those of candidates with it, so probation costs no sound here either (rule A3).

`pack` reads committed columns; `unpack` is part of the present turn, and done again it does the same.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from receiver.media.census import NOBODY
from receiver.media.columns import Role
from receiver.media.joining import Joining
from receiver.media.state import Records, State
from receiver.media.timeline import Timeline

Carried = dict[str, Any]
"""``tap``: its columns; ``rows``: columns and samples of each; ``streams``: columns; ``context``: columns of a tap with
a key. Plain values and octets."""

SAMPLE: Final = np.dtype("<i2")


class Carry:
    """Takes taps out of a state and puts them into one."""

    def __init__(self, state: State, timeline: Timeline, joining: Joining) -> None:
        self._state, self._timeline, self._joining = state, timeline, joining

    def pack(self, slot: int) -> Carried:
        """All that the committed columns and the ring know of a tap."""
        live = self._state.live
        rows = np.flatnonzero(live.rows["tap"] == slot).tolist()
        streams = np.flatnonzero((live.streams["tap"] == slot) & (live.streams["role"] != Role.FREE)).tolist()
        numbers = {row: number for number, row in enumerate(rows)}
        order = {stream: number for number, stream in enumerate(streams)}
        tap = _plain(live.taps, slot) | _plain(live.taps_aside, slot)
        tap["row"], tap["stream"] = numbers.get(tap["row"], NOBODY), order.get(tap["stream"], NOBODY)
        carried = [_plain(live.streams, stream) | _plain(live.streams_aside, stream) for stream in streams]
        for stream in carried:
            stream["row"] = numbers.get(stream["row"], NOBODY)
        carried_rows = [self._row(row) for row in rows]
        for each in carried_rows:
            each["stream"] = order.get(each["stream"], NOBODY) if each["further"] else NOBODY
        told = {"tap": tap, "rows": carried_rows, "streams": carried}
        return told | {"context": _plain(live.contexts, slot)} if tap["suite"] else told

    def unpack(self, slot: int, carried: Carried, rows: Sequence[int]) -> None:
        """Put a tap into a free slot; ``rows`` are idle and allocated, one for each of its own.

        Raises ``ValueError`` for one that does not fit here: its ring was longer, or there are too few streams left.
        Nothing is changed then.
        """
        state, now, census = self._state, self._state.now, self._joining.census
        if any(len(row["samples"]) > state.shape.window * SAMPLE.itemsize for row in carried["rows"]):
            raise ValueError("its ring is longer than [media].window_ms allows now")
        streams = [census.enrol(slot) for _ in carried["streams"]]
        if NOBODY in streams:
            for stream in streams:
                if stream != NOBODY:
                    census.leave(stream)
            raise ValueError("no stream is left for it")
        state.wipe("taps", slot)
        _fill(now.taps, slot, carried["tap"])
        _fill(now.taps_aside, slot, carried["tap"])
        state.wipe("contexts", slot)
        _fill(now.contexts, slot, carried.get("context", {}))
        now.taps["row"][slot] = _chosen(rows, carried["tap"]["row"])
        now.taps["stream"][slot] = _chosen(streams, carried["tap"]["stream"])
        for row, told in zip(rows, carried["rows"], strict=True):
            self._put_row(slot, row, told)
        for row, told in zip(rows, carried["rows"], strict=True):
            now.rows["stream"][row] = _chosen(streams, told.get("stream", NOBODY))
        for stream, told in zip(streams, carried["streams"], strict=True):
            state.wipe("streams", stream)
            _fill(now.streams, stream, told)
            _fill(now.streams_aside, stream, told)
            now.streams["tap"][stream], now.streams["row"][stream] = slot, _chosen(rows, told["row"])

    def _row(self, row: int) -> dict[str, Any]:
        told = _plain(self._state.live.rows, row)
        start = told["playout"]
        if told["packed"]:  # what was not decoded yet is handed on again, and what a decoder needs before it goes along
            told["playout"] = int(self._state.written[row])
            start = max(int(self._state.cleared[row]), told["playout"] - self._timeline.packets.preroll)
            told |= {"start": start, "packets": self._timeline.packed(row, start, told["edge"])}
        pieces = self._timeline.views(row, start, told["edge"])
        return told | {"samples": b"".join(piece.astype(SAMPLE).tobytes() for piece in pieces)}

    def _put_row(self, slot: int, row: int, told: dict[str, Any]) -> None:
        """What lies below ``playout`` is in the part, so all four cursors stand there (rule K4)."""
        state, playout = self._state, told["playout"]
        state.wipe("rows", row)
        _fill(state.now.rows, row, told)
        start = told.get("start", playout)
        self._timeline.hand_out(row, start)
        state.written[row] = state.committed[row] = playout
        if told.get("packed"):
            state.now.world["opus"] += 1
            self._timeline.packets.write(row, *told["packets"])
        state.now.rows["tap"][row] = slot
        samples = np.frombuffer(told["samples"], SAMPLE)
        taken = 0
        for piece in self._timeline.views(row, start, start + samples.size):
            piece[:] = samples[taken : taken + piece.size]
            taken += piece.size


def _chosen(numbers: Sequence[int], which: int) -> int:
    return numbers[which] if which >= 0 else NOBODY


def _plain(table: Records, at: int) -> dict[str, Any]:
    """One record as names and plain values."""
    told: dict[str, Any] = {}
    for name in table.dtype.names or ():
        column = table[name]
        if column.dtype.names is None:
            value = column[at].tolist()
            told[name] = value.decode() if isinstance(value, bytes) else value
        elif column.ndim == 1:
            told[name] = _plain(column, at)
        else:
            told[name] = [_plain(column[at], each) for each in range(column.shape[1])]
    return told


def _fill(table: Records, at: int, told: dict[str, Any]) -> None:
    """The other way round; what one side does not know is left alone."""
    for name in table.dtype.names or ():
        if name not in told:
            continue
        column, value = table[name], told[name]
        if column.dtype.names is None and column.ndim == 1:
            column[at] = value
        elif column.dtype.names is None:
            fits = min(len(value), column.shape[1])
            column[at, :fits] = value[:fits]
        elif column.ndim == 1:
            _fill(column, at, value)
        else:
            for each, one in enumerate(value[: column.shape[1]]):
                _fill(column[at], each, one)
