"""The slab: one memory for the datagrams of one slice of the tick, filled by ``recvmmsg``, one call per tap.

The call goes through ``ctypes.PyDLL``: with MSG_DONTWAIT it cannot block, and giving the interpreter lock away for it
costs more than the call. Where ``recvmmsg`` is missing, ``PlainSlab`` fills the same columns one datagram at a time.

Rules K1 to K3 live here and in ``table``: pages touched before the first receive; tap written before the call;
``msg_len`` written last, so that a row whose size is not 0 was received whole, whatever happened to the worker.
"""

import ctypes
import errno
import mmap
import socket
import sys

import numpy as np
from numpy.typing import NDArray

from receiver.net.table import CONTROL, HEADER, MESSAGE, ROW, SO_TIMESTAMPNS, Table, slab_octets

__all__ = ["CONTROL", "HEADER", "MESSAGE", "ROW", "PlainSlab", "Slab", "arrivals", "open_slab", "slab_octets"]

_STAMP_OCTETS = CONTROL.itemsize
_BYTE_ORDER = sys.byteorder
_DONT_WAIT = int(socket.MSG_DONTWAIT)
_NOTHING_THERE = errno.EAGAIN
_get_errno = ctypes.get_errno
_LIBC = ctypes.PyDLL(None, use_errno=True)


class Slab(Table):
    """Filled by ``recvmmsg``.

    ``fill`` is called once per tap and tick, so its arguments are made beforehand (the function has no ``argtypes``:
    converting to declared types takes half as long as the call itself).
    """

    def __init__(self, buffer: memoryview | mmap.mmap | NDArray[np.uint8], rows: int) -> None:
        super().__init__(buffer, rows)
        first = self._message.ctypes.data
        self._recvmmsg = _LIBC.recvmmsg
        self._address = [ctypes.c_void_p(first + row * MESSAGE.itemsize) for row in range(rows)]
        self._tap_octets = self.tap.data.cast("B")

    def fill(self, fd: int, tap: int, most: int) -> int:
        """Receive what waits at ``fd``, at most ``most`` datagrams, for ``tap``; return how many.

        0 also when the slab is full (ask ``room``), and after a pending socket error (an ICMP message about something
        sent from there; counted in ``errors``): what is behind it comes with the next call.
        """
        at = self.at
        if most > self.rows - at:
            most = self.rows - at
        if most <= 0:
            return 0
        self._tap_octets[4 * at : 4 * (at + most)] = tap.to_bytes(4, _BYTE_ORDER) * most
        received: int = self._recvmmsg(fd, self._address[at], most, _DONT_WAIT, None)
        if received > 0:
            self.at = at + received
            return received
        if _get_errno() != _NOTHING_THERE:
            self.errors += 1
        return 0


class PlainSlab(Table):
    """Filled one datagram at a time, for where ``recvmmsg`` is missing: the same columns, the same order."""

    def fill(self, fd: int, tap: int, most: int) -> int:
        """As ``Slab.fill``."""
        at = self.at
        most = min(most, self.rows - at)
        if most <= 0:
            return 0
        self.tap[at : at + most] = tap
        try:
            borrowed = socket.socket(fileno=fd)
            try:
                while self.at < at + most:
                    self._receive(borrowed, self.at)
                    self.at += 1
            finally:
                borrowed.detach()
        except BlockingIOError:
            return self.at - at
        except OSError:
            self.errors += 1
        return self.at - at

    def _receive(self, borrowed: socket.socket, row: int) -> None:
        """Receive one datagram into ``row``; its size is written last (rule K2)."""
        size, control, flags, address = borrowed.recvmsg_into(
            [self.octets[row].data], socket.CMSG_SPACE(16), socket.MSG_DONTWAIT
        )
        name = self._name[row]
        name["family"], name["port"] = borrowed.family, address[1]
        packed = socket.inet_pton(borrowed.family, address[0])
        if borrowed.family == socket.AF_INET:
            name["ipv4"] = int.from_bytes(packed)
        else:
            name["high"], name["low"] = int.from_bytes(packed[:8]), int.from_bytes(packed[8:])
        self._message["controllen"][row] = 0
        for level, kind, stamp in control:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = np.frombuffer(stamp, np.int64)
                self._control[row] = _STAMP_OCTETS, level, kind, seconds, nanoseconds
                self._message["controllen"][row] = _STAMP_OCTETS
        self._message["flags"][row] = flags
        self._message["size"][row] = size


def open_slab(buffer: memoryview | mmap.mmap | NDArray[np.uint8], rows: int) -> Slab | PlainSlab:
    """Return the faster slab that this machine can have, over ``buffer``; call ``point`` next."""
    if sys.platform == "linux" and ctypes.sizeof(ctypes.c_void_p) == 8 and hasattr(_LIBC, "recvmmsg"):
        return Slab(buffer, rows)
    return PlainSlab(buffer, rows)


def arrivals(
    stamps: NDArray[np.int64], offset_ns: int, previous_ns: NDArray[np.int64], now_ns: int
) -> NDArray[np.int64]:
    """Return when each datagram arrived, in monotonic ns, by the kernel's wall clock ``stamps`` (rule A18).

    ``offset_ns`` is realtime less monotonic time of this tick; ``previous_ns`` each row's tap's previous tick. The
    clock may have been set in between: nothing arrived before the previous tick nor after ``now_ns``. No stamp: now.
    """
    arrival = np.where(stamps == 0, now_ns, stamps - offset_ns)
    return np.minimum(np.maximum(arrival, previous_ns), now_ns)
