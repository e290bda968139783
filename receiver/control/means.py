"""What the roster works with, and what it raises: no sockets, no processes, only who can be asked for them."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from receiver import link
from receiver.control.changes import Listener
from receiver.control.taps import Limits, Tap, Wish
from receiver.keys import Key
from receiver.ledger.clerk import Clerk
from receiver.ledger.rows import Problem, Summary


class Berth(NamedTuple):
    """Where one tap's sound arrives.

    ``socket`` stays control's (it has a ``fileno``); ``uri`` is what stands in front of it for a ``ws`` device, with a
    secret in it, and ``uri_digest`` what is kept of that; ``source`` who alone may send to it, None where the tap's
    policy decides; ``key`` the SRTP key that was kept for it by an earlier process; ``ear`` a second socket like the
    first, for RTCP alone. ``release`` gives it back.
    """

    number: int
    socket: Any
    release: Callable[[], None]
    uri: str | None = None
    source: tuple[str, int] | None = None
    uri_digest: str | None = None
    ear: Any = None
    key: Key | None = None


class NotNow(Exception):
    """A tap cannot be had at present; ``retry_s``: when it is worth asking again."""

    def __init__(self, code: str, message: str, retry_s: float) -> None:
        super().__init__(message)
        self.code, self.message, self.retry_s = code, message, retry_s


class TapFailed(Exception):
    """The tap was asked for and could not be started. Its outcome is in the ledger, or will be."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.problem = tap.problem or Problem("refused", "the worker refused it")
        super().__init__(self.problem.message)


class Attendant(Protocol):
    """Who speaks with the relay for our own taps."""

    def begin(self, tap: Tap) -> None:
        """Its socket is bound and its recording durable: have it started, then call ``Roster.accept`` or ``stop``."""

    def resume(self, tap: Tap) -> None:
        """A tap that an earlier daemon had: what the relay still says of it is heard, and what it is owed is said."""

    def leave(self, tap: Tap) -> bool:
        """It ends here. True: the relay is asked to stop sending first; ``Roster.close_tap`` will be called, soon."""


class Means(NamedTuple):
    """What the roster works with. ``take`` raises `NotNow` where no berth is free."""

    send: Callable[[int, link.ToWorker, Sequence[int]], None]  # to a worker, with descriptors
    take: Callable[[Wish], Berth]
    clerk: Clerk
    stem: Callable[[Summary], str | None]
    address: str | None  # what senders are told
    limits: Limits
    clock_ns: Callable[[], int] = time.monotonic_ns
    unix_ns: Callable[[], int] = time.time_ns
    events: Listener | None = None
