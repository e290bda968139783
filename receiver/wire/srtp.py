"""SRTP: packets are authenticated and decrypted, one at a time (RFC 3711; AES-GCM: RFC 7714). The only file that knows
pylibsrtp.

Whoever calls says which packet **index** (48 bits, RFC 3711, section 3.3.1) a packet has, and is told its plain form or
None. That depends on key, index and octets alone, never on what came before: what libsrtp keeps (a rollover counter
and a replay window per SSRC) is only a way to be quick, and is made anew where it is in the way. So the judgement on
replays is the caller's, who keeps it where it survives a death.

libsrtp has no setter for the rollover counter. A context is *walked* to an index instead: it is fed packets that are
made here with the same key, in steps that it cannot misread. They never leave the process.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from pylibsrtp import Error, Policy, Session

HEADER_OCTETS: Final = 12
WINDOW: Final = 1_024
"""Packets behind the newest that can still be told from replays (128, the default, refuses one that is 345 late)."""
LONGEST_TRAILER: Final = 16
"""Octets that a suite adds at most."""
LONGEST_PLAIN: Final = 1_500 - 144
"""Octets that pylibsrtp seals: it keeps room for a trailer of any kind."""
STRIDE: Final = 0x7000  # of a walk: below half of the sequence numbers
MOST_SOURCES: Final = 64  # SSRCs that one context remembers: more, and it begins anew
_CIRCLE: Final = 1 << 16


class Suite(IntEnum):
    """Crypto suites, as columns hold them; 0 is none. The names are RFC 4568's and RFC 7714's."""

    AES_CM_128_HMAC_SHA1_80 = 1
    AES_CM_128_HMAC_SHA1_32 = 2
    AEAD_AES_128_GCM = 3
    AEAD_AES_256_GCM = 4


_PROFILES: Final = {
    Suite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


class _Replayed(Exception):
    """libsrtp has seen this index, or cannot say: it did not look at the tag."""


class Opener:
    """Opens what was sealed with one key (``suite``; ``octets``: master key and salt)."""

    def __init__(self, suite: Suite, octets: bytes) -> None:
        self._key = suite, octets
        self._main, self._aside = _Context(*self._key), _Context(*self._key)

    def open(self, packet: bytes, ssrc: int, index: int) -> bytes | None:
        """The plain RTP packet, if its tag is right under this index ≥ 0; else None. Nothing raises."""
        for context in (self._main, self._aside):
            try:
                return context.open(packet, ssrc, index)
            except _Replayed:
                continue
        self._aside = _Context(*self._key)
        try:
            return self._aside.open(packet, ssrc, index)
        except _Replayed:  # it was walked to just before
            return None

    def open_control(self, packet: bytes) -> bytes | None:
        """The plain RTCP packet (SRTCP carries its index, RFC 3711, section 3.4), if its tag is right; else None."""
        return self._main.open_control(packet)


class Sealer:
    """Seals packets with one key: for walks, for tests, for the laboratory's senders."""

    def __init__(self, suite: Suite, octets: bytes) -> None:
        policy = _policy(suite, octets, Policy.SSRC_ANY_OUTBOUND)
        policy.allow_repeat_tx = True
        self._session = Session(policy)
        self._at: dict[int, int] = {}

    def seal(self, packet: bytes, ssrc: int, index: int) -> bytes:
        """The packet as SRTP. Its sequence number is the index's; an index far behind the newest is refused.

        Raises ``pylibsrtp.Error`` and, for a packet that is too long, ``ValueError``.
        """
        at = self._at.get(ssrc)
        for step in _steps(at, index):
            self._session.protect(_blank(ssrc, step))
        self._at[ssrc] = index if at is None else max(at, index)
        return self._session.protect(packet)

    def seal_control(self, packet: bytes) -> bytes:
        """An RTCP packet as SRTCP."""
        return self._session.protect_rtcp(packet)


class _Context:
    """A session of libsrtp, and what it has of every SSRC."""

    def __init__(self, suite: Suite, octets: bytes) -> None:
        self._key = suite, octets
        self._begin()

    def _begin(self) -> None:
        self._session = Session(_policy(*self._key, Policy.SSRC_ANY_INBOUND))
        self._at: dict[int, int] = {}

    def open(self, packet: bytes, ssrc: int, index: int) -> bytes | None:
        """Raises _Replayed where this context cannot tell."""
        at = self._at.get(ssrc)
        if at is None or index - at > STRIDE:
            self._walk(ssrc, at, index)
            at = self._at.get(ssrc)
        elif at - index >= WINDOW:
            raise _Replayed
        try:
            plain: bytes = self._session.unprotect(packet)
        except ValueError:  # longer than 1,500 octets
            return None
        except Error as error:
            if str(error).startswith("replay"):
                raise _Replayed from None
            return None
        if at is None or index > at:
            self._at[ssrc] = index
        return plain

    def open_control(self, packet: bytes) -> bytes | None:
        """None for a replay, too."""
        try:
            plain: bytes = self._session.unprotect_rtcp(packet)
        except (Error, ValueError):
            return None
        return plain

    def _walk(self, ssrc: int, at: int | None, index: int) -> None:
        """To just before ``index``; nothing to do where a fresh context takes the index as it is."""
        if at is None and len(self._at) >= MOST_SOURCES:
            self._begin()
        steps = list(_steps(at, index))
        if not steps:
            return
        sealer = Sealer(*self._key)  # it walks by itself to the first of them
        for step in steps:
            self._session.unprotect(sealer.seal(_blank(ssrc, step), ssrc, step))
            self._at[ssrc] = step


def _steps(at: int | None, index: int) -> Iterator[int]:
    """By which indices a context that stands ``at`` one (None: fresh) gets to just before another one."""
    if at is None:
        if index < _CIRCLE:  # a fresh context takes any sequence number for one of the first circle
            return
        at = 0
    while index - at > STRIDE:
        at = min(at + STRIDE, index - 1)
        yield at


def _blank(ssrc: int, index: int) -> bytes:
    return struct.pack("!BBHLLB", 0x80, 0, index % _CIRCLE, 0, ssrc, 0)


def _policy(suite: Suite, octets: bytes, direction: int) -> Policy:
    policy = Policy(octets, direction, 0, _PROFILES[suite])
    policy.window_size = WINDOW
    return policy
