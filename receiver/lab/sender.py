"""Sends a plan in real time: every packet when it is due, by one thread, and remembers what the kernel took.

It binds first and tells its addresses, so that a recorder can be told whom to expect before the first packet; where the
packets go may be said after that (``aim``).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.lab import plan as plans
from receiver.lab import senderlog, sound
from receiver.lab.doors import Doors, abouts, aimed, resolved
from receiver.lab.outbox import Outbox, addresses
from receiver.lab.pace import Pace, Summary
from receiver.lab.plan import Plan, PlanError
from receiver.lab.rush import Rush
from receiver.lab.sealing import Sealing
from receiver.lab.senderlog import SENT, Sent
from receiver.lab.weather import Packets
from receiver.wire.rtp import FIXED_HEADER, HEADER_OCTETS

CHUNK: Final = 512
"""Packets that are made ready ahead of their time, together."""


class Sender:
    """One plan, sent once. Use as a context manager; ``run`` blocks and may live in a thread."""

    def __init__(self, plan: Plan) -> None:
        if plan.lean:
            raise PlanError("a lean plan is for lab.rush")
        self.plan = plan
        self._doors = Doors(plan)
        self.sources = self._doors.sources
        self._to = [caller.to for caller in plan.callers]
        self._stopped = False

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the ports back."""
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
        names = addresses(resolved(self._to, self._doors.family))
        packets = plans.schedule(self.plan)
        rows = _rows([caller.id for caller in self.plan.callers], packets["caller"])
        sent_ns = np.zeros(len(packets), np.int64)  # stays 0 where the kernel refused
        sealing = Sealing(self.plan.srtp_file, packets) if self.plan.srtp_file else None
        pace = Pace()
        for first in range(0, len(packets), CHUNK):
            chunk = slice(first, first + CHUNK)
            octets = datagrams(packets[chunk])
            sizes = packets["size"][chunk].astype(np.int64) + HEADER_OCTETS
            if sealing is not None:
                octets, sizes[:] = sealing.seal(octets, packets[chunk], first)
            letters = _Letters(packets["when_ns"][chunk], octets, sizes, names[rows[chunk]], self._doors, rows[chunk])
            if not self._post(letters, pace, sent_ns[chunk]):
                break
        log = self._write_log(packets, sent_ns)
        return self._summary(packets, sent_ns, pace, log)

    def _post(self, letters: "_Letters", pace: Pace, sent_ns: NDArray[np.int64]) -> bool:
        """Send one chunk; False when told to stop."""
        at = 0
        while at < len(sent_ns):
            if self._stopped:
                return False
            upto = int(np.searchsorted(letters.when_ns, pace.now_ns(), side="right"))
            if upto <= at:
                pace.sleep_until(int(letters.when_ns[at]))
                continue
            pace.note(int(letters.when_ns[at]))
            letters.send(at, upto, sent_ns)
            pace.tried += upto - at
            at = upto
        return True

    def _write_log(self, packets: Packets, sent_ns: NDArray[np.int64]) -> str | None:
        if self.plan.log is None:
            return None
        for caller, about in zip(self.plan.callers, abouts(self.plan, self.sources, self._to), strict=True):
            mine = np.flatnonzero((packets["caller"] == caller.id) & (sent_ns != 0))
            told = np.zeros(len(mine), SENT)
            told["sent_ns"] = sent_ns[mine]
            for name in SENT.names or ():
                if name != "sent_ns":
                    told[name] = packets[name][mine]
            senderlog.write(Path(self.plan.log), Sent(about, told))
        return self.plan.log

    def _summary(self, packets: Packets, sent_ns: NDArray[np.int64], pace: Pace, log: str | None) -> Summary:
        taken = sent_ns != 0
        octets = int(packets["size"][taken].sum(dtype=np.int64)) + int(taken.sum()) * HEADER_OCTETS
        return pace.summary(len(self.plan.callers), int(taken.sum()), octets, self._stopped, log)


def open_sender(plan: Plan) -> Sender | Rush:
    """Bind for a plan, whichever way it is sent. Raises PlanError, or OSError when the address cannot be had."""
    return Rush(plan) if plan.lean else Sender(plan)


class _Letters:
    """Some packets as datagrams, ready to go."""

    def __init__(
        self, when_ns: NDArray[np.int64], octets: NDArray[np.uint8], sizes: NDArray[np.int64],
        names: NDArray[np.uint8], doors: Doors, rows: NDArray[np.intp],
    ) -> None:  # fmt: skip
        self.when_ns, self._octets = when_ns.copy(), octets
        self._doors, self._door = doors, doors.of[rows]
        self._outbox = Outbox(len(sizes))
        self._outbox.address(slice(None), names, doors.family)
        pieces = self._outbox.pieces[:, 0]
        pieces["base"] = self._octets.ctypes.data + np.arange(len(sizes)) * self._octets.strides[0]
        pieces["len"] = sizes

    def send(self, first: int, upto: int, sent_ns: NDArray[np.int64]) -> None:
        """Hand rows to the kernel; ``sent_ns`` learns when, where it took them."""
        doors = self._door[first:upto]
        for door in dict.fromkeys(doors.tolist()):
            rows = first + np.flatnonzero(doors == door)
            now_ns = time.time_ns()
            taken = self._outbox.send(self._doors.sockets[door].fileno(), rows)
            sent_ns[rows[taken]] = now_ns


def datagrams(packets: Packets) -> NDArray[np.uint8]:
    """Return u1[n, longest]: RTP header (RFC 3550, section 5.1) and payload of each packet; the rest of a row is 0."""
    widest = int(packets["size"].max(initial=0))
    octets = np.zeros((len(packets), HEADER_OCTETS + widest), np.uint8)
    headers = np.zeros(len(packets), FIXED_HEADER)
    headers["v_p_x_cc"] = 2 << 6
    headers["m_pt"] = packets["payload_type"] | (packets["marker"].astype(np.uint8) << 7)
    for name in ("sequence", "timestamp", "ssrc"):
        headers[name] = packets[name]
    octets[:, :HEADER_OCTETS] = headers.view(np.uint8).reshape(-1, HEADER_OCTETS)
    for law in np.unique(packets["payload_type"]):
        for size in np.unique(packets["size"][packets["payload_type"] == law]):
            alike = np.flatnonzero((packets["payload_type"] == law) & (packets["size"] == size))
            said = sound.say(packets["voice"][alike], packets["sample"][alike], int(size), int(law))
            octets[alike, HEADER_OCTETS : HEADER_OCTETS + int(size)] = said
    return octets


def _rows(ids: list[int], callers: NDArray[np.uint32]) -> NDArray[np.intp]:
    """The row in the plan of each packet's caller."""
    order = np.argsort(ids)
    found: NDArray[np.intp] = order[np.searchsorted(np.asarray(ids)[order], callers)]
    return found
