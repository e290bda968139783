"""Receiving on real sockets, with recvmmsg and without: the same tests for both."""

import mmap
import socket
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.net import slab as slab_module
from receiver.net.slab import PlainSlab, Slab, arrivals, open_slab, slab_octets
from receiver.net.table import ROW

AnySlab = Slab | PlainSlab
Bind = Callable[..., socket.socket]
Receive = Callable[..., int]
MAPPED = 0xFFFF_7F00_0001
"""The lower half of ::ffff:127.0.0.1."""


def send(sender: socket.socket, to: socket.socket, *datagrams: bytes, address: str | None = None) -> None:
    for datagram in datagrams:
        sender.sendto(datagram, (address or to.getsockname()[0], to.getsockname()[1]))


def test_a_datagram_fills_its_row_in_every_column(slab: AnySlab, bind: Bind, receive: Receive) -> None:
    sender, receiver = bind(), bind()
    before_ns = time.time_ns()
    send(sender, receiver, b"first", b"x" * 172)
    assert receive(receiver, 2, tap=77) == 2
    assert slab.used() == 2
    assert slab.room == slab.rows - 2
    assert slab.size[:3].tolist() == [5, 172, 0]
    assert slab.octets[0, :5].tobytes() == b"first"
    assert slab.octets[1, :172].tobytes() == b"x" * 172
    assert slab.tap[:2].tolist() == [77, 77]
    high, low, port = slab.sources(2)
    assert (high.tolist(), low.tolist()) == ([0, 0], [MAPPED, MAPPED])
    assert port.tolist() == [sender.getsockname()[1]] * 2
    assert [column.dtype.str[1:] for column in (high, low, port)] == ["u8", "u8", "u2"]
    stamps = slab.stamps(2)
    assert before_ns <= stamps[0] <= stamps[1] <= time.time_ns()


@pytest.mark.parametrize(
    ("to", "high", "low"), [("::1", 0, 1), ("127.0.0.1", 0, MAPPED), ("127.0.0.2", 0, MAPPED)], ids=["v6", "v4", "v4b"]
)
def test_a_dual_stack_socket_names_ipv4_senders_as_an_ipv4_socket_does(
    slab: AnySlab, bind: Bind, receive: Receive, to: str, high: int, low: int
) -> None:
    receiver, sender = bind("::"), bind("::1" if ":" in to else "127.0.0.1")
    send(sender, receiver, b"here", address=to)
    receive(receiver, 1)
    assert [column.tolist() for column in slab.sources(1)] == [[high], [low], [sender.getsockname()[1]]]


def test_an_ipv6_address_is_halved_in_the_order_of_its_text(slab: AnySlab) -> None:
    name = slab._name[0]
    name["family"], name["port"] = socket.AF_INET6, 4000
    slab._name[:1].view(np.uint8)[8:24] = np.frombuffer(socket.inet_pton(socket.AF_INET6, "2001:db8::a:b"), np.uint8)
    high, low, port = slab.sources(1)
    assert (int(high[0]), int(low[0]), int(port[0])) == (0x20010DB8_00000000, 0x000A000B, 4000)


def test_taps_are_appended_one_behind_the_other(slab: AnySlab, bind: Bind, receive: Receive) -> None:
    sender, first, second = bind(), bind(), bind()
    send(sender, first, b"a", b"b")
    send(sender, second, b"c")
    receive(first, 2, tap=3)
    assert slab.fill(first.fileno(), 4, 64) == 0
    receive(second, 1, tap=5)
    assert slab.tap[:3].tolist() == [3, 3, 5]
    assert slab.octets[:3, 0].tobytes() == b"abc"


def test_k2_the_tap_is_written_before_the_call_that_may_receive_for_it(
    slab: AnySlab, bind: Bind, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "_recvmmsg" if isinstance(slab, Slab) else "_receive"
    real, seen = getattr(slab, name), []

    def spy(*arguments: object) -> object:
        seen.append(slab.tap[slab.at :][:8].tolist())
        return real(*arguments)

    monkeypatch.setattr(slab, name, spy)
    sender, receiver = bind(), bind()
    slab.tap[:] = -1
    send(sender, receiver, b"a")
    receive(receiver, 1, tap=70_000, most=8)
    assert seen[0] == [70_000] * 8
    assert slab.tap[8] == -1


class Spy:
    """Stands before the slab's messages and notes, whenever the column of sizes is asked for, how row 0 looks."""

    def __init__(self, slab: PlainSlab) -> None:
        self._slab, self._message = slab, slab._message
        self.seen: list[tuple[bytes, int, int]] = []

    def __getitem__(self, column: str) -> NDArray[np.generic]:
        if column == "size":
            port = int(self._slab.sources(1)[2][0])
            self.seen.append((self._slab.octets[0, :4].tobytes(), port, int(self._message["controllen"][0])))
        return self._message[column]


def test_k2_the_fallback_writes_the_size_of_a_row_last_as_the_kernel_does(
    memory_file: int, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For recvmmsg see the kernel's net/socket.c, do_recvmmsg."""
    slab = PlainSlab(mmap.mmap(memory_file, slab_octets(100)), 100)
    slab.begin(1)
    spy = Spy(slab)
    monkeypatch.setattr(slab, "_message", spy)
    sender, receiver = bind(), bind(stamped=False)
    send(sender, receiver, b"here")
    while not slab.fill(receiver.fileno(), 0, 1):
        pass
    assert spy.seen == [(b"here", sender.getsockname()[1], 0)]


def test_k2_what_was_received_is_found_again_in_a_fresh_mapping(
    slab: AnySlab, slab_class: type[AnySlab], memory_file: int, bind: Bind, receive: Receive
) -> None:
    sender, receiver = bind(), bind()
    send(sender, receiver, b"one", b"", b"three")
    receive(receiver, 3, tap=9)
    slab.seal(12345, 678)
    before = [slab.size[:3].tolist(), *(column.tolist() for column in slab.sources(3)), slab.stamps(3).tolist()]

    again = slab_class(mmap.mmap(memory_file, slab_octets(slab.rows)), slab.rows)
    again.point()
    assert again.in_hand(generation=1) == 3
    after = [again.size[:3].tolist(), *(column.tolist() for column in again.sources(3)), again.stamps(3).tolist()]
    assert after == before
    assert (again.now_ns, again.offset_ns) == (12345, 678)
    assert again.tap[:3].tolist() == [9, 9, 9]
    assert again.octets[2, :5].tobytes() == b"three"

    again.begin(2)
    send(sender, receiver, b"more")
    while not again.fill(receiver.fileno(), 1, 64):
        pass
    assert again.octets[0, :4].tobytes() == b"more"
    assert again.in_hand(generation=3) == 0
    assert again.in_hand(generation=2) == 1


@pytest.mark.parametrize("most", [1, 7, 64])
def test_k5_a_full_slab_leaves_the_rest_in_the_kernel(slab: AnySlab, bind: Bind, receive: Receive, most: int) -> None:
    sender, receiver = bind(), bind()
    sent = [f"{number:03}".encode() for number in range(slab.rows + 20)]
    send(sender, receiver, *sent)
    receive(receiver, slab.rows, most=most)
    assert slab.room == 0
    assert slab.fill(receiver.fileno(), 0, most) == 0
    got = [row[:3].tobytes() for row in slab.octets]
    slab.begin(2)
    receive(receiver, 20, most=most)
    assert got + [row[:3].tobytes() for row in slab.octets[:20]] == sent


def test_most_bounds_one_call(slab: AnySlab, bind: Bind) -> None:
    sender, receiver = bind(), bind()
    send(sender, receiver, *[b"x"] * 10)
    while not slab.used():
        assert slab.fill(receiver.fileno(), 0, 3) in (0, 3)
    assert slab.used() == 3
    assert slab.fill(receiver.fileno(), 0, 0) == 0


@pytest.mark.parametrize("size", [1500, 1501, ROW, ROW + 1, 9000])
def test_a1_a_datagram_longer_than_a_row_is_cut_and_says_that_it_was_too_long(
    slab: AnySlab, bind: Bind, receive: Receive, size: int
) -> None:
    sender, receiver = bind(), bind()
    slab.octets[1] = 0xEE
    send(sender, receiver, b"x" * size)
    receive(receiver, 1)
    assert slab.size[0] == min(size, ROW)
    assert (slab.size[0] > 1500) == (size > 1500)
    assert (slab.octets[1] == 0xEE).all()


def test_empty_datagrams_take_their_rows_and_hide_nothing_behind_them(
    slab: AnySlab, bind: Bind, receive: Receive
) -> None:
    sender, receiver = bind(), bind()
    send(sender, receiver, b"", b"a", b"", b"", b"b", b"")
    assert receive(receiver, 6) == 6
    assert slab.size[:6].tolist() == [0, 1, 0, 0, 1, 0]
    assert slab.in_hand(1) == 5


def test_a_pending_icmp_error_is_counted_once_and_hides_no_datagram(
    slab: AnySlab, bind: Bind, receive: Receive
) -> None:
    receiver, gone = bind(), bind()
    closed = gone.getsockname()
    gone.close()
    receiver.connect(closed)
    receiver.send(b"anybody there?")
    while slab.errors == 0:
        assert slab.fill(receiver.fileno(), 0, 64) == 0
    assert slab.fill(receiver.fileno(), 0, 64) == 0
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(closed)
    send(peer, receiver, b"now I am")
    peer.close()
    receive(receiver, 1)
    assert slab.octets[0, :8].tobytes() == b"now I am"
    assert slab.errors == 1


def test_a_closed_descriptor_is_counted_and_raises_nothing(slab: AnySlab, bind: Bind) -> None:
    gone = bind()
    fd = gone.fileno()
    gone.close()
    assert slab.fill(fd, 0, 64) == 0
    assert slab.errors == 1


def test_what_the_kernel_shrank_is_as_before_in_the_next_slab(slab: AnySlab, bind: Bind, receive: Receive) -> None:
    """An IPv4 name and a missing stamp shrink namelen and controllen; the next datagram there needs both whole."""
    plain, dual = bind(stamped=False), bind("::")
    send(bind(), plain, b"a", b"b")
    receive(plain, 2)
    assert slab.stamps(2).tolist() == [0, 0]
    slab.begin(2)
    sender = bind("::1")
    send(sender, dual, b"a", b"b", address="::1")
    receive(dual, 2)
    assert slab.sources(2)[1].tolist() == [1, 1]
    assert (slab.stamps(2) > 0).all()
    slab.begin(3)
    send(bind(), plain, b"a", b"b")
    receive(plain, 2)
    assert slab.stamps(2).tolist() == [0, 0]


def test_the_faster_slab_is_taken_where_there_is_recvmmsg(memory_file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = mmap.mmap(memory_file, slab_octets(100))
    assert isinstance(open_slab(memory, 100), Slab) == (sys.platform == "linux")
    monkeypatch.setattr(slab_module, "_LIBC", object())
    assert isinstance(open_slab(memory, 100), PlainSlab)


SECOND_NS = 10**9
TIMES = st.integers(0, 2**40)


# A wall clock after 1970 + 1 s: a stamp of 0 is one that the kernel did not give.
@given(
    TIMES, st.lists(st.tuples(st.integers(0, SECOND_NS), st.integers(0, SECOND_NS)), max_size=20),
    st.integers(SECOND_NS + 1, 2**60),
)  # fmt: skip
def test_a18_an_arrival_is_the_stamp_on_the_monotonic_clock(
    now_ns: int, ages: list[tuple[int, int]], offset_ns: int
) -> None:
    age, before = np.array(ages, np.int64).reshape(-1, 2).T
    truth = now_ns - age
    arrival = arrivals(truth + offset_ns, offset_ns, truth - before, now_ns)
    assert arrival.dtype == np.int64
    assert arrival.tolist() == truth.tolist()


@given(
    st.lists(st.tuples(st.integers(1, SECOND_NS), st.integers(-(10**17), 10**17)), min_size=1, max_size=20),
    st.data(),
)
def test_a18_whatever_the_wall_clock_does_arrivals_stay_between_two_ticks(
    ticks: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The wall clock is set anew in every tick, at some moment between its packets."""
    now_ns, offset_ns, newest = 5 * SECOND_NS, 10**18, 0
    for length, step in ticks:
        previous_ns, now_ns = now_ns, now_ns + length
        moments = np.array(data.draw(st.lists(st.integers(previous_ns, now_ns), max_size=5)), np.int64)
        stamps = moments + np.where(moments - previous_ns < length // 2, offset_ns, offset_ns + step)
        offset_ns += step
        arrival = arrivals(stamps, offset_ns, np.full(len(stamps), previous_ns), now_ns)
        assert ((previous_ns <= arrival) & (arrival <= now_ns)).all()
        assert (arrival >= newest).all()
        after_the_step = moments - previous_ns >= length // 2
        assert np.array_equal(arrival[after_the_step], moments[after_the_step])
        newest = now_ns


def test_a18_a_datagram_without_a_stamp_arrived_now() -> None:
    assert arrivals(np.array([0, 7_000]), 5_000, np.array([1_000, 1_000]), 3_000).tolist() == [3_000, 2_000]
