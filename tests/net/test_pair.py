"""A pair of sockets on loopback hears nobody but itself, and its reader is as good as any port's."""

import fcntl
import os
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from receiver.net.pair import Pair, adopt_pair, open_pair
from receiver.net.ports import SO_TIMESTAMPNS, Ports
from receiver.net.slab import PlainSlab, Slab

AnySlab = Slab | PlainSlab


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = open_pair()
    yield made
    made.close()


def test_what_goes_in_at_the_writer_comes_out_at_the_reader_and_nowhere_else(pair: Pair) -> None:
    for number in range(10):
        assert pair.writer.send(b"%d" % number) == 1
    assert [pair.socket.recv(100) for _ in range(10)] == [b"%d" % number for number in range(10)]
    with pytest.raises(BlockingIOError):
        pair.writer.recv(1)


def test_a_strangers_datagram_reaches_neither_end(pair: Pair) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for end in (pair.socket, pair.writer):
            stranger.sendto(b"not for you", end.getsockname())
    pair.writer.send(b"for you")
    assert pair.socket.recv(100) == b"for you", "it is loopback: the stranger's would have come first"
    for end in (pair.socket, pair.writer):
        with pytest.raises((BlockingIOError, ConnectionRefusedError)):
            end.recv(1)


def test_number_and_source_are_what_the_worker_is_told(pair: Pair) -> None:
    assert pair.socket.getsockname() == ("127.0.0.1", pair.number)
    assert pair.writer.getsockname() == pair.source == pair.socket.getpeername()
    assert pair.writer.getpeername() == pair.socket.getsockname()


def test_the_reader_has_what_a_port_has(pair: Pair) -> None:
    port = Ports("127.0.0.1", 41_900, 41_999, cooldown_s=0).take()
    with port.socket:
        for option in (SO_TIMESTAMPNS, socket.SO_RCVBUF):
            found, expected = (each.socket.getsockopt(socket.SOL_SOCKET, option) for each in (pair, port))
            assert found == expected
    for end in (pair.socket, pair.writer):
        assert fcntl.fcntl(end, fcntl.F_GETFL) & os.O_NONBLOCK
        assert fcntl.fcntl(end, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_the_slab_reads_it_with_its_time_and_its_source(pair: Pair, slab: AnySlab, receive: Callable[..., int]) -> None:
    before_ns = time.time_ns()
    pair.writer.send(b"\x80" * 172)
    assert receive(pair.socket, 1) == 1
    assert slab.size[:1].tolist() == [172]
    assert before_ns <= int(slab.stamps(1)[0]) <= time.time_ns()
    assert int(slab.sources(1)[2][0]) == pair.source[1]


def test_what_comes_while_nobody_reads_is_kept(pair: Pair) -> None:
    for number in range(250):  # five seconds of a tap; the kernel's default buffer would do
        pair.writer.send(number.to_bytes(2) + bytes(170))
    assert [int.from_bytes(pair.socket.recv(172)[:2]) for _ in range(250)] == list(range(250))


def test_a_reader_that_is_gone_is_an_error_of_the_writers_and_nothing_else(pair: Pair) -> None:
    pair.socket.close()
    pair.writer.send(b"hello")
    assert select.select([pair.writer], [], [], 10)[0], "the kernel did not tell"
    with pytest.raises(ConnectionRefusedError):
        pair.writer.send(b"hello")


def test_closing_twice_is_closing_once(pair: Pair) -> None:
    pair.close()
    pair.close()
    assert pair.socket.fileno() == pair.writer.fileno() == -1


def test_an_error_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def refuse(made: socket.socket, octets: int) -> None:
        raise OSError("no")

    monkeypatch.setattr("receiver.net.pair.ask_for_buffer", refuse)
    with pytest.raises(OSError, match="no"):
        open_pair()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("turned", [False, True])
def test_d7_a_pair_of_an_earlier_process_is_taken_over_in_any_order(pair: Pair, turned: bool) -> None:
    ends = [os.dup(end.fileno()) for end in (pair.socket, pair.writer)]
    again = adopt_pair(pair.number, ends[::-1] if turned else ends)
    assert (again.number, again.source) == (pair.number, pair.source)
    again.writer.send(b"sound")
    assert pair.socket.recv(9) == b"sound"
    again.close()


def test_d7_two_sockets_that_are_no_pair_are_refused_and_closed(pair: Pair) -> None:
    other = open_pair()
    ends = [os.dup(pair.socket.fileno()), os.dup(other.writer.fileno())]
    with pytest.raises(ValueError, match="the two ends of a pair"):
        adopt_pair(pair.number, ends)
    for end in ends:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(end)
    with pytest.raises(ValueError, match="the two ends of a pair"):
        adopt_pair(pair.number, [os.dup(pair.socket.fileno())])
    other.close()
