"""Rule A13, port + 1: read once a second beside the tick; only the latched source's address counts; nothing moves."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec import UNSET

from receiver import link
from receiver.keys import Key
from receiver.net.ports import SO_TIMESTAMPNS
from receiver.wire.rtp import Verdict
from receiver.wire.srtp import Sealer
from receiver.worker import ears as module
from tests.media.rig import talk
from tests.media.sealed import key_of, sealed
from tests.wire.test_rtcp import bye, rr, sdes, sr
from tests.worker.office import Line, Office, office, until

Call = Callable[..., Line]
NOON = 0xE8F1_2345_0000_0000


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    """What control binds beside a tap's port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        yield made


@pytest.fixture
def mouth() -> Iterator[socket.socket]:
    """The sender's other socket: the same address, another port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        yield made


def told(one: Office, line: Line, ear: socket.socket) -> None:
    """As control does it behind ``Open``."""
    one.take(link.Ear(line.slot, line.id), ear.fileno())


async def test_a13_what_comes_to_port_1_reaches_the_sidecar(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        told(one, line, ear)
        await one.open(line)
        line.talk(10)
        one.hear()
        mouth.sendto(sr(7, NOON, 8_000) + sdes((7, [(1, b"me")])), ear.getsockname())
        assert one.worker.ears.listen() == 1
        assert one.worker.ears.listen() == 0
        mouth.sendto(rr() + bye(7), ear.getsockname())  # it is the last word: nobody has listened again
        made = await one.close(line)
        [stream] = made.channels[0].streams
        assert (stream.cname, stream.sender_reports.count) == ("me", 1)
        assert stream.bye_at is not UNSET
        assert abs(stream.bye_at.timestamp() - made.ended_at.timestamp()) < 5
        assert (made.outcome, stream.packets) == ("complete", 10)
        assert int(one.tap(line)["verdicts"][Verdict.RTCP]) == 2


async def test_a13_port_1_is_read_once_a_second_beside_the_tick(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket
) -> None:
    due: list[Any] = []
    line, loop = call(), Mock(call_later=lambda after_s, *work: due.append((after_s, *work)))
    async with office(tmp_path, memory) as one:
        one.worker.ears.start(loop)
        told(one, line, ear)
        await one.open(line)
        line.talk(10)
        one.hear()
        mouth.sendto(sr(7, NOON, 8_000), ear.getsockname())
        one.slices()
        assert int(one.tap(line)["verdicts"][Verdict.RTCP]) == 0, "no tick has read it"
        [(after_s, work, *words)] = due
        work(*words)
        assert int(one.tap(line)["verdicts"][Verdict.RTCP]) == 1
        assert (after_s, [again_s for again_s, *_ in due]) == (1.0, [1.0, 1.0])
        one.worker.ears._timer = None


async def test_a13_whatever_comes_nothing_goes_back_by_udp(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket
) -> None:
    line, stranger = call(), call(1)
    async with office(tmp_path, memory) as one:
        told(one, line, ear)
        await one.open(line)
        line.talk(10)
        for door in (line.door.getsockname(), ear.getsockname()):
            for octets in (sr(7, NOON, 160), rr(), sdes((7, [(1, b"me")])), bye(7), b"", b"\x80", bytes(1_400)):
                for sender in (line.sender, stranger.sender, mouth):
                    sender.sendto(octets, door)
        one.hear()
        assert one.worker.ears.listen() > 0
        assert (await one.close(line)).outcome == "complete"
        await one.forget(line)
        for sender in (line.sender, stranger.sender, mouth):
            with pytest.raises(BlockingIOError):
                sender.recv(1, socket.MSG_DONTWAIT)


async def test_a13_it_latches_nobody_and_strangers_are_not_heard(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket
) -> None:
    line = call(announced=("192.0.2.9", 0), policy="announced")
    async with office(tmp_path, memory) as one:
        await one.open(line)
        told(one, line, ear)
        for k in range(8):
            mouth.sendto(sr(7, NOON, 160 * k) + bye(7), ear.getsockname())
        assert one.worker.ears.listen() == module.MOST_A_SOCKET
        assert int(one.tap(line)["stream"]) == -1
        made = await one.close(line)
        assert made.outcome == "empty"
    other = call(1)
    async with office(tmp_path, memory) as one:
        await one.open(other)
        told(one, other, ear)
        other.talk(10)
        one.hear()
        one.state.touch("taps", other.slot)
        one.state.now.taps["source"]["low"][other.slot] += 1  # the latched source is another host
        one.state.commit()
        mouth.sendto(sr(7, NOON, 160) + bye(7), ear.getsockname())
        while one.worker.ears.listen():
            pass
        [stream] = (await one.close(other)).channels[0].streams
        assert (stream.sender_reports, stream.bye_at) == (UNSET, UNSET)


async def test_a13_where_nobody_listens_it_is_read_all_the_same(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket
) -> None:
    line = call()
    async with office(tmp_path, memory, rtcp=False) as one:
        await one.open(line)
        told(one, line, ear)
        line.talk(10)
        one.hear()
        mouth.sendto(rr() + bye(7), ear.getsockname())
        assert one.worker.ears.listen() == 1
        [stream] = (await one.close(line)).channels[0].streams
        assert stream.bye_at is UNSET


async def test_the_socket_is_closed_when_the_tap_is_forgotten_or_gets_another(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        told(one, line, ear)
        told(one, line, mouth)
        await one.open(line)
        assert len(one.worker.ears._sockets) == 1
        await one.close(line)
        await one.forget(line)
        assert not one.worker.ears._sockets
        assert not one.worker.ears._slots
        told(one, line, ear)
        one.take(link.Forget(line.slot, "refused"))
        assert not one.worker.ears._sockets


async def test_it_is_read_by_itself_once_a_second(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.001)
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        told(one, line, ear)
        line.talk(10)
        one.hear()
        one.worker.ears.start(asyncio.get_running_loop())
        for name in (b"me", b"she"):
            mouth.sendto(rr() + sdes((7, [(1, name)])), ear.getsockname())
            names = len(one.said)
            await until(lambda: int(one.tap(line)["verdicts"][Verdict.RTCP]) > 0)
            assert names == len(one.said), "it is no news"
            one.state.touch("taps", line.slot)
            one.state.now.taps["verdicts"][line.slot] = 0
            one.state.commit()
        one.worker.ears.stop()
        assert int(one.state.live.streams["names"][int(one.tap(line)["stream"])]) == 2


@pytest.mark.parametrize("behind", [True, False])
async def test_b3_of_a_tap_with_a_key_only_what_has_its_tag_is_heard(
    tmp_path: Path, memory: int, call: Call, ear: socket.socket, mouth: socket.socket, behind: bool
) -> None:
    """On the next port as on that of RTP."""
    key = key_of()
    line = call(suite=key.suite.name, key=Key(key.suite.name, key.octets))
    async with office(tmp_path, memory) as one:
        await one.open(line)
        told(one, line, ear)
        line.send(sealed(talk(10), key))
        one.hear()
        forged, control = sr(7, NOON) + sdes((7, [(1, b"forged")])), Sealer(*key)
        sealed_words = [control.seal_control(sr(7, NOON, k) + sdes((7, [(1, b"me")]))) for k in range(2)]
        for words in (forged, *sealed_words, sealed_words[0][:-1] + b"x"):
            (mouth if behind else line.sender).sendto(words, (ear if behind else line.door).getsockname())
        one.worker.ears.listen()
        one.hear()
        counted = one.tap(line)["verdicts"]
        assert (int(counted[Verdict.RTCP]), int(counted[Verdict.UNAUTHENTIC])) == (2, 2)
        [stream] = (await one.close(line)).channels[0].streams
        assert (stream.cname, stream.sender_reports.count, stream.packets) == ("me", 2, 10)
