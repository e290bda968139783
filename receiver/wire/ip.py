"""From captured frames to UDP datagrams: link layer, VLAN tags, IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768).

All frames at once, as columns. Every read is clipped into the buffer; what it read where there was nothing to read is
outvoted by a `Fate`. Checksums are not looked at: a capture on the sending host holds packets whose card was to fill
them in.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.wire.capture import Frames

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOST_TAGS: Final = 4
MOST_EXTENSIONS: Final = 8

_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGS: Final = (0x8100, 0x88A8, 0x9100)  # 802.1Q, 802.1ad, and what came before it
_NONE: Final = -1
_BARE: Final = -2  # no type told: the version says it
_FAMILIES: Final = {2: _IPV4, 24: _IPV6, 28: _IPV6, 30: _IPV6}  # AF_INET; AF_INET6 of NetBSD, FreeBSD, macOS
_UDP: Final = 17
_JUMPS: Final = (0, 43, 60, 135)  # IPv6 extensions of 8 + 8n octets: hop-by-hop, routing, destination, mobility
_FRAGMENT, _AUTHENTICATION = 44, 51
_CHAINED: Final = (*_JUMPS, _FRAGMENT, _AUTHENTICATION)

LINKS: Final = {
    0: "BSD loopback", 1: "Ethernet", 12: "raw IP", 14: "raw IP", 101: "raw IP", 108: "OpenBSD loopback",
    113: "Linux cooked", 228: "raw IPv4", 229: "raw IPv6", 276: "Linux cooked, version 2",
}  # fmt: skip
"""The link layers that are read, by their numbers (www.tcpdump.org/linktypes.html)."""


class Fate(IntEnum):
    """What a frame was."""

    UDP = 0
    """A whole UDP datagram."""
    LINK = 1
    """Of a link layer that is not read."""
    OTHER = 2
    """Not IP, or IP and not UDP."""
    FRAGMENT = 3
    """A fragment of an IP packet: not put together here."""
    TRUNCATED = 4
    """The capture keeps less of it than was sent (its snap length)."""
    MALFORMED = 5
    """Headers that contradict each other or do not fit."""


class Found(NamedTuple):
    """Element *i* speaks of frame *i*; where the fate is not ``UDP`` the other columns have no meaning.

    Addresses as two words each, IPv4 as ::ffff:a.b.c.d.
    """

    fate: NDArray[np.uint8]
    source: NDArray[np.uint64]  # [n, 2]
    source_port: Ints
    target: NDArray[np.uint64]  # [n, 2]
    target_port: Ints
    payload_at: Ints  # in the frames' octets
    payload_size: Ints


def read(frames: Frames) -> Found:
    """Find the UDP datagram in every frame."""
    return _Look(frames).found()


class _Look:
    """One pass over some frames. ``at`` is where the next header begins, ``end`` where what it belongs to ends."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        count = frames.start.size
        self.at, self.end = frames.start.copy(), frames.start + frames.size
        self.fate = np.full(count, Fate.UDP, np.uint8)
        self.kind = np.full(count, _NONE, np.int64)  # ether type
        self.next = np.full(count, _NONE, np.int64)  # IP protocol
        self.source, self.target = np.zeros((count, 2), np.uint64), np.zeros((count, 2), np.uint64)

    def found(self) -> Found:
        """All steps, one after the other."""
        if self.at.size:
            self._link()
            self._tags()
            self._version4(self._going(self.kind == _IPV4))
            self._version6(self._going(self.kind == _IPV6))
            self._extensions()
            self._settle(self.next != _UDP, Fate.OTHER)
        size = self._udp(self._going(self.next == _UDP))
        ports = self._number(np.arange(self.at.size), -8, 4)
        return Found(self.fate, self.source, ports >> 16, self.target, ports & 0xFFFF, self.at, size)

    # -- reading

    def _number(self, which: Ints, offset: int, octets: int) -> Ints:
        """A number in network order, of 1 to 8 octets, ``offset`` behind ``at``."""
        value = np.zeros(which.size, np.int64)
        if self._frames.octets.size:
            at = self.at[which] + offset
            for k in range(octets):
                value = value << 8 | self._frames.octets.take(at + k, mode="clip")
        return value

    def _words(self, which: Ints, offset: int) -> NDArray[np.uint64]:
        halves = [self._number(which, offset + 8 * k, 8).view(np.uint64) for k in (0, 1)]
        return np.stack(halves, axis=1)

    def _going(self, which: Bools) -> Ints:
        return np.flatnonzero(which & (self.fate == Fate.UDP))

    def _settle(self, which: Bools, fate: Fate) -> None:
        self.fate[which & (self.fate == Fate.UDP)] = fate

    def _fits(self, which: Ints, octets: Ints | int) -> Ints:
        """Those of them that have so many octets more; the others were cut off, or are wrong."""
        fits = self.at[which] + octets <= self.end[which]
        self._too_short(which[~fits])
        return which[fits]

    def _too_short(self, which: Ints) -> None:
        cut = self._frames.full[which] > self._frames.size[which]
        self.fate[which] = np.where(cut, Fate.TRUNCATED, Fate.MALFORMED)

    # -- link

    def _link(self) -> None:
        for link in np.unique(self._frames.link).tolist():
            which = np.flatnonzero(self._frames.link == link)
            if link not in LINKS:
                self.fate[which] = Fate.LINK
            elif link == 1:
                self._typed(which, 14, 12)
            elif link == 113:
                self._typed(which, 16, 14)
            elif link == 276:
                self._typed(which, 20, 0)
            elif link in (0, 108):
                self._loopback(self._fits(which, 4))
            else:
                self.kind[which] = _BARE
        bare = self._fits(self._going(self.kind == _BARE), 1)
        version = self._number(bare, 0, 1) >> 4
        self.kind[bare] = np.where(version == 4, _IPV4, np.where(version == 6, _IPV6, _NONE))
        self._settle(self.kind == _BARE, Fate.OTHER)

    def _typed(self, which: Ints, length: int, type_at: int) -> None:
        """A header of so many octets that names the ether type."""
        which = self._fits(which, length)
        self.kind[which] = self._number(which, type_at, 2)
        self.at[which] += length

    def _loopback(self, which: Ints) -> None:
        """The address family, in the order of the host that captured: it is a small number either way."""
        family = self._number(which, 0, 4)
        family = np.where(family > 0xFFFF, family >> 24 & 0xFF, family)
        for number, kind in _FAMILIES.items():
            self.kind[which[family == number]] = kind
        self.at[which] += 4

    def _tags(self) -> None:
        for _ in range(MOST_TAGS):
            tagged = self._going(np.isin(self.kind, _TAGS))
            if not tagged.size:
                break
            tagged = self._fits(tagged, 4)
            self.kind[tagged] = self._number(tagged, 2, 2)
            self.at[tagged] += 4
        self._settle((self.kind != _IPV4) & (self.kind != _IPV6), Fate.OTHER)

    # -- IP

    def _version4(self, which: Ints) -> None:
        which = self._fits(which, 20)
        first, whole = self._number(which, 0, 1), self._number(which, 2, 2)
        header = (first & 0x0F) * 4
        self.next[which] = self._number(which, 9, 1)
        # more to come, or not the first
        fragment = (self._number(which, 6, 2) & 0x3FFF != 0) & (self.next[which] == _UDP)
        for column, offset in ((self.source, 12), (self.target, 16)):
            column[which, 1] = (self._number(which, offset, 4) | 0xFFFF << 32).astype(np.uint64)
        # 0: the card of the capturing host was to cut it in pieces, so the frame tells the length
        whole = np.where(whole == 0, self._frames.full[which] - (self.at[which] - self._frames.start[which]), whole)
        wrong = (first >> 4 != 4) | (header < 20) | (whole < header)
        self.fate[which[fragment]] = Fate.FRAGMENT
        self.fate[which[wrong]] = Fate.MALFORMED
        self._inside(which[~wrong & ~fragment], header[~wrong & ~fragment], whole[~wrong & ~fragment])

    def _version6(self, which: Ints) -> None:
        which = self._fits(which, 40)
        whole = self._number(which, 4, 2) + 40
        wrong = self._number(which, 0, 1) >> 4 != 6
        self.next[which] = self._number(which, 6, 1)
        for column, offset in ((self.source, 8), (self.target, 24)):
            column[which] = self._words(which, offset)
        self.fate[which[wrong]] = Fate.MALFORMED
        self._inside(which[~wrong], np.full(int((~wrong).sum()), 40, np.int64), whole[~wrong])

    def _inside(self, which: Ints, header: Ints, whole: Ints) -> None:
        """What follows a header ends where the packet does, not where the frame does, which may be padded. Of what
        cannot be UDP the rest does not matter."""
        stop = self.at[which] + whole
        self.at[which] += header
        short = stop > self.end[which]
        self._too_short(which[short & np.isin(self.next[which], (_UDP, *_CHAINED))])
        self.end[which[~short]] = stop[~short]

    def _extensions(self) -> None:
        """Of IPv6: one header behind the other, until there is none that we know."""
        six = self.kind == _IPV6
        for _ in range(MOST_EXTENSIONS):  # a longer chain ends as something that is not UDP
            which = self._going(six & np.isin(self.next, _CHAINED))
            if not which.size:
                break
            which = self._fits(which, 8)
            kind, length = self.next[which], self._number(which, 1, 1)
            part = (kind == _FRAGMENT) & ((self._number(which, 2, 2) & 0xFFF9) != 0)  # RFC 6946: else it is whole
            self.fate[which[part]] = Fate.FRAGMENT
            octets = np.where(kind == _AUTHENTICATION, 4 * length + 8, 8 * length + 8)
            octets[kind == _FRAGMENT] = 8
            self.next[which] = self._number(which, 0, 1)
            self._fits(which[~part], octets[~part])
            self.at[which] += octets

    # -- UDP

    def _udp(self, which: Ints) -> Ints:
        size = np.zeros(self.at.size, np.int64)
        which = self._fits(which, 8)
        length = self._number(which, 4, 2)
        wrong = (length < 8) | (self.at[which] + length > self.end[which])
        self.fate[which[wrong]] = Fate.MALFORMED
        size[which] = length - 8
        self.at[which] += 8
        return size
