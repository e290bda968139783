"""Taps of a sort: sockets that keep what comes."""

import socket
from collections.abc import Callable, Iterator

import pytest

from receiver.lab.plan import Caller
from tests.lab.reference import Recording, record, sent_by

Listen = Callable[..., "list[Ear]"]


class Ear:
    """A bound socket with room for a few seconds."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        self.socket.setblocking(False)

    @property
    def address(self) -> str:
        """host:port"""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def heard(self) -> list[tuple[bytes, str]]:
        """Everything that has come: datagram and source."""
        got: list[tuple[bytes, str]] = []
        while True:
            try:
                octets, (host, port, *_) = self.socket.recvfrom(65_535)
            except BlockingIOError:
                return got
            got.append((octets, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Make so many ears; they are closed at the end."""
    ears: list[Ear] = []

    def make(count: int = 1, family: socket.AddressFamily = socket.AF_INET) -> list[Ear]:
        ears.extend(Ear(family) for _ in range(count))
        return ears[-count:]

    yield make
    for ear in ears:
        ear.socket.close()


@pytest.fixture
def made() -> Recording:
    """Everything happened to this caller."""
    return record(sent_by(Caller(7, weather="everything", seconds=9)))
