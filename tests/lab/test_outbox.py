"""sendmmsg over tables: what the kernel takes arrives, what it refuses is told."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from receiver.lab.outbox import Outbox, addresses
from tests.lab.conftest import Listen


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
        each.bind(("127.0.0.1", 0))
        yield each


def test_each_row_goes_to_its_own_address_in_pieces(listen: Listen, door: socket.socket) -> None:
    ears = listen(3)
    outbox, octets = Outbox(3, pieces=2), np.frombuffer(b"abcdef", np.uint8)
    outbox.address(
        slice(None), addresses([(socket.AF_INET, *ear.socket.getsockname()) for ear in ears]), socket.AF_INET
    )
    outbox.pieces["base"] = octets.ctypes.data + np.array([[0, 3], [1, 4], [2, 5]])
    outbox.pieces["len"] = [[1, 1], [1, 2], [0, 0]]
    assert outbox.send(door.fileno(), slice(0, 3)).tolist() == [True, True, True]
    assert [[octets for octets, _ in ear.heard()] for ear in ears] == [[b"ad"], [b"bef"], [b""]]


def test_more_rows_than_one_call_takes_are_sent_in_order(listen: Listen, door: socket.socket) -> None:
    (ear,), count = listen(1), 2_500
    outbox, octets = Outbox(count), np.arange(count, dtype=np.uint16)
    outbox.address(slice(None), addresses([(socket.AF_INET, *ear.socket.getsockname())]), socket.AF_INET)
    outbox.pieces[:, 0]["base"], outbox.pieces["len"] = octets.ctypes.data + np.arange(count) * 2, 2
    heard: list[int] = []
    for first in range(0, count, 1_250):  # not more at once than the ear has room for
        assert outbox.send(door.fileno(), np.arange(first, first + 1_250)).all()
        heard += [int.from_bytes(datagram, "little") for datagram, _ in ear.heard()]
    assert heard == list(range(count))


def test_what_the_kernel_refuses_is_left_out_and_the_rest_goes(listen: Listen, door: socket.socket) -> None:
    (ear,) = listen(1)
    outbox, octets = Outbox(4), np.zeros(70_000, np.uint8)
    outbox.address(slice(None), addresses([(socket.AF_INET, *ear.socket.getsockname())]), socket.AF_INET)
    outbox.pieces["base"] = octets.ctypes.data
    outbox.pieces["len"][:, 0] = [10, 70_000, 20, 66_000]  # a datagram holds at most 65,507
    assert outbox.send(door.fileno(), slice(0, 4)).tolist() == [True, False, True, False]
    assert [len(datagram) for datagram, _ in ear.heard()] == [10, 20]


def test_ipv6_addresses_are_written_as_the_kernel_reads_them(listen: Listen) -> None:
    (ear,) = listen(1, socket.AF_INET6)
    outbox, octets = Outbox(1), np.frombuffer(b"six", np.uint8)
    host, port = ear.socket.getsockname()[:2]
    outbox.address(slice(None), addresses([(socket.AF_INET6, host, port)]), socket.AF_INET6)
    outbox.pieces["base"], outbox.pieces["len"] = octets.ctypes.data, 3
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as door:
        assert outbox.send(door.fileno(), slice(0, 1)).all()
    assert ear.heard()[0][0] == b"six"
