"""The pool of UDP ports: bound by the control process, which keeps every socket and reads none (design, section 2).

One port per tap is the only sure link between media and tap. A port that was given back cools down before it is used
again, with a new socket, so that no sound of the call before reaches the next one (rule A16).
"""

import errno
import ipaddress
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SO_RCVBUFFORCE: Final = 33
"""As SO_RCVBUF, beyond net.core.rmem_max; needs CAP_NET_ADMIN. Python has no name for it."""
SO_TIMESTAMPNS: Final = 35
"""Kernel arrival time with every datagram. Python has no name for it."""

Socket = socket.socket
EAR_OCTETS: Final = 1 << 13
"""Receive buffer of an ear, which is emptied once a second: some reports of its own sender."""


class NoPort(Exception):
    """No port can be had now. ``cooled_in_s``: when the next one will be, None if none cools down."""

    def __init__(self, cooled_in_s: float | None) -> None:
        super().__init__("no free port" if cooled_in_s is None else f"no free port for {cooled_in_s:.1f} s")
        self.cooled_in_s = cooled_in_s


@dataclass(frozen=True, slots=True)
class Port:
    """A bound socket."""

    number: int
    socket: socket.socket
    """UDP, non-blocking; read by the worker alone."""
    granted_octets: int
    """Size of the receive buffer as the kernel counts it: twice what it granted, for its own bookkeeping."""
    ear: Socket | None = None
    """Port + 1, where the sender's RTCP comes (rule A13)."""


class Ports:
    """Ports ``first`` to ``last`` of the address ``bind``; with ``step`` 2 only the even ones.

    With ``ears`` the port behind each is bound as well.

    ``bind`` is an IPv4 or IPv6 address; ``::`` serves IPv4 too. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        bind: str,
        first: int,
        last: int,
        *,
        cooldown_s: float,
        step: int = 1,
        ears: bool = False,
        buffer_octets: int = 1 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bind = ipaddress.ip_address(bind)
        self._cooldown_s, self._ears = cooldown_s, ears
        self._buffer_octets = buffer_octets
        self._clock = clock
        self._pool = range(first + -first % step, last + 1, step)
        self._free = deque(self._pool)
        self._cooling: deque[tuple[float, int]] = deque()

    @property
    def free(self) -> int:
        """How many ports could be tried now."""
        now = self._clock()
        return len(self._free) + sum(cool_at <= now for cool_at, _ in self._cooling)

    def take(self) -> Port:
        """Bind the next free port; one that another program holds is passed over (and tried again later).

        The one longest unused comes first. Raises NoPort; an OSError where no port of this address could be bound.
        """
        self._let_cooled_in()
        for _ in range(len(self._free)):
            number = self._free.popleft()
            try:
                return self._open(number)
            except OSError as problem:
                self._free.append(number)
                if problem.errno != errno.EADDRINUSE:
                    raise
        raise NoPort(self._cooling[0][0] - self._clock() if self._cooling else None)

    def fixed(self, number: int) -> Port:
        """Bind this very port, of the pool or not, cool or not: the operator named it. Raises OSError."""
        port = self._open(number)
        self._free = deque(other for other in self._free if other != number)
        self._cooling = deque(entry for entry in self._cooling if entry[1] != number)
        return port

    def adopt(self, number: int, descriptors: Sequence[int]) -> Port:
        """Take over what an earlier process bound to this port, of the pool or not, and perhaps to the next one.

        The descriptors are ours from now on. Raises OSError, and ValueError for other sockets than these.
        """
        made = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        try:
            for each in made:
                each.setblocking(False)
            kinds = {each.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) for each in made}
            bound = {each.getsockname()[1]: each for each in made if each.family in (socket.AF_INET, socket.AF_INET6)}
            if kinds != {socket.SOCK_DGRAM} or not made or sorted(bound) != [number, number + 1][: len(made)]:
                raise ValueError(f"expected a UDP socket of port {number}, found {len(made)} of {sorted(bound)}")
            granted = bound[number].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        except BaseException:
            for each in made:
                each.close()
            raise
        self._free = deque(other for other in self._free if other != number)
        return Port(number, bound[number], granted, bound.get(number + 1))

    def cool(self, left_s: Mapping[int, float]) -> None:
        """Let free ports of the pool cool down for so many seconds more: an earlier process gave them back."""
        ours = {number: left_s[number] for number in self._free if left_s.get(number, 0.0) > 0}
        self._free = deque(number for number in self._free if number not in ours)
        now = self._clock()
        self._cooling = deque(sorted([*self._cooling, *((now + each, number) for number, each in ours.items())]))

    def give_back(self, port: Port) -> None:
        """Close ``port``; one of the pool cools down and is free again after that. Twice is once."""
        if port.socket.fileno() < 0:
            return
        port.socket.close()
        if port.ear is not None:
            port.ear.close()
        if port.number in self._pool:
            self._cooling.append((self._clock() + self._cooldown_s, port.number))

    def _let_cooled_in(self) -> None:
        now = self._clock()
        while self._cooling and self._cooling[0][0] <= now:
            self._free.append(self._cooling.popleft()[1])

    def _open(self, number: int) -> Port:
        made = self._bound(number, self._buffer_octets)
        try:
            ear = self._bound(number + 1, EAR_OCTETS) if self._ears else None
        except BaseException:
            made.close()
            raise
        return Port(number, made, made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), ear)

    def _bound(self, number: int, octets: int) -> socket.socket:
        """Make a socket; all options are set before it is bound, so that they hold for the first datagram."""
        family = socket.AF_INET if self._bind.version == 4 else socket.AF_INET6
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            ask_for_buffer(made, octets)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            made.bind((str(self._bind), number))
        except BaseException:
            made.close()
            raise
        return made


def ask_for_buffer(made: socket.socket, octets: int) -> None:
    """Ask for a receive buffer, beyond the host's limit where we may."""
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, octets)
    except PermissionError:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
