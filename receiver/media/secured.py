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
from receiver.wire.rtp import FIXED_HEADER, HEADER_OCTETS, LONGEST_DATAGRAM, Verdict
from receiver.wire.srtp import Opener, Suite

Ints = NDArray[np.int64]
_NEITHER, _RTP, _RTCP = range(3)  # by the second octet (RFC 5761, section 4)


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
        tap = self._state.live.taps[slot]
        self._wary[slot] = tap["suite"] != 0 and tap["state"] != TapState.FREE
        self._any = bool(self._wary.any())

    def open(self, datagrams: Datagrams) -> Opened | None:
        """Open what is sealed, in order of arrival; None: nothing here is for a tap with a key."""
        if not self._any:
            return None
        sealed = np.flatnonzero(self._wary[datagrams.tap])
        if not sealed.size:
            return None
        plain = datagrams._replace(octets=self._own(datagrams), size=datagrams.size.astype(np.int64))
        why = self._open_all(sealed, plain)
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

    def _open_all(self, sealed: Ints, plain: Datagrams) -> NDArray[np.uint8]:
        """Rows of ``plain``, where what opens is put; the verdict of each. ACCEPTED: it is open.

        What is no RTP at all is left to the header gate to name.
        """
        header = plain.octets[:, :HEADER_OCTETS].view(FIXED_HEADER)[sealed, 0]
        size, second = plain.size[sealed], header["m_pt"]
        whole = (header["v_p_x_cc"] >> 6 == 2) & (size >= HEADER_OCTETS) & (size <= LONGEST_DATAGRAM)
        kinds = np.where(whole, np.where((second >= 192) & (second < 224), _RTCP, _RTP), _NEITHER).tolist()
        columns = (plain.tap, plain.high, plain.low, plain.port, plain.arrival_ns)
        slots, highs, lows, ports, arrivals = (column[sealed].tolist() for column in columns)
        begins = (sealed * plain.octets.shape[1]).tolist()
        sizes, ssrcs, numbers = size.tolist(), header["ssrc"].tolist(), header["sequence"].tolist()
        octets = plain.octets.data.cast("B")
        verdicts = [int(Verdict.UNAUTHENTIC)] * len(slots)
        before, opener, indices = -1, None, None
        for k, slot in enumerate(slots):
            if slot != before:
                if indices is not None:
                    indices.keep()
                before, (opener, indices) = slot, self._turn_to(slot)
            if opener is None or indices is None or kinds[k] == _NEITHER:
                continue
            begin, end = begins[k], begins[k] + sizes[k]
            packet = bytes(octets[begin:end])
            if kinds[k] == _RTP:
                source = highs[k], lows[k], ports[k]
                verdicts[k], opened = _open(opener, indices, packet, ssrcs[k], numbers[k], source, arrivals[k])
            else:
                opened = opener.open_control(packet)
                verdicts[k] = Verdict.UNAUTHENTIC if opened is None else Verdict.ACCEPTED
            if opened is not None:
                sizes[k] = len(opened)
                octets[begin : begin + len(opened)] = opened
        if indices is not None:
            indices.keep()
        plain.size[sealed] = sizes
        return np.array(verdicts, np.uint8)

    def _turn_to(self, slot: int) -> tuple[Opener | None, Indices | None]:
        """What there is of the tap whose packets come next."""
        known = self._openers.get(slot)
        if known is None:
            return None, None
        self._state.touch("contexts", slot)
        return known[1], Indices(self._state.now.contexts["indices"][slot])


def _open(
    opener: Opener, indices: Indices, packet: bytes, ssrc: int, sequence16: int, source: tuple[int, int, int],
    arrival_ns: int,
) -> tuple[int, bytes | None]:  # fmt: skip
    """One packet of RTP."""
    place = indices.of(ssrc)
    for index in place.guesses(sequence16, arrival_ns):
        if place.too_old(index):
            return Verdict.REPLAYED, None
        plain = opener.open(packet, ssrc, index)
        if plain is None:
            continue
        new = place.index < 0
        if not place.take(index, source, arrival_ns):
            return Verdict.REPLAYED, None
        if new:
            indices.settle(ssrc, place)
        return Verdict.ACCEPTED, plain
    return Verdict.UNAUTHENTIC, None
