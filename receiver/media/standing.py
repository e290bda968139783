"""Where taps, sources and streams stand: the words of `receiver.media.columns` for single octets. A number stays."""

from enum import IntEnum
from typing import Any


class TapState(IntEnum):
    """Where a tap stands in the worker. HELD: bound, not read until the relay's answer is there (rule B1)."""

    FREE = 0
    OPEN = 1
    HELD = 2
    CLOSING = 3
    FINISHED = 4


class Policy(IntEnum):
    """``[media].source``: who may be heard at a tap (rule B2)."""

    ANNOUNCED = 0
    EXACT = 1
    ADDRESS = 2
    ALLOW_LIST = 3
    ANY = 4


class Trust(IntEnum):
    """How a source was admitted, least first."""

    NONE = 0
    UNANNOUNCED = 1
    UNVERIFIED = 2
    ALLOW_LIST = 3
    ADDRESS = 4
    ANNOUNCED = 5
    SRTP = 6


class Role(IntEnum):
    """A stream's part in its tap. PAST: another stream took over; late packets of it are still placed."""

    FREE = 0
    PROBATION = 1
    LIVE = 2
    PAST = 3


class Flaw(IntEnum):
    """Why a tap cannot be ``complete`` (bits of the column ``flaws``)."""

    SET_ASIDE = 1
    CONFLICT = 2
    UNANNOUNCED = 4
    LATE_LOST = 8
    NO_ROOM = 16
    NOTES_LOST = 32
    KEY_LOST = 256
    CLOCK = 512
    """Sound of its source was refused for what its clock said (rules A10, A11)."""
    SSRCS = 1_024
    """Sound of its source was given up: more SSRCs than are heard (rules A11, A12)."""


def of_candidate(statistics: Any) -> int:
    """The flaws of a tap that admits a stream with these statistics: what it lost while nobody had decided on it."""
    return (Flaw.LATE_LOST if statistics["late_lost"] else 0) | (Flaw.CLOCK if statistics["invalid"] else 0)
