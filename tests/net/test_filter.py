"""The kernel's filter, asked with real datagrams: right ones pass, strangers do not arrive (rule B4)."""

import socket
from collections.abc import Callable

import pytest

from receiver.net import filter as kernel_filter

Bind = Callable[..., socket.socket]


def arriving(receiver: socket.socket, senders: list[socket.socket], right: socket.socket) -> list[int]:
    """Let each sender send its place in the list, then the right one a last word; return what came before that."""
    family_wide = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
    for place, sender in enumerate([*senders, right]):
        word = b"last" if place == len(senders) else bytes([place])
        sender.sendto(word, (family_wide[sender.family], receiver.getsockname()[1]))
    receiver.settimeout(10)
    came: list[int] = []
    while (word := receiver.recv(100)) != b"last":
        came.append(word[0])
    return came


@pytest.mark.parametrize("on", ["127.0.0.1", "::"], ids=["IPv4", "dual-stack"])
@pytest.mark.parametrize("written", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_b4_only_the_address_and_port_of_an_ipv4_source_get_through(bind: Bind, on: str, written: str) -> None:
    receiver, right, wrong_port, wrong_address = bind(on), bind(), bind(), bind("127.0.0.2")
    senders = [wrong_port, right, wrong_address, right]
    kernel_filter.attach(receiver.fileno(), receiver.family, written, right.getsockname()[1])
    assert arriving(receiver, senders, right) == [1, 3]


@pytest.mark.parametrize("on", ["127.0.0.1", "::"], ids=["IPv4", "dual-stack"])
def test_b4_without_a_port_every_port_of_the_address_gets_through(bind: Bind, on: str) -> None:
    receiver, right, other_port, wrong_address = bind(on), bind(), bind(), bind("127.0.0.2")
    kernel_filter.attach(receiver.fileno(), receiver.family, "127.0.0.1", None)
    assert arriving(receiver, [other_port, wrong_address, right], right) == [0, 2]


def test_b4_only_the_address_and_port_of_an_ipv6_source_get_through(bind: Bind) -> None:
    receiver, right, wrong_port, other_version = bind("::"), bind("::1"), bind("::1"), bind()
    kernel_filter.attach(receiver.fileno(), receiver.family, "::1", right.getsockname()[1])
    assert arriving(receiver, [wrong_port, right, other_version], right) == [1]


def test_b4_the_ip_version_is_asked_first(bind: Bind) -> None:
    """An IPv4 header read as IPv6 would show something at the place of the address; the version must decide."""
    receiver, right, other_version = bind("::"), bind(), bind("::1")
    kernel_filter.attach(receiver.fileno(), receiver.family, "127.0.0.1", None)
    assert arriving(receiver, [other_version, right], right) == [1]


@pytest.mark.parametrize(
    ("networks", "through"),
    [
        (["127.0.0.2"], [1]),
        (["127.0.0.0/31"], [0]),
        (["127.0.0.0/30"], [0, 1]),
        (["10.0.0.0/8", "127.0.0.1/32", "127.0.0.2"], [0, 1]),
        (["::/0", "127.0.0.2"], [1, 2]),
        (["::1", "0.0.0.0/0"], [0, 1, 2]),
        (["2001:db8::/33", "127.0.0.2"], [1]),
    ],
)
def test_b4_an_allow_list_lets_each_of_its_networks_through(
    bind: Bind, networks: list[str], through: list[int]
) -> None:
    receiver, senders = bind("::"), [bind("127.0.0.1"), bind("127.0.0.2"), bind("::1")]
    kernel_filter.attach_networks(receiver.fileno(), receiver.family, networks)
    assert arriving(receiver, senders, senders[through[0]]) == through


def test_b4_ipv6_sources_on_an_ipv4_socket_let_nothing_through(bind: Bind) -> None:
    receiver, sender = bind(), bind()
    kernel_filter.attach_networks(receiver.fileno(), receiver.family, ["::/0"])
    sender.sendto(b"lost", receiver.getsockname())
    kernel_filter.detach(receiver.fileno())
    assert arriving(receiver, [sender], sender) == [0]


def test_b5_another_source_replaces_the_one_before(bind: Bind) -> None:
    receiver, first, second = bind(), bind(), bind()
    for latched in (first, second):
        kernel_filter.attach(receiver.fileno(), receiver.family, *latched.getsockname())
        assert arriving(receiver, [first, second], latched) == [[first, second].index(latched)]


def test_b4_detached_everything_gets_through_again_and_twice_is_once(bind: Bind) -> None:
    receiver, right, stranger = bind(), bind(), bind()
    kernel_filter.detach(receiver.fileno())
    kernel_filter.attach(receiver.fileno(), receiver.family, *right.getsockname())
    assert arriving(receiver, [stranger], right) == []
    kernel_filter.detach(receiver.fileno())
    kernel_filter.detach(receiver.fileno())
    assert arriving(receiver, [stranger], right) == [0]


def test_b4_what_queued_before_is_still_delivered(bind: Bind) -> None:
    receiver, right, stranger = bind(), bind(), bind()
    stranger.sendto(b"\x07", receiver.getsockname())
    receiver.settimeout(10)
    assert receiver.recv(1, socket.MSG_PEEK) == b"\x07"
    kernel_filter.attach(receiver.fileno(), receiver.family, *right.getsockname())
    assert arriving(receiver, [stranger], right) == [7]


def test_the_descriptor_stays_the_callers(bind: Bind) -> None:
    receiver = bind()
    receiver.setblocking(False)
    kernel_filter.attach(receiver.fileno(), receiver.family, "127.0.0.1", None)
    with pytest.raises(BlockingIOError):
        receiver.recv(1)


def test_a_text_that_is_no_address_is_refused(bind: Bind) -> None:
    with pytest.raises(ValueError, match="localhost"):
        kernel_filter.attach(bind().fileno(), socket.AF_INET, "localhost", 5000)
