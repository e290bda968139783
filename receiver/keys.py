"""SRTP keys as people and programs write them (RFC 4568): read, checked, and never shown again (rule D9).

A key is read where it comes in (API, command line), travels as a `Key`, and is used in `receiver.wire.srtp` alone.
What is refused is said without a single character of what was found.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

SUITES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "AES_CM_128_HMAC_SHA1_80": 16 + 14,
        "AES_CM_128_HMAC_SHA1_32": 16 + 14,
        "AEAD_AES_128_GCM": 16 + 12,
        "AEAD_AES_256_GCM": 32 + 12,
    }
)
"""Crypto suite (RFC 4568, RFC 7714) → octets of master key and master salt."""

LONGEST_FILE: Final = 4_096

_PARAMETERS: Final = re.compile(r"inline:([A-Za-z0-9+/]+={0,2})(?:\|(?:2\^\d{1,2}|\d{1,15}))?")
_LINE: Final = re.compile(r"(?:a=crypto:)?(?:\d{1,9} )?(\w+) (\S+)")


class Key(Struct, frozen=True, array_like=True):
    """A crypto suite with master key and salt. No text that is made of it shows the octets."""

    suite: str
    octets: bytes

    def __repr__(self) -> str:
        return f"Key({self.suite})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What prints structs field by field gets this one."""
        return [("suite", self.suite)]


def read(suite: str, parameters: str) -> Key:
    """``inline:BASE64``, perhaps with ``|lifetime`` behind it, for a suite of `SUITES`.

    The padding of the base64 may be left out (RFC 4568, section 6.1). The lifetime binds the sender. Raises
    ``ValueError`` with what was expected, and nothing of what was found.
    """
    if suite not in SUITES:
        raise ValueError(f"suite: one of {', '.join(SUITES)}")
    octets = SUITES[suite]
    form = f"key: inline: and the base64 of {octets} octets (master key and salt of {suite}), perhaps |lifetime"
    if ";" in parameters:
        raise ValueError(f"{form}; one key, not several")
    if parameters.count("|") > 1 or ":" in parameters.partition("|")[2]:
        raise ValueError(f"{form}; a master key identifier (MKI) is not supported")
    match = _PARAMETERS.fullmatch(parameters)
    if match is None:
        raise ValueError(form)
    text = match[1].rstrip("=")
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError(f"{form}; this is no base64") from None
    if len(found) != octets:
        raise ValueError(f"{form}; these are {len(found)} octets")
    return Key(suite, found)


def read_file(text: str) -> Key:
    """One line ``SUITE inline:BASE64``; what SDP writes in front (``a=crypto:1``) may be there. ``ValueError`` as
    `read`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    match = _LINE.fullmatch(lines[0]) if len(lines) == 1 else None
    if match is None:
        raise ValueError("one line SUITE inline:BASE64, as in SDP's a=crypto, without session parameters")
    return read(match[1], match[2])


def written(key: Key) -> str:
    """The other way round: what a sender is told."""
    return f"inline:{base64.b64encode(key.octets).decode()}"
