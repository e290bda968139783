"""Writes captures, octet by octet, with nobody's tools."""

import ipaddress
import struct
from collections.abc import Sequence
from typing import NamedTuple

from receiver.lab.plan import Plan, schedule
from receiver.lab.sender import datagrams
from tests.lab.reference import BEGIN_NS

SECOND = 1_000_000_000
MAGICS = {"us": 0xA1B2C3D4, "ns": 0xA1B23C4D}


class Datagram(NamedTuple):
    """One UDP datagram on its way."""

    stamp_ns: int
    payload: bytes
    source: str = "192.0.2.7"
    port: int = 40_000
    target: str = "198.51.100.1"
    to: int = 20_000


def udp(one: Datagram) -> bytes:
    """With a checksum of zero, that is none."""
    return struct.pack("!HHHH", one.port, one.to, 8 + len(one.payload), 0) + one.payload


def packet(one: Datagram, extensions: Sequence[tuple[int, bytes]] = (), fragment: int = 0) -> bytes:
    """An IP packet, IPv4 or IPv6 as the source's address says. ``extensions``: (number, octets behind the first)."""
    source, target = ipaddress.ip_address(one.source), ipaddress.ip_address(one.target)
    inside, protocol = udp(one), 17
    if source.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inside), 7, fragment, 64, protocol, 0)
        return head + source.packed + target.packed + inside
    for number, octets in reversed(extensions):
        inside, protocol = bytes([protocol]) + octets + inside, number
    return struct.pack("!IHBB", 6 << 28, len(inside), protocol, 64) + source.packed + target.packed + inside


def framed(link: int, inside: bytes, order: str = "<", tags: Sequence[int] = ()) -> bytes:
    """A frame of this link type around an IP packet. ``tags``: the ether types of VLAN tags, outermost first."""
    kind = 0x0800 if inside[0] >> 4 == 4 else 0x86DD
    types = [*tags, kind]
    vlan = b"".join(struct.pack("!HH", 100 + k, later) for k, later in enumerate(types[1:]))
    if link == 1:
        return bytes(12) + struct.pack("!H", types[0]) + vlan + inside
    if link == 113:
        return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), types[0]) + vlan + inside
    if link == 276:
        return struct.pack("!HHIHBB8s", types[0], 0, 3, 1, 0, 6, bytes(8)) + vlan + inside
    family = 2 if kind == 0x0800 else 30
    if link == 0:
        return struct.pack(order + "I", family) + inside
    if link == 108:
        return struct.pack("!I", family) + inside
    return inside


def pcap(
    frames: Sequence[tuple[int, bytes]], link: int = 101, order: str = "<", unit: str = "ns", snap: int = 65_535
) -> bytes:
    """A classic capture of (stamp in ns, frame)."""
    divisor = 1_000 if unit == "us" else 1
    out = [struct.pack(order + "IHHiIII", MAGICS[unit], 2, 4, 0, 0, snap, link)]
    for stamp_ns, frame in frames:
        seconds, rest = divmod(stamp_ns, SECOND)
        out += [struct.pack(order + "IIII", seconds, rest // divisor, len(frame[:snap]), len(frame)), frame[:snap]]
    return b"".join(out)


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    """A section header."""
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, link: int, resolution: int = 9, offset_s: int = 0, snap: int = 0) -> bytes:
    """An interface description with the two options that matter."""
    options = struct.pack(order + "HHB3x", 9, 1, resolution) + struct.pack(order + "HHq", 14, 8, offset_s)
    return block(order, 1, struct.pack(order + "HxxI", link, snap) + options + struct.pack(order + "HH", 0, 0))


def enhanced(order: str, number: int, units: int, frame: bytes, full: int | None = None) -> bytes:
    """An enhanced packet."""
    head = struct.pack(order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(frame), full or len(frame))
    return block(order, 6, head + frame)


def pcapng(frames: Sequence[tuple[int, bytes]], link: int = 101, order: str = "<", resolution: int = 9) -> bytes:
    """A capture of one section with one interface, in a power of ten of a second."""
    divisor = 10 ** (9 - resolution)
    packets = [enhanced(order, 0, stamp_ns // divisor, frame) for stamp_ns, frame in frames]
    return section(order) + interface(order, link, resolution) + b"".join(packets)


def sent(plan: Plan) -> list[Datagram]:
    """A plan's packets, each as it left: caller *k* from port 40,000 + k to port 20,000 + 2k."""
    packets = schedule(plan)
    octets = datagrams(packets)
    return [
        Datagram(
            BEGIN_NS + int(one["when_ns"]), row[: 12 + int(one["size"])].tobytes(), port=40_000 + int(one["caller"]),
            to=20_000 + 2 * int(one["caller"]),
        )
        for one, row in zip(packets, octets, strict=True)
    ]  # fmt: skip


def of_type(payload_type: int, one: Datagram) -> Datagram:
    """The same packet of RTP with another payload type."""
    return one._replace(payload=one.payload[:1] + bytes([payload_type]) + one.payload[2:])


def capture(plan: Plan, link: int = 101, order: str = "<", unit: str = "ns") -> bytes:
    """A classic capture of a plan."""
    return pcap([(one.stamp_ns, framed(link, packet(one), order)) for one in sent(plan)], link, order, unit)
