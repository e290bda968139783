"""The least delayed packet of every ten seconds of a live stream, as a note each: what the finish knows of clocks.

A window counts from the stream's birth, so that windows of many streams do not end all at once. What lies in the window
under way is three columns (rule K8); its packet is told by its *frame*, which no later splice moves. A note is written
when the first packet of a later window comes, or when the epoch ends. `hear` is the literal reading, `hear_all` the
same for packets in plain order.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import FAR, NS_PER_SAMPLE, NoteKind, Role
from receiver.media.journal import Journal
from receiver.media.state import State
from receiver.media.timeline import Timeline

Ints = NDArray[np.int64]
WINDOW_NS: Final = 10_000_000_000  # rule A15: windows of at least 10 s
_EARLIEST: Final = -FAR


class Pacing:
    """Keeps the window under way of every live stream; changes the columns of the present turn."""

    def __init__(self, state: State, timeline: Timeline, journal: Journal) -> None:
        self._state, self._timeline, self._journal = state, timeline, journal

    def hear(self, stream: int, position: int, arrival_ns: int) -> None:
        """One packet of speech that lies at ``position``. Its stream is touched."""
        record = self._state.now.streams[stream]
        if record["role"] != Role.LIVE:
            return
        window = (arrival_ns - int(record["born_ns"])) // WINDOW_NS
        if window > record["pace_window"]:
            self.turn(stream)
            record["pace_window"] = window
        row = int(record["row"])
        splices = int(self._state.now.rows["splices"][row])
        if splices and position < self._state.now.rows["splice_at"][row, splices - 1]:
            return  # too late to be the least delayed one
        frame = self._timeline.frame(row, position)
        before = int(record["pace_arrival_ns"]) - int(record["pace_frame"]) * NS_PER_SAMPLE
        if not record["pace_arrival_ns"] or arrival_ns - frame * NS_PER_SAMPLE < before:
            record["pace_frame"], record["pace_arrival_ns"] = frame, arrival_ns

    def hear_all(self, s: Ints, first: Ints, group: Ints, position: Ints, arrival_ns: Ints) -> None:
        """Packets of the live streams ``s``: where each one's begin, and of which of them a packet is, in order."""
        streams = self._state.now.streams
        transit, shift = self._transit(s, group, position, arrival_ns)
        until_ns = streams["born_ns"][s] + (streams["pace_window"][s] + 1) * WINDOW_NS
        if not (arrival_ns >= until_ns[group]).any():
            self._keep(s, shift, first, group, position, arrival_ns, transit)
            return
        window = (arrival_ns - streams["born_ns"][s][group]) // WINDOW_NS
        window = np.maximum.accumulate((group << 40) + np.maximum(window, streams["pace_window"][s][group]))
        begins = np.ones(window.size, np.bool_)
        np.not_equal(window[1:], window[:-1], out=begins[1:])
        begin, piece = np.flatnonzero(begins), np.cumsum(begins) - 1  # pieces: of one stream and one window
        owner = group[begin]
        rank = np.arange(begin.size) - np.searchsorted(owner, owner)
        for k in range(int(rank.max()) + 1):
            some = np.flatnonzero(rank == k)
            mine = np.flatnonzero(rank[piece] == k)
            of = piece[mine]
            heads = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
            stream = s[owner[some]]
            self._pass(stream, window[begin[some]] - (owner[some] << 40))
            order = np.searchsorted(some, of)
            self._keep(stream, shift[owner[some]], heads, order, position[mine], arrival_ns[mine], transit[mine])

    def turn(self, stream: int) -> None:
        """The window is over, or the epoch: tell what is in it, and begin anew. The stream is touched."""
        record = self._state.now.streams[stream]
        if record["pace_arrival_ns"]:
            self._journal.note(
                int(record["tap"]), NoteKind.PACE, int(record["row"]), ssrc=record["ssrc"], frame=record["pace_frame"],
                arrival_ns=record["pace_arrival_ns"],
            )  # fmt: skip
            record["pace_arrival_ns"] = 0

    def _pass(self, stream: Ints, window: Ints) -> None:
        """Streams of which a packet of this window came."""
        streams = self._state.now.streams
        later = window > streams["pace_window"][stream]
        if later.any():
            stream, window = stream[later], window[later]
            told = stream[streams["pace_arrival_ns"][stream] > 0]
            self._journal.note_each(
                streams["tap"][told], NoteKind.PACE, streams["row"][told], ssrc=streams["ssrc"][told],
                frame=streams["pace_frame"][told], arrival_ns=streams["pace_arrival_ns"][told],
            )  # fmt: skip
            streams["pace_arrival_ns"][stream], streams["pace_window"][stream] = 0, window

    def _keep(
        self, stream: Ints, shift: Ints, first: Ints, group: Ints, position: Ints, arrival_ns: Ints, transit: Ints
    ) -> None:
        """Take what is less delayed than all of the window so far; of equal ones the first."""
        streams = self._state.now.streams
        least = np.minimum.reduceat(transit, first)
        held_ns = streams["pace_arrival_ns"][stream]
        before = np.where(held_ns > 0, held_ns - (streams["pace_frame"][stream] - shift) * NS_PER_SAMPLE, FAR)
        better = least < before
        if better.any():
            hits = np.flatnonzero((transit == least[group]) & better[group])[::-1]
            mine = group[hits]
            streams["pace_frame"][stream[mine]] = position[hits] + shift[mine]
            streams["pace_arrival_ns"][stream[mine]] = arrival_ns[hits]

    def _transit(self, s: Ints, group: Ints, position: Ints, arrival_ns: Ints) -> tuple[Ints, Ints]:
        """Arrival − position in ns, `FAR` for what lies before its row's last splice; frame − position behind it."""
        rows, row = self._state.now.rows, self._state.now.streams["row"][s]
        count = rows["splices"][row]
        last = np.maximum(count - 1, 0)
        shift = np.where(count > 0, rows["splice_shift"][row, last], rows["shift"][row])
        transit = arrival_ns - position * NS_PER_SAMPLE
        if count.any():
            from_ = np.where(count > 0, rows["splice_at"][row, last], _EARLIEST)
            transit = np.where(position < from_[group], FAR, transit)
        return transit, shift


def under_way(record: Any) -> tuple[int, int] | None:
    """The least delayed packet of the window under way of a stream's record: (frame, arrival in ns); None: none yet."""
    return (int(record["pace_frame"]), int(record["pace_arrival_ns"])) if record["pace_arrival_ns"] else None
