"""What a network, a switch or a sender does to a stream, by name: the conditions that recorders are compared in.

Each is a `receiver.lab` weather, and sometimes a dress: what the lab's sender does not put around its packets. The same
seed, the same datagrams at the same times.
"""

import zlib
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from receiver.lab import sound, weather
from receiver.lab.forecast import PRESETS, Moments, Weather, forecast
from receiver.lab.sender import datagrams
from receiver.lab.weather import Dice, Packets
from receiver.wire.rtp import HEADER_OCTETS

SECONDS: Final = 20.0
_MS: Final = 1_000_000
GARBAGE: Final = -1
CODECS: Final = ("PCMU", "PCMA")


class Condition(msgspec.Struct, frozen=True):
    """One row of the table. What follows the name is what happens."""

    name: str
    weather: Weather = Weather()
    seconds: float = SECONDS
    """Of sound; a standing clock makes the call longer."""
    overtaken: bool = False
    """The first packets come in another order: 3, 1, 4, 0, 2."""
    late: int = 0
    """So many packets, a second apart, come 1.5 s late."""
    dressed: bool = False
    """Header extensions (RFC 8285), CSRC lists and padding around the sound (RFC 3550, section 5.1)."""
    garbage: bool = False
    """Between every five packets something comes from the same address that is no sound."""


CONDITIONS: Final = (
    Condition("clean"),
    Condition("5 % loss", Weather(loss=0.05)),
    Condition("30 % bursty loss", Weather(loss=0.3, loss_run=6)),
    Condition("reorder 200 ms", Weather(reorder=0.2, reorder_ms=200)),
    Condition("start reordered", overtaken=True),
    Condition("duplicate 10 %", Weather(duplicate=0.1)),
    Condition("jitter 300 ms", Weather(jitter_ms=300)),
    Condition("three packets 1.5 s late", late=3),
    Condition("silence suppression", Weather(pause=Moments(1, 2))),
    Condition("hold 30 s, clock runs", Weather(pause=Moments(5), pause_ms=30_000), seconds=45),
    Condition("hold 30 s, clock stands", Weather(clock_stop=Moments(5), clock_stop_ms=30_000), seconds=15),
    Condition("SSRC change", Weather(ssrc_change=Moments(4, 6))),
    Condition("timestamp jump forward", Weather(jump=Moments(4, 6))),
    Condition("timestamp jump back", Weather(jump=Moments(4, 6), jump_samples=-40_000)),
    Condition("wrap", Weather(wrap=True)),
    Condition("10 and 30 ms packets", Weather(sizes=(80, 240), sizes_run=50)),
    Condition("odd sizes", Weather(sizes=(81, 97, 113, 160, 161, 203, 333, 960))),
    Condition("header extensions and padding", dressed=True),
    Condition("garbage between", garbage=True),
    Condition("everything at once", PRESETS["everything"], overtaken=True, late=3, dressed=True, garbage=True),
)


@dataclass(frozen=True)
class Stream:
    """One condition in one codec, ready to be sent.

    Datagram *i* is due ``when_ns[i]`` after the beginning, holds ``octets[i]`` and is row ``row[i]`` of ``packets``, or
    GARBAGE.
    """

    condition: Condition
    codec: str
    voice: int
    packets: Packets
    when_ns: NDArray[np.int64]
    octets: list[bytes]
    row: NDArray[np.int64]


def stream(condition: Condition, codec: str, voice: int, seed: int = 1) -> Stream:
    """Make a stream; the dice are of the condition's name, the codec and the seed."""
    dice = np.random.default_rng([seed, zlib.crc32(condition.name.encode()), sound.LAWS[codec]])
    packets = forecast(condition.weather, 160, condition.seconds, dice)
    packets["voice"], packets["payload_type"] = voice, sound.LAWS[codec]
    if condition.overtaken:
        packets["when_ns"][:5] = packets["when_ns"][4] + np.array([3, 1, 4, 0, 2]) * _MS
    if condition.late:
        moments = (3 + np.arange(condition.late)) * 1_000 * _MS
        packets["when_ns"][np.searchsorted(packets["when_ns"], moments)] += 1_500 * _MS
    packets = weather.in_order(packets)
    plain = datagrams(packets)
    ends = HEADER_OCTETS + packets["size"].astype(np.int64)
    octets = [row[:end].tobytes() for row, end in zip(plain, ends.tolist(), strict=True)]
    if condition.dressed:
        octets = [_dressed(each, dice) for each in octets]
    when_ns, row = packets["when_ns"].astype(np.int64), np.arange(len(packets))
    if condition.garbage:
        near = np.arange(2, len(packets), 5)
        octets += [_garbage(octets[k], dice) for k in near.tolist()]
        when_ns, row = np.append(when_ns, when_ns[near] + 3 * _MS), np.append(row, np.full(near.size, GARBAGE))
        order = np.argsort(when_ns, kind="stable")
        when_ns, row, octets = when_ns[order], row[order], [octets[k] for k in order.tolist()]
    return Stream(condition, codec, voice, packets, when_ns, octets, row)


def _dressed(datagram: bytes, dice: Dice) -> bytes:
    """The same packet with a header extension, and some with contributing sources and padding."""
    csrcs, pad = int(dice.integers(0, 4)), int(dice.integers(0, 9))
    first = 2 << 6 | (pad > 0) << 5 | 1 << 4 | csrcs
    extension = b"\xbe\xde\x00\x01\x10" + dice.bytes(1) + bytes(2)  # one-byte form: id 1, one octet (an audio level)
    padding = bytes(pad - 1) + bytes([pad]) if pad else b""
    header = bytes([first]) + datagram[1:HEADER_OCTETS] + dice.bytes(4 * csrcs) + extension
    return header + datagram[HEADER_OCTETS:] + padding


def _garbage(datagram: bytes, dice: Dice) -> bytes:
    """Something that is no sound: what scanners, other protocols and broken senders put on a port."""
    kind = int(dice.integers(0, 6))
    if kind == 0:
        return dice.bytes(int(dice.integers(1, 1_400)))
    if kind == 1:
        return datagram[: int(dice.integers(1, HEADER_OCTETS))]  # cut off
    if kind == 2:
        return bytes([datagram[0] & 0x3F | 1 << 6]) + datagram[1:]  # version 1
    if kind == 3:
        return datagram[:1] + bytes([77]) + dice.bytes(10) + datagram[HEADER_OCTETS:]  # nobody's payload type
    if kind == 4:
        return b"\x80\xc8\x00\x06" + dice.bytes(24)  # a sender report of RTCP
    return b"\x00\x01\x00\x00\x21\x12\xa4\x42" + dice.bytes(12)  # a binding request of STUN
