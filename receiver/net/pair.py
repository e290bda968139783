"""Two UDP sockets on loopback that hear nobody but each other: sound that comes another way goes in at one end, and the
worker reads the other like any tap's."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from receiver.net.ports import SO_TIMESTAMPNS, ask_for_buffer

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pair:
    """``socket`` is read by the worker alone, as a port's; ``writer`` is written by whoever has the sound."""

    number: int
    source: tuple[str, int]
    writer: socket.socket
    socket: socket.socket

    def close(self) -> None:
        """Close both. Twice is once."""
        self.socket.close()
        self.writer.close()


def adopt_pair(number: int, descriptors: Sequence[int]) -> Pair:
    """Take over both ends of a pair that an earlier process made, in any order; they are ours from now on.

    Raises OSError, and ValueError where they are not the two ends of the pair that is read at port ``number``.
    """
    ends = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    try:
        reader = next((end for end in ends if end.getsockname()[1:2] == (number,)), None)
        writer = next((end for end in ends if end is not reader), None)
        if reader is None or writer is None or reader.getpeername() != writer.getsockname():
            raise ValueError(f"expected the two ends of a pair read at port {number}")
        for end in ends:
            end.setblocking(False)
    except BaseException:
        for end in ends:
            end.close()
        raise
    return Pair(number, writer.getsockname(), writer, reader)


def open_pair(buffer_octets: int = 1 << 20) -> Pair:
    """Make a pair; the kernel keeps a stranger's datagram out of either. Raises ``OSError``."""
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    reader, writer = socket.socket(socket.AF_INET, kind), socket.socket(socket.AF_INET, kind)
    try:
        reader.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        ask_for_buffer(reader, buffer_octets)
        writer.bind((LOOPBACK, 0))
        reader.bind((LOOPBACK, 0))
        reader.connect(writer.getsockname())
        writer.connect(reader.getsockname())
    except BaseException:
        reader.close()
        writer.close()
        raise
    return Pair(reader.getsockname()[1], writer.getsockname(), writer, reader)
