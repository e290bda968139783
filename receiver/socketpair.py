"""A socket pair between two processes: whole messages and descriptors, in order, until one of them dies.

It knows nothing of what is said over it (that is `receiver.link`). What holds, whatever happens to either side:

1. Order is kept, and a message is either there whole, with all its descriptors, or not at all.
2. Nobody waits for the other: `Link.send` never blocks and never raises. What the socket does not take is
   queued; a queue over `MOST_QUEUED` octets means that the other side is dead, and so is then the link.
3. Death is the end of file: `Link.receive` returns ``None``, once and for ever.

It is a ``SOCK_SEQPACKET`` pair, so the kernel keeps the borders of messages. One that is longer than `PIECE` travels
as several datagrams (first octet: 1 = more follows, 0 = the last); its descriptors go with the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

PIECE: Final = 32 * 1024  # octets of one datagram: well under the default SO_SNDBUF of 212,992
LONGEST: Final = 256 << 20  # octets of one message put together again: a sidecar of some million gaps
MOST_QUEUED: Final = 512 << 20  # octets waiting for a peer that does not read: it is dead
MOST_DESCRIPTORS: Final = 4  # per message; today at most one
ROOM_BESIDE: Final = socket.CMSG_LEN(MOST_DESCRIPTORS * array("i").itemsize)
MOST_UNREAD: Final = 256  # messages received and not yet asked for: the socket is left alone until then
AGAIN_S: Final = 0.01  # ETOOMANYREFS (too many descriptors under way) has no event to wait for

Said = TypeVar("Said")
Heard = TypeVar("Heard")


class LinkBroken(Exception):
    """The other side sent octets that are no message of ours: another version, or memory gone wrong."""


class Received(NamedTuple, Generic[Heard]):
    """A message and the descriptors that came with it; they now belong to the receiver, who must close them."""

    message: Heard
    descriptors: tuple[int, ...]


class _Frame(NamedTuple):
    octets: bytes
    descriptors: tuple[int, ...]  # our own duplicates: the caller may close his at once


def pair() -> tuple[socket.socket, socket.socket]:
    """Return a connected pair, both ends non-blocking and closed on exec."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


class Link(Generic[Said, Heard]):
    """One side of the pair, inside a running asyncio loop. It owns ``end`` from now on.

    ``encode`` and ``decode`` turn messages into octets and back; ``decode`` raises `ValueError` for nonsense.
    """

    def __init__(self, end: socket.socket, encode: Callable[[Said], bytes], decode: Callable[[bytes], Heard]) -> None:
        end.setblocking(False)
        end.set_inheritable(False)
        self._end = end
        self._number = end.fileno()
        self._encode = encode
        self._decode = decode
        self._loop = asyncio.get_running_loop()
        self._out: deque[_Frame] = deque()
        self._out_octets = 0
        self._blocked_ns: int | None = None
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._in: deque[Received[Heard]] = deque()
        self._pieces: list[bytes] = []
        self._pieces_octets = 0
        self._held: list[int] = []  # descriptors of a message that is not whole yet
        self._news = asyncio.Event()
        self._ended = False
        self._error: LinkBroken | None = None
        self._reading = True
        self._loop.add_reader(self._number, self._readable)

    @property
    def ended(self) -> bool:
        """Whether the other side is gone or given up; what it had sent may still be received."""
        return self._ended

    @property
    def queued(self) -> int:
        """Octets that the other side has not taken yet."""
        return self._out_octets

    def blocked_ns(self, now_ns: int | None = None) -> int:
        """Return for how long (``time.monotonic_ns``) the other side has taken nothing that we have for it."""
        return 0 if self._blocked_ns is None else (now_ns or time.monotonic_ns()) - self._blocked_ns

    def send(self, message: Said, descriptors: Sequence[int] = ()) -> None:
        """Send, or queue, ``message``. After the end it goes nowhere, silently: the end is said by `receive`."""
        if self._ended:
            return
        octets = self._encode(message)
        starts = range(0, max(1, len(octets)), PIECE)
        for at in starts:
            more = b"\0" if at == starts[-1] else b"\1"
            self._put(more + octets[at : at + PIECE], descriptors if at == 0 else ())

    async def receive(self) -> Received[Heard] | None:
        """Return the next message, or ``None`` at the end. Raises `LinkBroken` for octets that are no message."""
        while not self._in:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        received = self._in.popleft()
        if not self._reading and not self._ended and len(self._in) < MOST_UNREAD // 2:
            self._reading = True
            self._loop.add_reader(self._number, self._readable)
        return received

    async def flush(self) -> None:
        """Wait until the other side has taken everything, or is gone."""
        await self._flushed.wait()

    def close(self) -> None:
        """Hang up: the other side reads what was taken so far, then the end. Twice is once."""
        self._end_now()
        for received in self._in:
            _close_all(received.descriptors)
        self._in.clear()

    # --- inside ---

    def _put(self, octets: bytes, descriptors: Sequence[int]) -> None:
        """Hand one datagram over, or queue it with duplicates of its descriptors: the caller may close his at once."""
        if self._ended or (not self._out and self._give(octets, descriptors)) or self._ended:
            return
        try:
            mine = tuple(os.dup(number) for number in descriptors)
        except OSError:  # no descriptor left: an incomplete order would be worse than none
            return self._end_now()
        self._out.append(_Frame(octets, mine))
        self._out_octets += len(octets)
        if self._out_octets > MOST_QUEUED:
            self._end_now()

    def _give(self, octets: bytes, descriptors: Sequence[int]) -> bool:
        """Return whether the kernel took it; if not, see to it that `_writable` is called when it may."""
        try:
            self._end.sendmsg([octets], _packed(descriptors), socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            self._wait_for_room(None)
            return False
        except OSError as error:
            if error.errno in (errno.ETOOMANYREFS, errno.ENOBUFS):
                self._wait_for_room(AGAIN_S)
            else:
                self._end_now()
            return False
        return True

    def _writable(self) -> None:
        """Send what is queued until the socket is full."""
        while self._out:
            octets, descriptors = self._out[0]
            if not self._give(octets, descriptors):
                return
            _close_all(descriptors)
            self._out.popleft()
            self._out_octets -= len(octets)
            self._blocked_ns = None
        if not self._ended:
            self._loop.remove_writer(self._number)
            self._flushed.set()

    def _wait_for_room(self, again_s: float | None) -> None:
        self._flushed.clear()
        if self._blocked_ns is None:
            self._blocked_ns = time.monotonic_ns()
        if again_s is None:
            self._loop.add_writer(self._number, self._writable)
        else:
            self._loop.remove_writer(self._number)
            self._loop.call_later(again_s, self._writable)

    def _readable(self) -> None:
        """Take what is there, up to `MOST_UNREAD` messages."""
        while not self._ended:
            if len(self._in) >= MOST_UNREAD:
                self._reading = False
                self._loop.remove_reader(self._number)
                break
            try:
                octets, beside, flags, _ = self._end.recvmsg(PIECE + 1, ROOM_BESIDE, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                return self._end_now()
            self._held += _unpacked(beside)
            if not octets:
                return self._end_now()
            if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
                return self._break("a message or its descriptors came cut off")
            self._assemble(octets)
        if self._in:
            self._news.set()

    def _assemble(self, octets: bytes) -> None:
        self._pieces.append(octets[1:])
        self._pieces_octets += len(octets) - 1
        if octets[0]:
            if self._pieces_octets > LONGEST:
                self._break("a message without end")
            return
        whole = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._pieces_octets = 0
        try:
            message = self._decode(whole)
        except ValueError as error:
            return self._break(f"not a message of ours: {error}")
        self._in.append(Received(message, tuple(self._held)))
        self._held.clear()

    def _break(self, why: str) -> None:
        self._error = LinkBroken(why)
        self._end_now()

    def _end_now(self) -> None:
        """Take the socket out of the loop and close it; idempotent."""
        if self._ended:
            return
        self._ended = True
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
        for frame in self._out:
            _close_all(frame.descriptors)
        self._out.clear()
        self._out_octets = 0
        _close_all(self._held)
        self._held.clear()
        self._end.close()
        self._flushed.set()
        self._news.set()


# Not socket.send_fds and recv_fds: up to Python 3.11 they drop their flags, so what came would be inherited.


def _packed(descriptors: Sequence[int]) -> list[tuple[int, int, array[int]]]:
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []


def _unpacked(beside: list[tuple[int, int, bytes]]) -> list[int]:
    numbers = array("i")
    for level, kind, octets in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(octets[: len(octets) - len(octets) % numbers.itemsize])
    return list(numbers)


def _close_all(descriptors: Sequence[int]) -> None:
    for number in descriptors:
        with contextlib.suppress(OSError):
            os.close(number)
