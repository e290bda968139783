"""Taps with a key: what comes for them is authenticated and decrypted before anything else looks at it (rule B3).

A turn may be run again by a successor (rule K3), so the slab is never changed: plain forms go into rows of our own. And
what a packet is found to be follows from columns, key and octets alone: which indices came lies in the tap's `CONTEXT`,
the contexts of libsrtp (`receiver.wire.srtp`) are only quick ways.

A packet that came before is given on like any other where its source is the one that its SSRC has: the stream counts it
as a duplicate, as in plain RTP. From elsewhere it is somebody's who caught it on the way, and is refused.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import TapState
from receiver.media.datagrams import Datagrams
from receiver.media.indices import Indices
from receiver.media.state import State
from receiver.wire.rtp import HEADER_OCTETS, LONGEST_DATAGRAM, Verdict
from receiver.wire.srtp import Opener, Suite

Ints = NDArray[np.int64]


class Key(NamedTuple):
    """``octets``: master key and salt."""

    suite: Suite
    octets: bytes

    def __repr__(self) -> str:
        return f"Key({self.suite.name})"


class Opened(NamedTuple):
    """A slab as it would have come as plain RTP, and the rows that nobody may look at, each with its verdict."""

    datagrams: Datagrams
    refused: Ints
    why: NDArray[np.uint8]


class Secured:
    """The keys of taps, in this process. Which taps must have one is a column."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._openers: dict[int, tuple[Key, Opener]] = {}
        self._rows = np.zeros((0, 0), np.uint8)
        self._wary: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._any = False
        self.look()

    def look(self) -> None:
        """See in the columns which taps must have a key."""
        taps = self._state.live.taps
        self._wary = (taps["suite"] != 0) & (taps["state"] != TapState.FREE)
        self._any = bool(self._wary.any())

    def trust(self, slot: int, key: Key | None) -> None:
        """This tap's packets are sealed with this key; None: none is known (any more)."""
        known = self._openers.get(slot)
        if key is None:
            self._openers.pop(slot, None)
        elif known is None or known[0] != key:
            self._openers[slot] = key, Opener(key.suite, key.octets)
        self.look()

    def open(self, datagrams: Datagrams) -> Opened | None:
        """Open what is sealed, in order of arrival; None: nothing here is for a tap with a key."""
        if not self._any:
            return None
        sealed = np.flatnonzero(self._wary[datagrams.tap])
        if not sealed.size:
            return None
        plain = datagrams._replace(octets=self._own(datagrams), size=datagrams.size.astype(np.int64))
        why = np.empty(sealed.size, np.uint8)
        borders = np.flatnonzero(np.diff(datagrams.tap[sealed])) + 1
        for rows, verdicts in zip(np.split(sealed, borders), np.split(why, borders), strict=True):
            verdicts[:] = self._open_all(int(datagrams.tap[rows[0]]), rows.tolist(), plain)
        bad = why != Verdict.ACCEPTED
        return Opened(plain, sealed[bad], why[bad])

    def _own(self, datagrams: Datagrams) -> NDArray[np.uint8]:
        """A copy of the slab as far as it was filled, in memory that is used again."""
        octets = datagrams.octets
        if self._rows.shape[0] < octets.shape[0] or self._rows.shape[1] != octets.shape[1]:
            self._rows = np.zeros(octets.shape, np.uint8)
        rows, widest = self._rows[: octets.shape[0]], int(datagrams.size.max())
        rows[:, :widest] = octets[:, :widest]
        return rows

    def _open_all(self, slot: int, rows: list[int], plain: Datagrams) -> list[int]:
        """Packets of one tap, in ``plain``, where they are replaced; the verdict of each. ACCEPTED: it is open."""
        known = self._openers.get(slot)
        if known is None:
            return [Verdict.UNAUTHENTIC] * len(rows)
        self._state.touch("contexts", slot)
        indices = Indices(self._state.now.contexts["indices"][slot])
        sizes, arrivals = plain.size[rows].tolist(), plain.arrival_ns[rows].tolist()
        sources = zip(plain.high[rows].tolist(), plain.low[rows].tolist(), plain.port[rows].tolist(), strict=True)
        verdicts = []
        for row, size, source, arrival_ns in zip(rows, sizes, sources, arrivals, strict=True):
            octets = plain.octets[row]
            verdict, opened = _open(known[1], indices, octets[:size].tobytes(), source, arrival_ns)
            if opened:
                octets[: len(opened)] = np.frombuffer(opened, np.uint8)
                plain.size[row] = len(opened)
            verdicts.append(verdict)
        indices.keep()
        return verdicts


def _open(
    opener: Opener, indices: Indices, octets: bytes, source: tuple[int, int, int], arrival_ns: int
) -> tuple[int, bytes | None]:
    """One packet. What is no RTP at all is left to the header gate to name."""
    if not HEADER_OCTETS <= len(octets) <= LONGEST_DATAGRAM or octets[0] >> 6 != 2:
        return Verdict.UNAUTHENTIC, None
    if 192 <= octets[1] < 224:  # RFC 5761, section 4
        plain = opener.open_control(octets)
        return (Verdict.UNAUTHENTIC, None) if plain is None else (Verdict.ACCEPTED, plain)
    sequence16, ssrc = int.from_bytes(octets[2:4], "big"), int.from_bytes(octets[8:12], "big")
    place = indices.of(ssrc)
    for index in place.guesses(sequence16):
        if place.too_old(index):
            return Verdict.REPLAYED, None
        plain = opener.open(octets, ssrc, index)
        if plain is None:
            continue
        known = place.index >= 0
        if not place.take(index, source, arrival_ns):
            return Verdict.REPLAYED, None
        if not known:
            indices.settle(ssrc, place)
        return Verdict.ACCEPTED, plain
    return Verdict.UNAUTHENTIC, None

