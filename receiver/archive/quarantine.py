"""A slab that two workers died on is set aside as a capture (rule K7): evidence, and later a vector for the tests.

Classic pcap with nanoseconds; the link type is raw IP, for the headers in front of each datagram are made by us: the
slab knows source, port and time, not the packet around it. The destination address is therefore the loopback's.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receiver.archive.files import Files
from receiver.archive.sidecar import moment

LINKTYPE_RAW = 101  # www.tcpdump.org/linktypes.html
MOST_SLABS = 64
"""More are not kept: whoever can make workers die must not be able to fill the disk."""

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_NANOSECONDS = 0xA1B23C4D
_SNAP = 65535
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_UDP = struct.Struct("!HHHH")
_UDP_PROTOCOL = 17
_HOPS = 64
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:a.b.c.d is IPv4

Integers = NDArray[Any]


def set_aside(
    files: Files,
    worker: int,
    arrival_ns: Integers,
    sources: tuple[Integers, Integers, Integers],
    ports: Integers,
    octets: NDArray[np.uint8],
    size: Integers,
) -> str | None:
    """Write n datagrams into ``quarantine/``; return the name, or None when there are ``MOST_SLABS`` already.

    ``arrival_ns`` UNIX time; ``sources``: the high and low half of the address (IPv4 as ::ffff:a.b.c.d) and the port;
    ``ports``: ours; ``octets`` u1[n, room] with ``size`` octets each, a larger size was cut off by the kernel. The same
    slab twice is one file.
    """
    kept = [name for name in files.listing("quarantine") if name.endswith(".pcap")]
    first = moment(int(arrival_ns[0]) if len(arrival_ns) else 0)
    name = f"quarantine/slab-{worker}-{first:%Y%m%dT%H%M%S.%fZ}.pcap"
    if len(kept) >= MOST_SLABS and name not in kept:
        return None
    high, low, port = sources
    capture = [_FILE.pack(_NANOSECONDS, 2, 4, 0, 0, _SNAP, LINKTYPE_RAW)]
    for row in range(len(size)):
        address = struct.pack("!QQ", int(high[row]), int(low[row]))
        kept_octets = min(int(size[row]), octets.shape[1])
        payload = octets[row, :kept_octets].tobytes()
        packet = _datagram(address, int(port[row]), int(ports[row]), payload)
        full = len(packet) + int(size[row]) - kept_octets
        at = divmod(int(arrival_ns[row]), 1_000_000_000)
        capture += [_RECORD.pack(*at, len(packet), full), packet]
    files.write_durably(name, b"".join(capture))
    return name


def _datagram(source: bytes, port: int, to_port: int, payload: bytes) -> bytes:
    """An IP packet with one UDP datagram (RFC 768, 791, 8200), checksums true."""
    length = _UDP.size + len(payload)
    if source.startswith(_MAPPED):
        source, target = source[len(_MAPPED) :], bytes((127, 0, 0, 1))
        plain = _IPV4.pack(0x45, 0, _IPV4.size + length, 0, 0, _HOPS, _UDP_PROTOCOL, 0, source, target)
        head = _IPV4.pack(0x45, 0, _IPV4.size + length, 0, 0, _HOPS, _UDP_PROTOCOL, _checksum(plain), source, target)
    else:
        target = bytes(15) + b"\x01"
        head = _IPV6.pack(6 << 28, length, _UDP_PROTOCOL, _HOPS, source, target)
    pseudo = source + target + struct.pack("!HH", _UDP_PROTOCOL, length)  # both kinds add up to the same
    udp = _UDP.pack(port, to_port, length, 0) + payload
    check = _checksum(pseudo + udp) or 0xFFFF
    return head + _UDP.pack(port, to_port, length, check) + payload


def _checksum(octets: bytes) -> int:
    """RFC 1071: the ones' complement of the ones' complement sum of 16 bits each."""
    words = np.frombuffer(octets + bytes(len(octets) % 2), ">u2")
    total = int(words.sum(dtype=np.uint64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
