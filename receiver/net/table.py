"""The slab's memory: the kernel's ``mmsghdr`` table and the datagrams, drawn once as record types (recvmmsg(2)).

All of it lies in a buffer that outlives the process (rules K1 to K3). A row is a datagram. In order of address::

    header     64 octets      generation, now_ns, offset_ns, attempts
    tap         4 octets/row  whom a row belongs to; written before the call that may fill the row
    message    64 octets/row  struct mmsghdr; its msg_len is the record that the row was received
    vector     16 octets/row  struct iovec
    name       32 octets/row  struct sockaddr_in or sockaddr_in6
    control    32 octets/row  struct cmsghdr with the kernel's arrival time
    octets  1,536 octets/row  beginning at a multiple of the page size

The drawing is that of 64-bit Linux.
"""

import mmap
import socket
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROW: Final = 1536
"""Octets of a row. A datagram that was cut here has a size above 1,500, so the header gate refuses it (rule A1)."""

HEADER: Final = np.dtype(
    {
        "names": ["generation", "now_ns", "offset_ns", "attempts"],
        "formats": ["i8", "i8", "i8", "i4"],
        "itemsize": 64,
    }
)
MESSAGE: Final = np.dtype(
    {
        "names": ["name", "namelen", "vector", "vectors", "control", "controllen", "flags", "size"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
VECTOR: Final = np.dtype([("base", "u8"), ("size", "u8")])
NAME: Final = np.dtype(
    {
        "names": ["family", "port", "ipv4", "high", "low"],
        "formats": ["u2", ">u2", ">u4", ">u8", ">u8"],
        "offsets": [0, 2, 4, 8, 16],
        "itemsize": 32,
    }
)
CONTROL: Final = np.dtype([("size", "u8"), ("level", "i4"), ("type", "i4"), ("seconds", "i8"), ("nanoseconds", "i8")])

NAME_OCTETS: Final = 28
"""sizeof(struct sockaddr_in6), the longest name there is."""
SO_TIMESTAMPNS: Final = 35
"""Also the type of the control message; Python has no name for it."""
_IPV4_IN_IPV6: Final = np.uint64(0xFFFF_0000_0000)
_SECOND_NS: Final = 1_000_000_000


def _places(rows: int) -> dict[str, int]:
    """Return where each column begins, in octets, and where the memory ends."""
    places, at = {}, HEADER.itemsize
    for name, octets in (("tap", 4), ("message", 64), ("vector", 16), ("name", 32), ("control", 32), ("octets", ROW)):
        line = mmap.PAGESIZE if name == "octets" else 64
        at += -at % line
        places[name] = at
        at += octets * rows
    return places | {"end": at + -at % mmap.PAGESIZE}


def slab_octets(rows: int) -> int:
    """Return the octets that a slab of ``rows`` needs, a multiple of the page size."""
    return _places(rows)["end"]


class Table:
    """The columns over a given memory, and the order in which they may be written. It receives nothing itself."""

    def __init__(self, buffer: memoryview | mmap.mmap | NDArray[np.uint8], rows: int) -> None:
        """Lay the columns over ``buffer`` (writable, at least ``slab_octets(rows)``); no octet of it is changed."""
        places = _places(rows)
        memory = np.frombuffer(buffer, np.uint8, count=places["end"])
        if memory.ctypes.data % 8 or not memory.flags.writeable:
            raise ValueError("the slab's memory must be writable and lie at a multiple of 8")

        def column(name: str, dtype: np.dtype[np.void] | str) -> NDArray[np.void]:
            return np.ndarray((rows,), dtype, memory, places[name])

        self.rows = rows
        self.at = 0
        """The row that the next datagram goes to."""
        self.errors = 0
        """Calls that failed for another reason than that nothing was there."""
        self.tap: NDArray[np.int32] = np.ndarray((rows,), np.int32, memory, places["tap"])
        self.octets: NDArray[np.uint8] = np.ndarray((rows, ROW), np.uint8, memory, places["octets"])
        self._memory = memory
        self._header = memory[: HEADER.itemsize].view(HEADER)[0]
        self._message = column("message", MESSAGE)
        self._vector = column("vector", VECTOR)
        self._name = column("name", NAME)
        self._control = column("control", CONTROL)
        self.size: NDArray[np.uint32] = self._message["size"]
        """Octets of each row's datagram; 0: not received (or an empty datagram)."""

    @property
    def room(self) -> int:
        """Rows that are left."""
        return self.rows - self.at

    @property
    def generation(self) -> int:
        """The generation that the slab was filled for (rule K3)."""
        return int(self._header["generation"])

    @property
    def now_ns(self) -> int:
        """Monotonic time at which the slab was sealed; 0: it was not."""
        return int(self._header["now_ns"])

    @property
    def offset_ns(self) -> int:
        """Realtime less monotonic time when the slab was sealed."""
        return int(self._header["offset_ns"])

    @property
    def attempts(self) -> int:
        """How often this slab was begun to be run after a death (rule K7); the owner counts."""
        return int(self._header["attempts"])

    @attempts.setter
    def attempts(self, attempts: int) -> None:
        self._header["attempts"] = attempts

    def point(self) -> None:
        """Make the pointers anew and touch every page: once after each mapping, before the first receive (K1, K2).

        What was received stays: sizes, names, stamps and octets are not changed.
        """
        rows = np.arange(self.rows, dtype=np.uint64)
        for pointer, target in (("name", self._name), ("vector", self._vector), ("control", self._control)):
            self._message[pointer] = np.uint64(target.ctypes.data) + rows * np.uint64(target.itemsize)
        self._message["vectors"] = 1
        self._vector["base"] = np.uint64(self.octets.ctypes.data) + rows * np.uint64(ROW)
        self._vector["size"] = ROW

        pages = self._memory[:: mmap.PAGESIZE]
        np.bitwise_or(pages, 0, out=pages)
        self._memory[-1] |= 0

    def begin(self, generation: int) -> None:
        """Empty the slab for ``generation``.

        The generation comes last: a worker that dies before it finds the old one, which was run to its end; had it come
        first, the old rows would be run a second time under the new number.
        """
        self._message["size"] = 0
        self._message["namelen"] = NAME_OCTETS
        self._message["controllen"] = CONTROL.itemsize
        self._header["now_ns"] = 0
        self._header["attempts"] = 0
        self._header["generation"] = generation
        self.at = 0

    def seal(self, now_ns: int, offset_ns: int) -> None:
        """Note the time of this slab: monotonic, and how far realtime was ahead of it."""
        self._header["offset_ns"] = offset_ns
        self._header["now_ns"] = now_ns

    def in_hand(self, generation: int) -> int:
        """Return how many rows a dead worker left received but not run, if the slab was filled for ``generation``.

        ``at`` is set behind them. An empty datagram among them counts; at their end it is not seen, nor missed. A slab
        of the next generation was put off, and the turn for which it was died.
        """
        self.at = 0
        if self.generation in (generation, generation + 1):
            received = np.flatnonzero(self.size)
            self.at = int(received[-1]) + 1 if received.size else 0
        return self.at

    def put_off(self, generation: int) -> None:
        """A turn of another kind ends ``generation`` first: what was in hand for it is in hand for the next one."""
        if self.generation == generation:
            self._header["generation"] = generation + 1

    def used(self) -> int:
        """Return how many rows are filled."""
        return self.at

    def sources(self, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint16]]:
        """Return address (upper and lower 64 bits) and port of the first ``n`` rows' senders.

        IPv4 stands as ``::ffff:a.b.c.d``, whether it came in by an IPv4 or a dual-stack socket.
        """
        name = self._name[:n]
        ipv4 = name["family"] == socket.AF_INET
        high = np.where(ipv4, 0, name["high"]).astype(np.uint64)
        low = np.where(ipv4, name["ipv4"] | _IPV4_IN_IPV6, name["low"]).astype(np.uint64)
        return high, low, name["port"].astype(np.uint16)

    def stamps(self, n: int) -> NDArray[np.int64]:
        """Return when the kernel received the first ``n`` rows: wall clock in ns, 0 where it did not say."""
        control = self._control[:n]
        stamped = (self._message["controllen"][:n] >= CONTROL.itemsize) & (control["type"] == SO_TIMESTAMPNS)
        return np.where(stamped, control["seconds"] * _SECOND_NS + control["nanoseconds"], 0)
