"""Credentials on their way to the next process: each in a memory file that nobody can change any more (rule D9).

They never touch a disk, and are gone with the last descriptor. It is the service manager that keeps one meanwhile.
"""

import fcntl
import os
from typing import Final

import msgspec

from receiver.keys import Key

SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
LONGEST: Final = 1 << 20  # octets
KEY: Final = "srtp"


def seal(name: str, octets: bytes) -> int:
    """A new memory file with this content, whole or not at all: its descriptor, the caller's. Raises ``OSError``."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.pwrite(descriptor, octets, 0)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unseal(descriptor: int) -> bytes:
    """What is in one. Raises ``OSError``."""
    return os.pread(descriptor, LONGEST, 0)


def seal_key(key: Key) -> int:
    """A tap's SRTP key."""
    return seal(KEY, msgspec.msgpack.encode(key))


def unseal_key(descriptor: int) -> Key | None:
    """The other way round; None for what is no key."""
    try:
        return msgspec.msgpack.decode(unseal(descriptor), type=Key)
    except (OSError, msgspec.MsgspecError):
        return None
