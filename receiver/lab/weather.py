"""What senders and networks do to packets: pure functions from packets to packets. The same dice, the same weather.

A schedule is an array of PACKET records. First a *sender* speaks: its clock may stand still, it may fall silent,
change its SSRC, its timestamps, its packetization. Then a *network* loses, delays, doubles and reorders. The sound
that a packet carries (``sample``, ``size``) is never touched by either, so what a recording holds can always be
judged.

Times are nanoseconds from the beginning of the plan; positions and sizes are samples (of 125 µs).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.wire.g711 import CLOCK_RATE

NS_PER_SAMPLE: Final = 1_000_000_000 // CLOCK_RATE

PACKET: Final = np.dtype(
    [
        ("when_ns", "i8"),  # due
        ("caller", "u4"),
        ("voice", "u8"),  # whose sound (lab.sound)
        ("sample", "i8"),  # index of the first sample in the voice's sound
        ("size", "u2"),  # samples = octets of payload
        ("ssrc", "u4"),
        ("sequence", "u2"),
        ("timestamp", "u4"),
        ("payload_type", "u1"),
        ("marker", "?"),  # begins a talkspurt (RFC 3551, section 4.1)
        ("copy", "u1"),  # 0: the packet itself, 1: its duplicate
    ]
)

Packets = NDArray[np.void]
Dice = np.random.Generator


def steady(sizes: NDArray[np.int64], start_ns: int = 0) -> Packets:
    """A sender in good weather: packets of these sizes, each due when its last sample was spoken.

    Caller, voice, SSRC, payload type and first numbers are 0; ``number_from`` sets the latter.
    """
    packets = np.zeros(len(sizes), PACKET)
    end = np.cumsum(sizes)
    packets["size"], packets["sample"] = sizes, end - sizes
    packets["when_ns"] = start_ns + end * NS_PER_SAMPLE
    packets["sequence"], packets["timestamp"] = np.arange(len(sizes)) & 0xFFFF, (end - sizes) & 0xFFFFFFFF
    packets["marker"][:1] = True
    return packets


def cut(samples: int, sizes: Sequence[int], run: int, dice: Dice) -> NDArray[np.int64]:
    """Cut so many samples (or up to one packet less) into packets; the size is drawn anew from ``sizes`` every
    ``run`` packets."""
    most = samples // min(sizes)
    drawn = np.repeat(dice.choice(np.asarray(sizes, np.int64), most // run + 1), run)
    return drawn[: np.searchsorted(np.cumsum(drawn), samples, side="right")]


def number_from(packets: Packets, ssrc: int, sequence: int, timestamp: int) -> Packets:
    """Give the stream its SSRC and the numbers that it counts from; both wrap (16 and 32 bits)."""
    told = packets.copy()
    told["ssrc"] = ssrc
    told["sequence"] += np.uint16(sequence)
    told["timestamp"] += np.uint32(timestamp)
    return told


def pause(packets: Packets, moments_ns: Sequence[int], length_ns: int) -> Packets:
    """No packets for a while and the timestamp goes on: silence suppression (rule A7). Sequence numbers are
    consecutive over it."""
    quiet = np.zeros(len(packets), np.bool_)
    for moment in moments_ns:
        quiet |= (packets["when_ns"] >= moment) & (packets["when_ns"] < moment + length_ns)
    told = packets.copy()
    told["sequence"] -= np.cumsum(quiet).astype(np.uint16)
    told["marker"][1:] |= quiet[:-1]
    return told[~quiet]


def change_ssrc(packets: Packets, moments_ns: Sequence[int], dice: Dice) -> Packets:
    """A new SSRC, new random sequence numbers and timestamps (RFC 3550, section 8; rule A11). The sound goes on."""
    told = packets.copy()
    for moment in moments_ns:
        later = told["when_ns"] >= moment
        told["ssrc"][later] = dice.integers(1 << 32)
        told["sequence"][later] += np.uint16(dice.integers(1 << 16))
        told["timestamp"][later] += np.uint32(dice.integers(1 << 32))
    return told


def jump(packets: Packets, moments_ns: Sequence[int], samples: int) -> Packets:
    """Timestamps jump by so many samples, forward or back; nothing else changes (rule A10)."""
    told = packets.copy()
    times = np.searchsorted(np.sort(np.asarray(moments_ns, np.int64)), told["when_ns"], side="right")
    told["timestamp"] = (told["timestamp"] + times * samples) & 0xFFFFFFFF
    return told


def stop_clock(packets: Packets, moments_ns: Sequence[int], length_ns: int) -> Packets:
    """The sender's clock stands still: no packets for a while, then everything goes on where it was, later (rule
    A17)."""
    told = packets.copy()
    stops = np.searchsorted(np.sort(np.asarray(moments_ns, np.int64)), told["when_ns"], side="right")
    told["when_ns"] += stops * length_ns
    return told


def gilbert_elliott(count: int, share: float, run: float, dice: Dice) -> NDArray[np.bool_]:
    """Return which of ``count`` packets are lost: bool[count], True for a share of all, in runs of mean length
    ``run``.

    Gilbert's model of 1960 with Elliott's two states: nothing is lost in the good one, everything in the bad one. The
    bad one is left with probability 1/run. ValueError if that share cannot be had with such runs.
    """
    if not 0 <= share < 1 or run < 1 or share > run / (run + 1):
        raise ValueError(f"no weather loses a share of {share} in runs of {run} packets")
    enter = share / (1 - share) / run
    if not enter:  # also a share so small that the quotient is none
        return np.zeros(count, np.bool_)
    pairs = count + 1  # more than enough: every stay lasts a packet at least
    stays = np.stack([dice.geometric(enter, pairs), dice.geometric(1 / run, pairs)], axis=1).reshape(-1)
    begins_bad = int(dice.random() < share)
    changes = np.searchsorted(np.cumsum(stays[begins_bad:]), np.arange(count), side="right")
    bad: NDArray[np.bool_] = (changes + begins_bad) % 2 == 1
    return bad


def lose(packets: Packets, share: float, run: float, dice: Dice) -> Packets:
    """Loss by Gilbert and Elliott (rule A6)."""
    return packets[~gilbert_elliott(len(packets), share, run, dice)]


def jitter(packets: Packets, most_ns: int, dice: Dice) -> Packets:
    """A queue on the way: each packet is late by 0..``most_ns``, and none overtakes another."""
    told = packets.copy()
    delay = np.minimum(dice.exponential(most_ns / 5, len(told)), most_ns).astype(np.int64)
    told["when_ns"] = np.maximum.accumulate(told["when_ns"] + delay)
    return told


def stall(packets: Packets, moments_ns: Sequence[int], length_ns: int) -> Packets:
    """The network stands still: what was due meanwhile comes at once, in order, at the end."""
    told = packets.copy()
    for moment in moments_ns:
        held = (told["when_ns"] >= moment) & (told["when_ns"] < moment + length_ns)
        told["when_ns"][held] = moment + length_ns
    return told


def reorder(packets: Packets, share: float, most_ns: int, dice: Dice) -> Packets:
    """A share of the packets is late by 0..``most_ns`` and is overtaken (rule A4)."""
    told = packets.copy()
    late = dice.random(len(told)) < share
    told["when_ns"] += np.where(late, dice.integers(0, most_ns + 1, len(told)), 0)
    return in_order(told)


def duplicate(packets: Packets, share: float, most_ns: int, dice: Dice) -> Packets:
    """A share of the packets comes once more, 0..``most_ns`` later, never before itself (rule A4)."""
    copies = packets[dice.random(len(packets)) < share]
    copies["copy"] = 1
    copies["when_ns"] += dice.integers(0, most_ns + 1, len(copies))
    return in_order(np.concatenate([packets, copies]))


def in_order(packets: Packets) -> Packets:
    """By the time they are due; what is due at the same time keeps its order."""
    return packets[np.argsort(packets["when_ns"], kind="stable")]
