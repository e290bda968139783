"""Many datagrams in one system call: ``sendmmsg`` over tables that are numpy records (Linux, 64 bits)."""

import ctypes
import errno
import socket
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_IOVEC: Final = np.dtype([("base", "u8"), ("len", "u8")])
_MESSAGE: Final = np.dtype(
    [
        ("name", "u8"),
        ("namelen", "u4"),
        ("_1", "u4"),
        ("iov", "u8"),
        ("iovlen", "u8"),
        ("control", "u8"),
        ("controllen", "u8"),
        ("flags", "i4"),
        ("_2", "u4"),
        ("len", "u4"),
        ("_3", "u4"),
    ]
)
"""struct mmsghdr of <sys/socket.h>."""

_MOST: Final = 1024  # UIO_MAXIOV
_SOCKADDR: Final = 28  # of IPv6, the longer one

_sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_sendmmsg.restype = ctypes.c_int


class Outbox:
    """A table of messages. Fill ``names`` (by ``addresses``) and ``pieces``; it keeps what they point to by reference
    only.

    ``pieces`` are records (base, len), [rows, pieces]: the buffers whose octets follow each other in a message.
    """

    def __init__(self, rows: int, pieces: int = 1) -> None:
        self.pieces = np.zeros((rows, pieces), _IOVEC)
        self.names = np.zeros((rows, _SOCKADDR), np.uint8)
        self._messages = np.zeros(rows, _MESSAGE)
        self._messages["iov"] = _pointers(self.pieces)
        self._messages["iovlen"] = pieces
        self._messages["name"] = _pointers(self.names)

    def address(self, rows: slice, names: NDArray[np.uint8], family: int) -> None:
        """Say where rows go."""
        self.names[rows] = names
        self._messages["namelen"][rows] = 16 if family == socket.AF_INET else _SOCKADDR

    def send(self, fd: int, rows: slice | NDArray[np.intp]) -> NDArray[np.bool_]:
        """Hand rows to the kernel, in order; return which of them it took. What it refuses is left out, never
        retried."""
        messages = np.ascontiguousarray(self._messages[rows])
        taken = np.zeros(len(messages), np.bool_)
        at = 0
        while at < len(messages):
            start = messages.ctypes.data + at * _MESSAGE.itemsize
            count = _sendmmsg(fd, start, min(len(messages) - at, _MOST), 0)
            if count > 0:
                taken[at : at + count] = True
                at += count
            elif ctypes.get_errno() != errno.EINTR:
                at += 1  # the error belongs to the first row that did not go
        return taken


def addresses(to: Sequence[tuple[int, str, int]]) -> NDArray[np.uint8]:
    """Return u1[n, 28]: struct sockaddr_in or sockaddr_in6 for each family, host (a number), port."""
    names = np.zeros((len(to), _SOCKADDR), np.uint8)
    for name, (family, host, port) in zip(names, to, strict=True):
        name[:2].view(np.uint16)[0] = family
        name[2:4].view(">u2")[0] = port
        packed = np.frombuffer(socket.inet_pton(family, host), np.uint8)
        at = 4 if family == socket.AF_INET else 8
        name[at : at + len(packed)] = packed
    return names


def _pointers(table: NDArray[Any]) -> NDArray[np.uint64]:
    """Where each row of a table lies in memory."""
    return np.uint64(table.ctypes.data) + np.arange(len(table), dtype=np.uint64) * np.uint64(table.strides[0])
