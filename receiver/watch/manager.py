"""The service manager that started us: what is told to it, and the descriptors that it keeps for our next start.

The protocol is sd_notify(3): a datagram of ``NAME=value`` lines to the Unix socket that ``$NOTIFY_SOCKET`` names, with
descriptors beside it. What holds:

1. Order is kept. What the manager has no room for is queued, and sent when it has.
2. Nobody waits and nothing raises: a manager that does not listen must not end a recording. Its failure is logged once.
3. The queue is bounded by what is stored: of a word said twice only the newest waits, and a descriptor that is removed
   before it was sent is not sent at all.

What the manager kept comes back at our next start (sd_listen_fds(3)), and is read by `inherited`.
"""

import asyncio
import errno
import os
import socket
import time
from array import array
from collections import OrderedDict
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

FIRST: Final = 3  # SD_LISTEN_FDS_START
MOST_DESCRIPTORS: Final = 200  # per message; the kernel takes 253 (SCM_MAX_FD)
PASSING: Final = frozenset({errno.EAGAIN, errno.EINTR, errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})
AGAIN_S: Final = 0.01  # only EAGAIN has an event to wait for; the others are tried again

log = structlog.get_logger("manager")


@dataclass(slots=True)
class _Letter:
    text: bytes
    descriptors: list[int] = field(default_factory=list)  # our own duplicates: the caller may close his at once


class Manager:
    """The service manager that started us, or nobody.

    ``address``: a path, or "@" and an abstract name; None: nobody listens, and every verb does nothing.
    ``watchdog_ns``: it ends us if `alive` is not called for so long; None: it does not. What is queued goes out while
    an asyncio loop runs.
    """

    def __init__(self, address: str | None, watchdog_ns: int | None = None) -> None:
        self.watchdog_ns = watchdog_ns
        self._out: OrderedDict[tuple[str, str], _Letter] = OrderedDict()  # (word, name) → what waits
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._loop: asyncio.AbstractEventLoop | None = None  # which one waits for room
        self._again: asyncio.TimerHandle | None = None
        self._complained = False
        self._socket = self._connected(address) if address else None

    @classmethod
    def of(cls, environ: MutableMapping[str, str], pid: int | None = None) -> "Manager":
        """Who started this process (``pid``; None: ours). Takes the variables out: workers have none of their own."""
        address = environ.pop("NOTIFY_SOCKET", None)
        span_us, watched = _number(environ.pop("WATCHDOG_USEC", "")), environ.pop("WATCHDOG_PID", None)
        ours = watched is None or _number(watched) == (os.getpid() if pid is None else pid)
        return cls(address, span_us * 1_000 if ours and span_us else None)

    @property
    def present(self) -> bool:
        """Whether somebody listens."""
        return self._socket is not None

    def ready(self) -> None:
        """We do what we are for; also the end of `reloading`."""
        self._say("READY", "1")

    def stopping(self) -> None:
        """We are going down."""
        self._say("STOPPING", "1")

    def reloading(self) -> None:
        """The configuration is read anew; `ready` ends it."""
        self._say("RELOADING", f"1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def status(self, text: str) -> None:
        """What ``systemctl status`` shows of us: one line."""
        self._say("STATUS", " ".join(text.split()))

    def alive(self) -> None:
        """All is well: the watchdog counts anew."""
        self._say("WATCHDOG", "1")

    def patience(self, span_ns: int) -> None:
        """Starting, stopping or reloading may take ``span_ns`` from now, whatever the unit says."""
        self._say("EXTEND_TIMEOUT_USEC", str(span_ns // 1_000))

    def store(self, name: str, *descriptors: int) -> None:
        """Have descriptors kept for our next start, which gets them under ``name`` (`inherited`).

        ``name``: ASCII without control characters and colon. The caller keeps his own descriptors and may close them.
        All names come back in one variable: 131,071 octets for everything that is stored.
        """
        # FDPOLL=0: else the manager drops what has an error pending, and a UDP socket may have one for a moment.
        self._say("FDSTORE", f"1\nFDNAME={name}\nFDPOLL=0", name, descriptors)

    def remove(self, name: str) -> None:
        """Keep nothing under ``name`` any more. A name that is not known is no fault."""
        unsent = self._out.pop(("FDSTORE", name), None)
        if unsent is not None:
            _close_all(unsent.descriptors)
        self._say("FDSTOREREMOVE", f"1\nFDNAME={name}", name)

    async def flushed(self, limit_s: float) -> bool:
        """Wait until the manager's socket has taken everything; return whether it has, within ``limit_s``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._flushed.wait()
        return self._flushed.is_set()

    def close(self) -> None:
        """Say no more; what waits is dropped. Twice is once."""
        self._rest()
        while self._out:
            _close_all(self._out.popitem()[1].descriptors)
        self._flushed.set()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # --- inside

    def _connected(self, address: str) -> socket.socket | None:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        end.setblocking(False)
        try:
            end.connect("\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            end.close()
            self._complain(f"{address}: {error.strerror or error}")
            return None
        return end

    def _say(self, word: str, value: str, name: str = "", descriptors: Sequence[int] = ()) -> None:
        """Send it, or queue it behind what waits."""
        if self._socket is None:
            return
        text = f"{word}={value}".encode(errors="replace")
        self._send_queued()  # where no loop runs, nobody else does
        if not self._out and len(descriptors) <= MOST_DESCRIPTORS and self._give(text, descriptors) is None:
            return
        try:
            mine = [os.dup(number) for number in descriptors]
        except OSError as error:
            return self._complain(f"a descriptor cannot be kept until there is room: {error.strerror}")
        before = self._out.pop((word, name), None)
        self._out[word, name] = _Letter(text, (before.descriptors if before else []) + mine)
        self._flushed.clear()
        self._send_queued()

    def _give(self, text: bytes, descriptors: Sequence[int]) -> int | None:
        """Return None if that is done with (taken, or refused for good), else the errno of what has to pass first."""
        assert self._socket is not None
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg([text], beside, socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno in PASSING:
                return error.errno
            self._complain(error.strerror or str(error))
        return None

    def _send_queued(self) -> None:
        """Send what waits, until the manager has no room."""
        while self._out:
            letter = next(iter(self._out.values()))
            piece = letter.descriptors[:MOST_DESCRIPTORS]
            obstacle = self._give(letter.text, piece)
            if obstacle is not None:
                return self._wait(obstacle)
            _close_all(piece)
            del letter.descriptors[: len(piece)]
            if not letter.descriptors:
                self._out.popitem(last=False)
        self._rest()
        self._flushed.set()

    def _wait(self, obstacle: int) -> None:
        """See to it that `_send_queued` is called when it may help. Without a loop the next word does it."""
        assert self._socket is not None
        self._rest()
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            if obstacle == errno.EAGAIN:
                self._loop = loop
                loop.add_writer(self._socket.fileno(), self._send_queued)
            else:
                self._again = loop.call_later(AGAIN_S, self._send_queued)

    def _rest(self) -> None:
        """Nothing waits for room."""
        if self._loop is not None and self._socket is not None and not self._loop.is_closed():
            self._loop.remove_writer(self._socket.fileno())
        if self._again is not None:
            self._again.cancel()
        self._loop = self._again = None

    def _complain(self, why: str) -> None:
        if not self._complained:
            log.warning("the service manager cannot be told", why=why)
        self._complained = True


def inherited(environ: MutableMapping[str, str], pid: int | None = None) -> dict[str, list[int]]:
    """Take over what the manager kept for this process (``pid``; None: ours): name → descriptors, closed on exec.

    The variables are taken out of ``environ``. Those of another process, or nonsense in them: nothing.
    """
    for_whom = environ.pop("LISTEN_PID", "")
    count, names = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_FDNAMES", None)
    environ.pop("LISTEN_PIDFDID", None)
    if _number(for_whom) != (os.getpid() if pid is None else pid) or not _number(count):
        return {}
    numbers = range(FIRST, FIRST + _number(count))
    called = ["unknown"] * len(numbers) if names is None else names.split(":")
    found: dict[str, list[int]] = {}
    if len(called) != len(numbers):
        return found
    with suppress(OSError):  # no such descriptor: nonsense from there on
        for number, name in zip(numbers, called, strict=True):
            os.set_inheritable(number, False)
            found.setdefault(name, []).append(number)
        return found
    return {}


def _number(text: str) -> int:
    """A decimal number; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _close_all(descriptors: Sequence[int]) -> None:
    for number in descriptors:
        os.close(number)
