"""What senders say of themselves by RTCP (rule A13), kept for the sidecar. It latches nobody, moves and ends nothing.

Only what comes from the latched source of a tap is read, and of that only what speaks of a stream that is heard. The
first sender report, new names and the goodbye are notes at once; the last report is three columns (rule K8), which
become a note when the stream is buried. So a stream makes a handful of notes, whatever is sent.
"""

import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from receiver.media.census import Census
from receiver.media.columns import ADDRESS, NoteKind, Role, TapState
from receiver.media.journal import Journal
from receiver.media.state import State
from receiver.wire import rtcp

MOST_A_TURN: Final = 2  # datagrams of one tap: an ordinary sender has one in five seconds
MOST_NAMES: Final = 4  # of one stream: a name is for life (RFC 3550, section 6.5.1)
LONGEST_NAME: Final = 64  # octets


class Reporting:
    """Changes the columns of the present turn."""

    def __init__(self, state: State, journal: Journal, census: Census) -> None:
        self._state, self._journal, self._census = state, journal, census

    def heard(self, tap: NDArray[Any], source: tuple[NDArray[Any], ...], any_port: bool = False) -> NDArray[np.intp]:
        """Which datagrams come from the latched sources of their taps, the first few of each tap.

        ``any_port``: the address counts alone.
        """
        taps = self._state.now.taps
        state = taps["state"][tap]
        known = ((state == TapState.OPEN) | (state == TapState.CLOSING)) & (taps["stream"][tap] >= 0)
        for name, column in zip(ADDRESS.names or (), source, strict=True):
            known &= (taps["source"][name][tap] == column) | (any_port and name == "port")
        at = np.flatnonzero(known)
        at = at[np.argsort(tap[at], kind="stable")]
        of = tap[at]
        return np.sort(at[np.arange(at.size) - np.searchsorted(of, of) < MOST_A_TURN])

    def hear(self, tap: int, datagram: bytes, wall_ns: int) -> None:
        """One datagram of a tap's latched source, which came at ``wall_ns``."""
        said = rtcp.parse(datagram)
        if said is None:
            return
        for report in said.reports:
            for stream in self._streams(tap, report.ssrc):
                self._report(stream, report)
        for ssrc, name in said.names:
            for stream in self._streams(tap, ssrc):
                self._name(stream, name)
        for ssrc in said.leaving:
            for stream in self._streams(tap, ssrc):
                self._goodbye(stream, wall_ns)

    def _streams(self, tap: int, ssrc: int) -> list[int]:
        """The stream that this SSRC is now, or was last."""
        streams = self._state.now.streams
        mine = [s for s in self._census.of(tap) if streams["ssrc"][s] == ssrc and streams["role"][s] >= Role.LIVE]
        mine.sort(key=lambda s: (int(streams["role"][s]), -int(streams["born_ns"][s])))  # LIVE before PAST
        self._state.touch("streams", mine[:1])
        return mine[:1]

    def _report(self, stream: int, report: rtcp.SenderReport) -> None:
        record = self._state.now.streams[stream]
        wall_ns = report.wall_ns or 0
        if not record["reports"]:
            self._note(record, NoteKind.REPORT, timestamp=report.timestamp, wall_ns=wall_ns)
        record["reports"] += 1
        record["report_timestamp"], record["report_wall_ns"] = report.timestamp, wall_ns

    def _name(self, stream: int, name: str) -> None:
        record = self._state.now.streams[stream]
        text = name.encode()[:LONGEST_NAME]
        crc = zlib.crc32(text)
        if text and crc != record["name_crc"] and record["names"] < MOST_NAMES:
            record["name_crc"], record["names"] = crc, record["names"] + 1
            self._note(record, NoteKind.NAME, text=text)

    def _goodbye(self, stream: int, wall_ns: int) -> None:
        record = self._state.now.streams[stream]
        if not record["gone"]:
            record["gone"] = 1
            self._note(record, NoteKind.GOODBYE, wall_ns=wall_ns)

    def _note(self, record: Any, kind: NoteKind, **fields: Any) -> None:
        self._journal.note(int(record["tap"]), kind, int(record["row"]), ssrc=record["ssrc"], **fields)
