"""Port + 1 of taps, where RTCP comes if it does not come with RTP (rule A13): read once a second, beside the tick.

A word that a dying worker had read and not yet kept is lost: the sender says it again in some seconds, and nothing of
the sound depends on it. What strangers send there is read and forgotten: only the latched source's address counts.
"""

import asyncio
import select
import socket
import struct
import time
from typing import Final

import numpy as np

from receiver.media.address import Source
from receiver.media.columns import VERDICTS
from receiver.media.datagrams import Datagrams
from receiver.media.reporting import Reporting
from receiver.media.secured import Secured
from receiver.media.state import State
from receiver.wire.rtp import LONGEST_DATAGRAM, Verdict

EVERY_S: Final = 1.0
MOST_A_SOCKET: Final = 4  # in a second
MOST_SOCKETS: Final = 1_024  # in a second; the others are ready in the next one
SO_TIMESTAMPNS: Final = 35
ROW_OCTETS: Final = 1_536
_STAMP: Final = struct.Struct("@qq")
Word = tuple[int, bytes, Source, int]
"""Slot, datagram, where from, UNIX time of its arrival."""


class Ears:
    """Owns the sockets. ``reporting`` None: what comes is read and nobody listens."""

    def __init__(self, state: State, reporting: Reporting | None, secured: Secured) -> None:
        self._state, self._reporting, self._secured = state, reporting, secured
        self._sockets: dict[int, socket.socket] = {}
        self._slots: dict[int, int] = {}  # descriptor → slot
        self._ready = select.epoll()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen from now on."""
        self._timer = loop.call_later(EVERY_S, self._again, loop)

    def stop(self) -> None:
        """Listen no more, and let go of all sockets. Twice is once."""
        if self._timer is not None:
            self._timer.cancel()
        for slot in list(self._sockets):
            self.release(slot)
        self._ready.close()

    def attach(self, slot: int, descriptor: int) -> None:
        """This tap's port + 1; the descriptor is ours. One from before is closed."""
        self.release(slot)
        self._sockets[slot], self._slots[descriptor] = socket.socket(fileno=descriptor), slot
        self._ready.register(descriptor, select.EPOLLIN)

    def release(self, slot: int) -> None:
        """The tap is over; none there is fine."""
        ear = self._sockets.pop(slot, None)
        if ear is not None:
            self._ready.unregister(ear)
            del self._slots[ear.fileno()]
            ear.close()

    def listen(self) -> int:
        """Read what came, keep what latched sources said, in a turn of its own; returns how many datagrams it was."""
        words: list[Word] = []
        for descriptor, _ in self._ready.poll(0, MOST_SOCKETS) if self._sockets else ():
            words += self._read(self._slots[descriptor])
        if words:
            self._keep(words)
        return len(words)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.listen()
        self.start(loop)

    def _read(self, slot: int) -> list[Word]:
        words: list[Word] = []
        for _ in range(MOST_A_SOCKET):
            try:
                octets, beside, _, (address, port, *_) = self._sockets[slot].recvmsg(LONGEST_DATAGRAM + 1, 64)
            except OSError:  # empty, or an error that was pending and is gone with this
                break
            stamps = [data for level, kind, data in beside if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
            seconds, ns = _STAMP.unpack(stamps[0]) if stamps else (0, time.time_ns())
            words.append((slot, octets, Source.of(address.partition("%")[0], port), seconds * 1_000_000_000 + ns))
        return words

    def _keep(self, words: list[Word]) -> None:
        state, datagrams = self._state, _slab(words)
        opened = self._secured.open(datagrams)  # rule B3: nothing of a tap with a key is looked at before
        verdict = np.full(len(words), Verdict.RTCP, np.uint8)
        if opened is not None:
            datagrams, verdict[opened.refused] = opened.datagrams, opened.why
        state.touch("taps", datagrams.tap)
        np.add.at(state.now.taps["verdicts"], (datagrams.tap, verdict.astype(np.intp)), 1)
        state.now.world["verdicts"][0] += np.bincount(verdict, minlength=VERDICTS)
        good = np.flatnonzero(verdict == Verdict.RTCP)
        if self._reporting is not None and good.size:
            source = (datagrams.high[good], datagrams.low[good], datagrams.port[good])
            for k in good[self._reporting.heard(datagrams.tap[good], source, any_port=True)].tolist():
                octets = datagrams.octets[k, : int(datagrams.size[k])].tobytes()
                self._reporting.hear(int(datagrams.tap[k]), octets, words[k][3])
        state.commit()


def _slab(words: list[Word]) -> Datagrams:
    """The same as the door hands things over."""
    octets = np.zeros((len(words), ROW_OCTETS), np.uint8)
    for row, (_, datagram, _, _) in zip(octets, words, strict=True):
        row[: len(datagram)] = np.frombuffer(datagram, np.uint8)
    high, low, port = zip(*(source for _, _, source, _ in words), strict=True)
    return Datagrams(
        octets, np.array([len(datagram) for _, datagram, _, _ in words]),
        np.array([slot for slot, *_ in words], np.int32),
        np.array(high, np.uint64), np.array(low, np.uint64), np.array(port, np.uint16),
        np.full(len(words), time.monotonic_ns()),
    )  # fmt: skip
