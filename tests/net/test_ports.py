"""The pool of ports, on real sockets; the clock is a number."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from receiver.net.ports import SO_RCVBUFFORCE, NoPort, Port, Ports

COOLDOWN_S = 60.0


class Clock:
    """Monotonic seconds that pass when told."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def free_run(length: int) -> int:
    """Return an even number from which on ``length`` ports are free on loopback just now."""
    for first in range(40_000, 60_000, 2 * length):
        try:
            for number in range(first, first + length):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
                    trial.bind(("127.0.0.1", number))
        except OSError:
            continue
        return first
    raise AssertionError("no free run of ports")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def first() -> int:
    return free_run(8)


@pytest.fixture
def opened() -> Iterator[list[Port]]:
    made: list[Port] = []
    yield made
    for port in made:
        port.socket.close()


def test_a16_ports_that_an_earlier_process_gave_back_cool_down_here(
    clock: Clock, first: int, opened: list[Port]
) -> None:
    ports = Ports("127.0.0.1", first, first + 3, cooldown_s=COOLDOWN_S, clock=clock)
    ports.give_back(ports.take())
    with_us = ports.take()
    opened.append(with_us)
    ports.cool({first + 2: 30.0, with_us.number: 30.0, first + 100: 30.0})
    for wait_s, expected in ((0.0, first + 3), (30.0, first + 2), (30.0, first)):
        clock.now_s += wait_s
        opened.append(ports.take())
        assert opened[-1].number == expected
        with pytest.raises(NoPort):
            ports.take()


def test_a_port_is_bound_does_not_block_stamps_and_has_room_for_seconds(first: int, opened: list[Port]) -> None:
    port = Ports("127.0.0.1", first, first, cooldown_s=0).take()
    opened.append(port)
    assert port.socket.getsockname() == ("127.0.0.1", port.number) == ("127.0.0.1", first)
    assert port.socket.getblocking() is False
    assert port.socket.get_inheritable() is False
    assert port.socket.getsockopt(socket.SOL_SOCKET, 35) == 1
    assert port.granted_octets == port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert port.granted_octets >= 200_000


def test_a_buffer_that_may_not_be_forced_is_asked_for(
    first: int, opened: list[Port], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unprivileged(socket.socket):
        def setsockopt(self, *arguments: Any) -> None:
            if arguments[1] == SO_RCVBUFFORCE:
                raise PermissionError
            super().setsockopt(*arguments)

    monkeypatch.setattr(socket, "socket", Unprivileged)
    port = Ports("127.0.0.1", first, first, cooldown_s=0, buffer_octets=20_000).take()
    opened.append(port)
    assert port.granted_octets == 40_000


def test_a_port_that_somebody_else_holds_is_passed_over(first: int, opened: list[Port]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first))
        ports = Ports("127.0.0.1", first, first + 1, cooldown_s=0)
        opened.append(ports.take())
        assert opened[0].number == first + 1
        with pytest.raises(NoPort) as refusal:
            ports.take()
        assert refusal.value.cooled_in_s is None
    opened.append(ports.take())
    assert opened[1].number == first


def test_a16_a_port_given_back_cools_down_and_comes_with_a_new_socket(
    first: int, clock: Clock, opened: list[Port]
) -> None:
    ports = Ports("127.0.0.1", first, first, cooldown_s=COOLDOWN_S, clock=clock)
    port = ports.take()
    ports.give_back(port)
    ports.give_back(port)
    assert port.socket.fileno() == -1
    clock.now_s += 20
    with pytest.raises(NoPort, match=r"no free port for 40\.0 s") as refusal:
        ports.take()
    assert refusal.value.cooled_in_s == 40
    assert ports.free == 0
    clock.now_s += 40
    assert ports.free == 1
    opened.append(ports.take())
    assert opened[0].number == first
    assert opened[0].socket is not port.socket
    assert ports.free == 0


@pytest.mark.parametrize("odd", [0, 1])
def test_with_step_2_only_even_ports_are_used(first: int, opened: list[Port], odd: int) -> None:
    ports = Ports("127.0.0.1", first + odd, first + 7, step=2, cooldown_s=0)
    assert ports.free == 4 - odd
    opened += [ports.take() for _ in range(4 - odd)]
    assert [port.number for port in opened] == list(range(first + 2 * odd, first + 8, 2))


def test_the_port_longest_unused_comes_first(first: int, clock: Clock, opened: list[Port]) -> None:
    ports = Ports("127.0.0.1", first, first + 3, cooldown_s=COOLDOWN_S, clock=clock)
    ports.give_back(ports.take())
    clock.now_s += COOLDOWN_S
    opened += [ports.take() for _ in range(4)]
    assert [port.number - first for port in opened] == [1, 2, 3, 0]


def test_a_fixed_port_is_taken_from_the_pool_even_while_it_cools(first: int, clock: Clock, opened: list[Port]) -> None:
    ports = Ports("127.0.0.1", first, first + 1, cooldown_s=COOLDOWN_S, clock=clock)
    ports.give_back(ports.take())
    fixed = ports.fixed(first)
    opened += [fixed, ports.take()]
    clock.now_s += COOLDOWN_S
    assert ports.free == 0
    with pytest.raises(OSError, match="in use"):
        ports.fixed(first)
    ports.give_back(fixed)
    assert ports.free == 0
    clock.now_s += COOLDOWN_S
    assert ports.free == 1


def test_a_fixed_port_beyond_the_pool_never_enters_it(first: int, clock: Clock) -> None:
    ports = Ports("127.0.0.1", first, first + 1, cooldown_s=0, clock=clock)
    ports.give_back(ports.fixed(first + 5))
    assert ports.free == 2


def test_an_address_that_is_not_ours_is_said_and_costs_no_port() -> None:
    ports = Ports("192.0.2.1", 40_000, 40_001, cooldown_s=0)
    with pytest.raises(OSError, match="assign"):
        ports.take()
    assert ports.free == 2


@pytest.mark.usefixtures("ipv6")
def test_the_address_of_all_serves_both_versions(first: int, opened: list[Port]) -> None:
    opened.append(Ports("::", first, first, cooldown_s=0).take())
    port = opened[0].socket
    port.setblocking(True)
    for address in ("::1", "127.0.0.1"):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(address.encode(), (address, first))
        assert port.recv(100) == address.encode()


def test_the_control_process_gets_no_numpy_by_this() -> None:
    program = "import sys, receiver.net.ports; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class Pool(RuleBasedStateMachine):
    """Any order of taking, giving back and waiting: no port twice, none too early, none lost."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.first = free_run(4)
        self.ports = Ports("127.0.0.1", self.first, self.first + 3, cooldown_s=COOLDOWN_S, clock=self.clock)
        self.held: dict[int, Port] = {}
        self.cool_at_s = dict.fromkeys(range(self.first, self.first + 4), 0.0)

    def could(self) -> list[int]:
        return [n for n, at in self.cool_at_s.items() if n not in self.held and at <= self.clock.now_s]

    @rule()
    def take(self) -> None:
        could = self.could()
        if not could:
            with pytest.raises(NoPort):
                self.ports.take()
            return
        port = self.ports.take()
        assert port.number in could
        self.held[port.number] = port

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        self.ports.give_back(self.held.pop(number))
        self.cool_at_s[number] = self.clock.now_s + COOLDOWN_S

    @rule(seconds=st.sampled_from([0.0, 1.0, 59.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def the_count_is_true(self) -> None:
        assert self.ports.free == len(self.could())

    def teardown(self) -> None:
        for port in self.held.values():
            port.socket.close()


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def test_d7_a_socket_of_an_earlier_process_is_taken_over_with_what_queued_in_it() -> None:
    before = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0)
    left = before.take()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"queued", ("127.0.0.1", left.number))
    descriptor = os.dup(left.socket.fileno())
    left.socket.close()
    ports = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0)
    port = ports.adopt(left.number, [descriptor])
    assert port.socket.recv(99) == b"queued"
    assert port.granted_octets == left.granted_octets
    others = [ports.take() for _ in range(3)]
    assert port.number not in [each.number for each in others]
    for each in (port, *others):
        ports.give_back(each)
    assert ports.free == 4


def test_d7_another_socket_than_that_is_refused_and_closed() -> None:
    ports = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0)
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        descriptor = socket.socket(socket.AF_INET, kind).detach()
        with pytest.raises(ValueError, match="expected a UDP socket of port 27000"):
            ports.adopt(27_000, [descriptor])
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    assert ports.free == 4


def test_a13_with_ears_the_next_port_is_bound_and_given_back_beside_each() -> None:
    ports = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0, step=2, ears=True)
    one = ports.take()
    assert one.ear is not None
    assert (one.number, one.ear.getsockname()[1]) == (27_000, 27_001)
    two = ports.take()
    assert two.number == 27_002
    ports.give_back(one)
    assert one.ear.fileno() == -1
    ports.give_back(two)
    assert ports.free == 2


def test_a13_a_port_whose_next_one_is_taken_is_passed_over() -> None:
    ports = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0, step=2, ears=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 27_001))
        taken = ports.take()
        assert taken.number == 27_002
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 27_000))  # nothing of it is left
    ports.give_back(taken)


@pytest.mark.parametrize("turned", [False, True])
def test_d7_a13_both_sockets_of_a_tap_are_taken_over_in_any_order(turned: bool) -> None:
    left = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0, step=2, ears=True).take()
    assert left.ear is not None
    descriptors = [os.dup(left.socket.fileno()), os.dup(left.ear.fileno())]
    port = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0).adopt(27_000, descriptors[::-1] if turned else descriptors)
    assert port.ear is not None
    assert [each.getsockname()[1] for each in (port.socket, port.ear)] == [27_000, 27_001]
    for each in (left.socket, left.ear, port.socket, port.ear):
        each.close()


def test_d7_a13_two_sockets_of_which_one_is_another_s_are_refused_and_closed() -> None:
    ports = Ports("127.0.0.1", 27_000, 27_003, cooldown_s=0, step=2, ears=True)
    one, two = ports.take(), ports.take()
    assert one.ear is not None
    assert two.ear is not None
    for pair in ((one.socket, two.ear), (one.ear, two.ear), (one.socket,) * 2):
        descriptors = [os.dup(each.fileno()) for each in pair]
        with pytest.raises(ValueError, match="expected a UDP socket of port 27000"):
            ports.adopt(27_000, descriptors)
        for descriptor in descriptors:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
    with pytest.raises(ValueError, match="found 0"):
        ports.adopt(27_000, [])
    ports.give_back(one)
    ports.give_back(two)
