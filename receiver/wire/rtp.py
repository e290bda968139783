"""RTP: a slab of datagrams read as columns, a verdict for every row (RFC 3550, section 5.1; rule A1).

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                           timestamp                           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           synchronization source (SSRC) identifier            |
    +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+

Nothing here raises whatever the octets are; a row that fails is a number in a column. Nearly every row of a tap starts
with 0x80 and has a size in the middle, so two comparisons settle it; only the others are looked at more closely.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.wire import g711

FIXED_HEADER: Final = np.dtype(
    [("v_p_x_cc", "u1"), ("m_pt", "u1"), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")]
)

HEADER_OCTETS: Final = FIXED_HEADER.itemsize
LONGEST_DATAGRAM: Final = 1500
LONGEST_PAYLOAD: Final = 1460
"""Octets: what IP, UDP and the fixed header leave of an Ethernet frame.

ffmpeg fills it by default; rule A1 said 1,280.
"""
_PLAIN: Final = 0x80
"""First octet of a packet of version 2 without padding, extension and CSRCs."""
_RTCP: Final = slice(192, 224)
"""Second octets that are RTCP packet types (RFC 5761, section 4)."""
_COMFORT_NOISE: Final = 13


class Verdict(IntEnum):
    """What became of a datagram. Each is counted exactly once."""

    ACCEPTED = 0
    """Speech in G.711: to be placed."""
    COMFORT_NOISE = 1
    """A whole packet of payload type 13 (RFC 3389): counted in its stream, never placed."""
    EVENT = 2
    """A whole packet of the events type (RFC 4733): counted in its stream, never placed."""
    RTCP = 3
    """Second octet 192..223, version 2, at least 8 octets."""
    SHORT = 4
    """Fewer than 12 octets; also the empty datagram."""
    LONG = 5
    """More than 1,500 octets; also what the slab's row cut off."""
    VERSION = 6
    """Not version 2."""
    CSRC = 7
    """The list of contributing sources sticks out."""
    EXTENSION = 8
    """The header extension sticks out."""
    PADDING = 9
    """Padding of no octets, or of more than there are."""
    EMPTY = 10
    """No payload."""
    OVERSIZED = 11
    """More than 1,460 octets of payload."""
    PAYLOAD_TYPE = 12
    """A payload type that nobody announced."""

    FOREIGN = 13
    """By media: from a source that the tap's policy does not admit."""
    PROBATION = 14
    """By media: from a candidate, placed in a row of its own until it is decided."""
    CROWDED = 15
    """By media: from a candidate for whom no row was left."""
    LATE_LOST = 16
    """By media: came after its place was published, or found the patch log full (rules C7, K6)."""
    AHEAD = 17
    """By media: beyond what the clock allows (rule A10)."""
    EPOCH_LIMIT = 18
    """By media: would open one epoch too many this minute (rule A11)."""
    NO_ROOM = 19
    """By media: the ring had no room for it (rule K4)."""
    STRAY = 20
    """By media: came for a tap that is closed (rule A16)."""
    UNAUTHENTIC = 21
    """By media: for a tap with a key, and its tag is not right (rule B3)."""
    REPLAYED = 22
    """By media: its tag is right, but it came before: from another source, or too long ago to tell."""
    NOT_OPUS = 23
    """By media: of the type that was announced for Opus, and no Opus packet (RFC 6716, section 3.4)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The slab read as columns: element *i* speaks of datagram *i*.

    Where the verdict is above ``EVENT`` the other columns have no meaning.
    """

    verdict: NDArray[np.uint8]
    payload_type: NDArray[np.uint8]
    marker: NDArray[np.bool_]
    sequence: NDArray[np.int64]
    """As sent, 16 bits."""
    timestamp: NDArray[np.int64]
    """As sent, 32 bits, in samples."""
    ssrc: NDArray[np.uint32]
    payload_at: NDArray[np.int64]
    """Octets from the beginning of the slab's row."""
    payload_size: NDArray[np.int64]
    """Octets, 1..1,460."""


def payload_kinds(events_payload_type: int = 101) -> NDArray[np.uint8]:
    """Return the verdict, u1[128], that a whole packet of each payload type gets."""
    kinds = np.full(128, Verdict.PAYLOAD_TYPE, np.uint8)
    kinds[[g711.PCMU, g711.PCMA]] = Verdict.ACCEPTED
    kinds[_COMFORT_NOISE] = Verdict.COMFORT_NOISE
    kinds[events_payload_type] = Verdict.EVENT
    return kinds


def parse(octets: NDArray[np.uint8], size: NDArray[np.integer], kinds: NDArray[np.uint8]) -> Batch:
    """Read datagrams as RTP: ``octets`` u1[n, ≥ 1501] C-contiguous, ``size`` in octets [n], ``kinds`` u1[128].

    What lies in a row beyond its size has no influence.
    """
    header = octets[:, :HEADER_OCTETS].view(FIXED_HEADER)[:, 0]
    first, second = header["v_p_x_cc"], header["m_pt"]
    by_second = np.concatenate((kinds, kinds))
    by_second[_RTCP] = Verdict.RTCP

    verdict = by_second[second]
    payload_at = np.full(len(size), HEADER_OCTETS, np.int64)
    payload_size = size.astype(np.int64) - HEADER_OCTETS

    plain = (first == _PLAIN) & (payload_size >= 1) & (payload_size <= LONGEST_PAYLOAD)
    if not plain.all():
        odd = np.flatnonzero(~plain)
        verdict[odd], payload_at[odd], payload_size[odd] = _look_closely(
            octets, odd, payload_size[odd] + HEADER_OCTETS, verdict[odd]
        )
    return Batch(
        verdict=verdict,
        payload_type=second & np.uint8(0x7F),
        marker=second >= 0x80,
        sequence=header["sequence"].astype(np.int64),
        timestamp=header["timestamp"].astype(np.int64),
        ssrc=header["ssrc"].astype(np.uint32),
        payload_at=payload_at,
        payload_size=payload_size,
    )


def gather(
    octets: NDArray[np.uint8], which: NDArray[np.intp], payload_at: NDArray[np.int64] | int, size: int
) -> NDArray[np.uint8]:
    """Return a copy, u1[k, size], of equally long payloads: ``size`` ≥ 1 octets at ``payload_at`` of rows ``which``.

    ``octets`` is the C-contiguous slab. A payload is copied as one element, not octet by octet.
    """
    payloads: NDArray[np.void] = np.ndarray((octets.size - size + 1,), f"V{size}", octets, strides=(1,))
    copies: NDArray[np.uint8] = payloads[which * octets.shape[1] + payload_at].view(np.uint8)
    return copies.reshape(-1, size)


def _look_closely(
    octets: NDArray[np.uint8], which: NDArray[np.intp], size: NDArray[np.int64], kind: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return verdict, payload's place and size of the rows ``which``: the whole gate of rule A1, no row alone.

    Every read is clipped into the row; what it read where it had nothing to read is outvoted: the last word holds.
    """
    last = octets.shape[1] - 1
    first = octets[which, 0]

    after_sources = HEADER_OCTETS + 4 * (first & 0x0F).astype(np.int64)
    extended = (first & 0x10) != 0
    words = octets[which, np.minimum(after_sources + 2, last)].astype(np.int64) << 8
    words |= octets[which, np.minimum(after_sources + 3, last)]
    start = after_sources + np.where(extended, 4 + 4 * words, 0)

    padded = (first & 0x20) != 0
    padding = np.where(padded, octets[which, np.clip(size - 1, 0, last)], 0)
    payload_size = size - start - padding

    rtcp = (kind == Verdict.RTCP) & (size >= 8)
    verdict = kind.copy()
    for holds, found in (
        (payload_size > LONGEST_PAYLOAD, Verdict.OVERSIZED),
        (payload_size == 0, Verdict.EMPTY),
        (padded & ((padding == 0) | (payload_size < 0)), Verdict.PADDING),
        (extended & (start > size), Verdict.EXTENSION),
        (after_sources > size, Verdict.CSRC),
        (rtcp, Verdict.RTCP),
        (first >> 6 != 2, Verdict.VERSION),
        ((size < HEADER_OCTETS) & ~(rtcp & (first >> 6 == 2)), Verdict.SHORT),
        (size > LONGEST_DATAGRAM, Verdict.LONG),
    ):
        verdict[holds] = found
    return verdict, start, payload_size
