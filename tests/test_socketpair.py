"""The socket pair: whole messages and descriptors, in order, until one side dies."""

import asyncio
import errno
import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import socketpair
from receiver.socketpair import Link, LinkBroken, Received, pair


def _plain(end: socket.socket) -> Link[bytes, bytes]:
    return Link(end, bytes, bytes)


async def _heard(link: Link[bytes, bytes]) -> Received[bytes]:
    """What comes next, where something must."""
    received = await link.receive()
    assert received is not None
    return received


async def test_messages_keep_their_borders_and_order() -> None:
    here, there = map(_plain, pair())
    for word in (b"one", b"", b"three"):
        here.send(word)
    assert [(await _heard(there)).message for _ in range(3)] == [b"one", b"", b"three"]
    here.close()
    assert await there.receive() is None


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.sampled_from([0, 1, socketpair.PIECE - 1, socketpair.PIECE, socketpair.PIECE + 1, 200_000])))
def test_messages_of_any_length_come_whole_through_a_full_socket(sizes: list[int]) -> None:
    async def journey() -> None:
        here, there = map(_plain, pair())
        sent = [bytes([index % 251]) * size for index, size in enumerate(sizes)]
        for message in sent:
            here.send(message)
        got = [(await _heard(there)).message for _ in sent]
        assert got == sent
        assert here.queued == 0
        here.close()
        there.close()

    asyncio.run(journey())


async def test_a_descriptor_arrives_with_its_message_and_is_not_inherited_further() -> None:
    here, there = map(_plain, pair())
    reading, writing = os.pipe()
    here.send(b"without")
    here.send(b"with", [reading])
    os.close(reading)
    assert (await _heard(there)).descriptors == ()
    message, (number,) = await _heard(there)
    os.write(writing, b"sound")
    assert (message, os.read(number, 9)) == (b"with", b"sound")
    assert not os.get_inheritable(number)
    os.close(number)
    os.close(writing)
    here.close()
    there.close()


async def test_a_queued_descriptor_survives_that_its_owner_closes_it() -> None:
    here, there = map(_plain, pair())
    while not here.queued:
        here.send(bytes(socketpair.PIECE - 1))
    reading, writing = os.pipe()
    here.send(b"late", [reading])
    os.close(reading)
    received = await _heard(there)
    while received.message != b"late":
        received = await _heard(there)
    os.write(writing, b"!")
    assert os.read(received.descriptors[0], 1) == b"!"
    os.close(received.descriptors[0])
    os.close(writing)
    here.close()
    there.close()


async def test_two_hundred_descriptors_queue_and_arrive_in_order_of_their_messages() -> None:
    here, there = map(_plain, pair())
    ports = []
    for index in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            ports.append(udp.getsockname()[1])
            here.send(str(index).encode() * 500, [udp.fileno()])
    for index, port in enumerate(ports):
        message, (number,) = await _heard(there)
        with socket.socket(fileno=number) as udp:
            assert (message, udp.getsockname()[1]) == (str(index).encode() * 500, port)
    here.close()
    there.close()


async def test_what_was_said_before_death_is_heard_before_the_end() -> None:
    here, there = map(_plain, pair())
    here.send(b"last words")
    here.close()
    assert (await _heard(there)).message == b"last words"
    assert await there.receive() is None
    assert await there.receive() is None
    there.send(b"into the void")
    assert there.ended


async def test_a_message_cut_by_death_is_not_delivered() -> None:
    here, there = pair()
    here.send(b"\1half of it")
    here.close()
    assert await _plain(there).receive() is None


async def test_sending_to_a_dead_peer_neither_raises_nor_blocks() -> None:
    here, there = map(_plain, pair())
    there.close()
    here.send(b"a" * 100_000)
    here.send(b"b")
    await here.flush()
    assert here.ended
    assert await here.receive() is None


async def test_a_peer_that_does_not_read_is_noticed_and_at_the_bound_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketpair, "MOST_QUEUED", 1_000_000)
    here, there = map(_plain, pair())
    there._loop.remove_reader(there._number)
    assert here.blocked_ns() == 0
    while not here.queued:
        here.send(bytes(30_000))
    since_ns = here._blocked_ns
    assert since_ns is not None
    assert here.blocked_ns(now_ns=since_ns + 7) == 7
    for _ in range(40):
        here.send(bytes(30_000))
    assert here.ended
    assert here.queued == 0
    there.close()


async def test_too_many_descriptors_under_way_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = map(_plain, pair())
    really, refusals = here._end, [errno.ETOOMANYREFS, errno.ENOBUFS]

    class Crowded:
        def sendmsg(self, *arguments: object) -> int:
            if refusals:
                raise OSError(refusals.pop(), "")
            return really.sendmsg(*arguments)  # type: ignore[arg-type]

        def close(self) -> None:
            really.close()

    monkeypatch.setattr(here, "_end", Crowded())
    here.send(b"patience")
    assert here.queued
    assert (await _heard(there)).message == b"patience"
    await here.flush()
    assert here.queued == 0
    here.close()
    there.close()


async def test_flush_returns_once_everything_is_taken() -> None:
    here, there = map(_plain, pair())
    for _ in range(20):
        here.send(bytes(30_000))
    flushed = asyncio.ensure_future(here.flush())
    await asyncio.sleep(0)
    assert not flushed.done()
    for _ in range(20):
        await there.receive()
    await flushed
    here.close()
    there.close()


async def test_a_receiver_that_lags_leaves_the_rest_in_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketpair, "MOST_UNREAD", 4)
    here, there = map(_plain, pair())
    for index in range(50):
        here.send(bytes([index]))
    assert (await _heard(there)).message == b"\0"
    assert len(there._in) <= 4
    assert [(await _heard(there)).message[0] for _ in range(49)] == list(range(1, 50))
    here.close()
    there.close()


async def test_nonsense_ends_the_link_with_a_reason() -> None:
    def refuse(octets: bytes) -> bytes:
        raise ValueError("what?")

    here, end = pair()
    there: Link[bytes, bytes] = Link(end, bytes, refuse)
    here.send(b"\0nonsense")
    with pytest.raises(LinkBroken, match=r"what\?"):
        await there.receive()
    with pytest.raises(LinkBroken):
        await there.receive()
    here.close()


async def test_a_message_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketpair, "LONGEST", 100)
    here, end = pair()
    there = _plain(end)
    for _ in range(5):
        here.send(b"\1" + bytes(30))
    with pytest.raises(LinkBroken, match="without end"):
        await there.receive()
    here.close()


async def test_descriptors_that_nobody_asked_for_are_closed_with_the_link() -> None:
    before = len(os.listdir("/proc/self/fd"))
    here, there = map(_plain, pair())
    reading, writing = os.pipe()
    here.send(b"", [reading])
    here.send(b"", [writing])
    await there._news.wait()
    assert len(there._in) == 2
    there.close()
    here.close()
    os.close(reading)
    os.close(writing)
    assert len(os.listdir("/proc/self/fd")) == before
