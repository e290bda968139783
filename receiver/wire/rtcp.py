"""RTCP: what a sender says of itself, out of one datagram (RFC 3550, section 6; rule A13).

::

            0                   1                   2                   3
            0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
           +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    header |V=2|P|    RC   |   PT=SR=200   |             length            |
           +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
           |                         SSRC of sender                        |
           +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
    sender |              NTP timestamp, most significant word             |
    info   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
           |             NTP timestamp, least significant word             |
           +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
           |                         RTP timestamp                         |
           +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
           |                     sender's packet count                     |
           +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
           |                      sender's octet count                     |
           +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+

Only sender reports, canonical names and goodbyes are read; the rest is stepped over. Nothing here raises whatever the
octets are, and nothing here is ever sent.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
GOODBYE: Final = 203
_CNAME: Final = 1
_VERSION: Final = 2

_HEADER: Final = Struct("!BBH")
_SENDER: Final = Struct("!LLLLLL")
_WORD: Final = Struct("!L")
_NTP_TO_UNIX_S: Final = 2_208_988_800
_ERA_S: Final = 1 << 32


class SenderReport(NamedTuple):
    """A moment on the sender's clocks (section 6.4.1). ``wall_ns``: Unix time, None where the sender has no clock."""

    ssrc: int
    wall_ns: int | None
    timestamp: int
    """As in RTP packets, 32 bits, in samples."""
    packets: int
    octets: int


class Compound(NamedTuple):
    """What one datagram says."""

    reports: tuple[SenderReport, ...] = ()
    names: tuple[tuple[int, str], ...] = ()
    """SSRC, CNAME (section 6.5.1); what is no UTF-8 or cannot be printed is replaced."""
    leaving: tuple[int, ...] = ()
    """SSRCs that say goodbye (section 6.6)."""


def parse(datagram: bytes) -> Compound | None:
    """Read one datagram; None for what is no valid compound packet (appendix A.2).

    The first packet is a report without padding, all are of version 2, and their lengths make up the whole. Of a packet
    whose inside is broken nothing is taken; the others hold.
    """
    packets = list(_packets(datagram))
    if not packets or packets[-1] is None or packets[0] is None:
        return None
    if packets[0].kind not in (SENDER_REPORT, RECEIVER_REPORT) or packets[0].padded:
        return None
    reports: list[SenderReport] = []
    names: list[tuple[int, str]] = []
    leaving: list[int] = []
    for packet in packets:
        assert packet is not None  # only the last one may be
        body = _unpadded(packet)
        if packet.kind == SENDER_REPORT and len(body) >= _SENDER.size + 24 * packet.items:
            reports.append(_sender_report(body))
        elif packet.kind == SOURCE_DESCRIPTION:
            names += _names(body, packet.items) or ()
        elif packet.kind == GOODBYE and len(body) >= 4 * packet.items:
            leaving += [_WORD.unpack_from(body, 4 * k)[0] for k in range(packet.items)]
    return Compound(tuple(reports), tuple(names), tuple(leaving))


class _Packet(NamedTuple):
    kind: int
    items: int
    padded: bool
    body: bytes  # padding included


def _packets(datagram: bytes) -> Iterator[_Packet | None]:
    """The packets of a compound one, and None behind the last good one if that is not the end."""
    at = 0
    while at < len(datagram):
        if len(datagram) < at + _HEADER.size:
            yield None
            return
        first, kind, words = _HEADER.unpack_from(datagram, at)
        end = at + _HEADER.size + 4 * words
        if first >> 6 != _VERSION or end > len(datagram):
            yield None
            return
        yield _Packet(kind, first & 0x1F, bool(first & 0x20), datagram[at + _HEADER.size : end])
        at = end


def _unpadded(packet: _Packet) -> bytes:
    """The body without its padding; nothing of one whose padding sticks out."""
    if not packet.padded:
        return packet.body
    count = packet.body[-1] if packet.body else 0
    return packet.body[:-count] if 0 < count <= len(packet.body) else b""


def _sender_report(body: bytes) -> SenderReport:
    ssrc, seconds, fraction, timestamp, packets, octets = _SENDER.unpack_from(body)
    return SenderReport(ssrc, _wall_ns(seconds, fraction), timestamp, packets, octets)


def _wall_ns(seconds: int, fraction: int) -> int | None:
    """Unix time of an NTP timestamp. Its seconds wrap in 2036: small ones are of the next era (RFC 4330, section 3)."""
    if not seconds and not fraction:
        return None
    era = 0 if seconds >> 31 else _ERA_S
    return (seconds + era - _NTP_TO_UNIX_S) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)


def _names(body: bytes, chunks: int) -> list[tuple[int, str]] | None:
    """The canonical name of each chunk that has one; None where a chunk or an item sticks out (section 6.5)."""
    found: list[tuple[int, str]] = []
    at = 0
    for _ in range(chunks):
        if len(body) < at + _WORD.size:
            return None
        ssrc: int = _WORD.unpack_from(body, at)[0]
        at += _WORD.size
        while at < len(body) and body[at]:
            size = body[at + 1] if at + 1 < len(body) else len(body)
            if len(body) < at + 2 + size:
                return None
            if body[at] == _CNAME:
                found.append((ssrc, _text(body[at + 2 : at + 2 + size])))
            at += 2 + size
        if at == len(body):
            return None  # no null octet ends the list of items
        at += 4 - at % 4
    return found


def _text(octets: bytes) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in octets.decode("utf-8", "replace"))
