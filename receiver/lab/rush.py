"""The lean path: thousands of taps from one process, up to 200,000 packets a second, in clean weather.

Everything is laid out before the first packet. All callers speak with one voice (``sound.CROWD``), each from another
sample on, so a payload is a pointer into one buffer; a slot moves pointers, sequence numbers and timestamps of a
group of taps with a few array additions, and one ``sendmmsg`` sends it. The groups' slots are spread over the
packetization time.

With ``burst`` several packets of a tap go out as one piece that the kernel cuts (UDP_SEGMENT): half the cost, and
bunched.
"""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.lab import senderlog, sound
from receiver.lab.doors import Doors, abouts, aimed, resolved
from receiver.lab.outbox import Outbox, addresses
from receiver.lab.pace import Pace, Summary
from receiver.lab.plan import Plan, PlanError
from receiver.lab.senderlog import Crowd
from receiver.lab.weather import NS_PER_SAMPLE
from receiver.wire.g711 import CLOCK_RATE
from receiver.wire.rtp import FIXED_HEADER, HEADER_OCTETS

_GROUPS: Final = 20
_APART: Final = 1009
"""Samples between the beginnings of two callers in the one voice."""

_UDP_SEGMENT: Final = 103  # <linux/udp.h>; Python has no name for it


class Rush:
    """One lean plan, sent once; the same verbs as ``sender.Sender``."""

    def __init__(self, plan: Plan) -> None:
        if not plan.lean:
            raise PlanError("only a lean plan can be rushed")
        self.plan = plan
        self._doors = Doors(plan)
        self._socket = self._doors.sockets[0]
        if plan.burst > 1:
            self._socket.setsockopt(socket.SOL_UDP, _UDP_SEGMENT, HEADER_OCTETS + plan.callers[0].size)
        self.sources = self._doors.sources
        self._to = [caller.to for caller in plan.callers]
        self._stopped = False

    def __enter__(self) -> "Rush":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._doors.close()

    def aim(self, to: Sequence[str]) -> None:
        """Say where each caller's packets go, "host:port" in the plan's order. Raises PlanError."""
        self._to = aimed(to, self.plan.callers)

    def stop(self) -> None:
        """End ``run`` before its time, from a signal handler or another thread."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped

    def run(self) -> Summary:
        """Send everything when it is due, write the log, and tell. Raises PlanError without destinations, OSError for
        the log."""
        table = _Table(self.plan, addresses(resolved(self._to, self._doors.family)), self._doors.family)
        pace = Pace()
        for slot in range(len(table.slot_ns)):
            for group in range(len(table.edges) - 1):
                due_ns = slot * table.period_ns + group * table.period_ns // (len(table.edges) - 1)
                while pace.now_ns() < due_ns and not self._stopped:
                    pace.sleep_until(due_ns)
                if self._stopped:
                    return self._end(table, pace)
                pace.note(due_ns)
                pace.tried += table.send(self._socket.fileno(), slot, group)
        return self._end(table, pace)

    def _end(self, table: "_Table", pace: Pace) -> Summary:
        crowd = table.crowd(self.plan, self.sources, self._to)
        if self.plan.log is not None:
            senderlog.write_crowd(Path(self.plan.log), crowd)
        count = int(crowd.counts.sum())
        octets = count * (HEADER_OCTETS + crowd.size)
        return pace.summary(len(self.plan.callers), count, octets, self._stopped, self.plan.log)


class _Table:
    """Headers, pointers and messages of all taps, for the next slot."""

    def __init__(self, plan: Plan, names: NDArray[np.uint8], family: int) -> None:
        first, count, dice = plan.callers[0], len(plan.callers), np.random.default_rng(plan.seed)
        self.burst, self.size, self.law = plan.burst, first.size, sound.LAWS[first.codec]
        self.period_ns = self.burst * self.size * NS_PER_SAMPLE
        slots = int(first.seconds * CLOCK_RATE) // (self.size * self.burst)
        self.edges = np.linspace(0, count, min(_GROUPS, count) + 1).astype(np.int64)
        self.slot_ns = np.zeros((slots, len(self.edges) - 1), np.int64)
        self.refused: list[tuple[int, int]] = []

        self.sample = np.arange(count, dtype=np.int64) * _APART
        self.ssrc = dice.integers(1 << 32, size=count, dtype=np.uint32)
        self.sequence = dice.integers(1 << 16, size=count, dtype=np.uint16)
        self.timestamp = dice.integers(1 << 32, size=count, dtype=np.uint32)
        told = [(row, caller.ssrc) for row, caller in enumerate(plan.callers) if caller.ssrc is not None]
        for row, ssrc in told:
            self.ssrc[row] = ssrc

        longest = int(self.sample[-1]) + slots * self.burst * self.size
        self._said = sound.identity(sound.CROWD, 0, max(longest, 1), self.law)
        ahead = np.arange(self.burst)
        self._headers = np.zeros((count, self.burst), FIXED_HEADER)
        self._headers["v_p_x_cc"], self._headers["m_pt"] = 2 << 6, self.law
        self._headers["ssrc"] = self.ssrc[:, None]
        self._headers["sequence"] = (self.sequence[:, None] + ahead) & 0xFFFF
        self._headers["timestamp"] = (self.timestamp[:, None] + ahead * self.size) & 0xFFFFFFFF

        self._outbox = Outbox(count, pieces=2 * self.burst)
        self._outbox.address(slice(None), names, family)
        pieces = self._outbox.pieces
        at = np.arange(count * self.burst).reshape(count, self.burst) * HEADER_OCTETS
        pieces["base"][:, 0::2], pieces["len"][:, 0::2] = self._headers.ctypes.data + at, HEADER_OCTETS
        pieces["base"][:, 1::2] = self._said.ctypes.data + self.sample[:, None] + ahead * self.size
        pieces["len"][:, 1::2] = self.size

    def send(self, fd: int, slot: int, group: int) -> int:
        """Send one group's slot and make the next one ready; returns the packets that were tried."""
        rows = slice(int(self.edges[group]), int(self.edges[group + 1]))
        self.slot_ns[slot, group] = time.time_ns()
        taken = self._outbox.send(fd, rows)
        if not taken.all():
            self.refused += [(slot, rows.start + int(row)) for row in np.flatnonzero(~taken)]
        headers, pieces = self._headers[rows], self._outbox.pieces[rows]
        headers["sequence"] += np.uint16(self.burst)
        headers["timestamp"] += np.uint32(self.burst * self.size)
        pieces["base"][:, 1::2] += np.uint64(self.burst * self.size)
        return (rows.stop - rows.start) * self.burst

    def crowd(self, plan: Plan, sources: Sequence[str], to: Sequence[str]) -> Crowd:
        """The log."""
        group = np.searchsorted(self.edges, np.arange(len(self.sample)), side="right") - 1
        return Crowd(
            about=tuple(abouts(plan, sources, to)),
            size=self.size,
            payload_type=self.law,
            burst=self.burst,
            ssrc=self.ssrc,
            sequence=self.sequence,
            timestamp=self.timestamp,
            sample=self.sample,
            group=group,
            slot_ns=self.slot_ns,
            refused=np.array(self.refused, np.int64).reshape(-1, 2),
        )
