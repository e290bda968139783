"""Telephone events: what a payload of the events type says (RFC 4733, section 2.3; rule A8).

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     event     |E|R| volume    |          duration             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

Duration is in samples, from the packet's timestamp, at which the event began. Nothing here raises.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

DIGITS: Final = "0123456789*#ABCD"
"""Events 0 to 15; those above are no keys (flash, fax and modem tones)."""
PAYLOAD: Final = np.dtype([("event", "u1"), ("e_r_volume", "u1"), ("duration", ">u2")])
OCTETS: Final = PAYLOAD.itemsize
_NOISE: Final = 0x7F
LONGEST: Final = 0xFFFF
"""The longest duration that one timestamp tells; a key held longer goes on at timestamp + 65,535 (section 2.5.1.3)."""


class Events(NamedTuple):
    """Payloads as columns."""

    event: NDArray[np.uint8]
    ended: NDArray[np.bool_]
    duration: NDArray[np.int64]


def read(payloads: NDArray[np.uint8]) -> Events:
    """Read payloads, u1[n, 4]; what followed the first four octets has no meaning here."""
    fields = np.ascontiguousarray(payloads).view(PAYLOAD)[:, 0]
    return Events(fields["event"].copy(), fields["e_r_volume"] >= 0x80, fields["duration"].astype(np.int64))


def noise_level(octet: int) -> int:
    """The level of comfort noise in dBov, −127..0, by its payload's first octet (RFC 3389, section 3)."""
    return -(octet & _NOISE)
