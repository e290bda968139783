"""Lines from a descriptor, each waited for with a bound."""

import os
import select
import time
from collections.abc import Callable


class NoLine(Exception):
    """The other side said nothing in time, or is gone."""


class Gone(NoLine):
    """The other side is gone."""


class Lines:
    """Reads a pipe line by line. Nobody else may read the same descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._heard = b""

    def next(self, timeout_s: float, given_up: Callable[[], bool] = lambda: False) -> bytes:
        """Return the next line without its end; raises NoLine. ``given_up`` is asked every 100 ms."""
        until = time.monotonic() + timeout_s
        while b"\n" not in self._heard:
            left = until - time.monotonic()
            if left <= 0 or given_up():
                raise NoLine(f"no line came in {timeout_s:g} s")
            if not select.select([self._fd], [], [], min(left, 0.1))[0]:
                continue
            octets = os.read(self._fd, 1 << 16)
            if not octets:
                raise Gone("the other side is gone")
            self._heard += octets
        line, _, self._heard = self._heard.partition(b"\n")
        return line
