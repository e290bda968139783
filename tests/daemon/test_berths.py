"""Where a tap's sound arrives: a port of the pool, or a door with sockets behind it."""

import os
import socket

import pytest

from receiver.control.means import NotNow
from receiver.control.taps import State
from receiver.control.wsdevice import WsDoor
from receiver.daemon import berths as module
from receiver.daemon.berths import Berths
from receiver.daemon.sealed import seal_key
from receiver.keys import Key
from receiver.net.ports import Ports
from receiver.watch.manager import Manager
from tests.control.made import WISH
from tests.control.test_taps import tap

WS = WISH._replace(device="ws", law=8)


def pool() -> Ports:
    return Ports("127.0.0.1", 27_700, 27_701, cooldown_s=60)


async def test_a_port_is_taken_and_given_back_to_cool_down(door: WsDoor) -> None:
    ports = pool()
    berths = Berths(ports, door, Manager(None))
    one, two = berths.take(WISH), berths.take(WISH)
    assert {one.number, two.number} == {27_700, 27_701}
    assert (one.uri, one.source) == (None, None)
    with pytest.raises(NotNow) as full:
        berths.take(WISH)
    assert full.value.code == "no_port"
    one.release()
    two.release()
    with pytest.raises(NotNow) as cooling:
        berths.take(WISH)
    assert 50 < cooling.value.retry_s <= 60


async def test_a_ws_tap_has_a_uri_and_one_who_may_send_and_all_of_it_is_given_back(door: WsDoor) -> None:
    berth = Berths(pool(), door, Manager(None)).take(WS)
    assert berth.uri is not None
    assert berth.uri.startswith("wss://media.example/taps/")
    assert berth.source is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"x", ("127.0.0.1", berth.number))
        with pytest.raises(BlockingIOError):
            berth.socket.recv(9)
    assert len(door._expected) == 1
    berth.release()
    assert len(door._expected) == 0
    assert berth.socket.fileno() == -1


async def test_d9_a_key_is_kept_beside_its_socket_sealed_and_comes_back_in_any_order(door: WsDoor) -> None:
    class Keeper:
        def __init__(self) -> None:
            self.kept: dict[str, list[int]] = {}

        def store(self, name: str, *descriptors: int) -> None:
            self.kept[name] = [os.dup(number) for number in descriptors]

        def remove(self, name: str) -> None:
            for number in self.kept.pop(name):
                os.close(number)

    key = Key("AEAD_AES_128_GCM", bytes(range(28)))
    for backwards in (False, True):
        keeper = Keeper()
        berths = Berths(pool(), door, keeper)
        berth = berths.take(WISH._replace(suite=key.suite, key=key))
        berths.leave()
        berth.release()
        left = keeper.kept.pop(str(berth.number))
        before = len(os.listdir("/proc/self/fd"))
        again = Berths(pool(), door, keeper).take_again(
            tap(State.RECEIVING, port=berth.number), left[::-1] if backwards else left
        )
        assert again.key == key
        assert len(os.listdir("/proc/self/fd")) == before - 1, "the memory file is closed"
        again.socket.close()
    with pytest.raises(ValueError, match="found 0"):
        Berths(pool(), door, keeper).take_again(tap(State.RECEIVING, port=27_700), [seal_key(key)])


async def test_no_descriptor_left_is_not_now(door: WsDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(module, "open_pair", none_left)
    with pytest.raises(NotNow, match="Too many open files"):
        Berths(pool(), door, Manager(None)).take(WS)
    assert len(door._expected) == 0


async def test_d7_what_is_given_back_is_kept_no_longer_unless_this_process_goes(door: WsDoor) -> None:
    class Keeper:
        def __init__(self) -> None:
            self.kept: set[str] = set()

        def store(self, name: str, *descriptors: int) -> None:
            self.kept.add(name)

        def remove(self, name: str) -> None:
            self.kept.remove(name)

    keeper = Keeper()
    berths = Berths(pool(), door, keeper)
    one, two, ws = berths.take(WISH), berths.take(WISH), berths.take(WS)
    assert keeper.kept == {str(one.number), str(two.number), f"ws-{ws.number}"}
    one.release()
    assert keeper.kept == {str(two.number), f"ws-{ws.number}"}
    berths.leave()
    two.release()
    ws.release()
    assert keeper.kept == {str(two.number), f"ws-{ws.number}"}


async def test_a_port_that_is_always_open_is_that_one_and_no_other(door: WsDoor) -> None:
    berths = Berths(pool(), door, Manager(None))
    one = berths.take(WISH._replace(fixed=27_750))
    assert one.number == 27_750
    with pytest.raises(NotNow, match="port 27750 cannot be bound: Address already in use"):
        berths.take(WISH._replace(fixed=27_750))
    one.release()
    again = berths.take(WISH._replace(fixed=27_750))
    again.release()


async def test_a13_with_rtcp_on_the_next_port_both_sockets_are_kept_and_taken_up_together(door: WsDoor) -> None:
    class Keeper:
        def __init__(self) -> None:
            self.kept: dict[str, tuple[int, ...]] = {}

        def store(self, name: str, *descriptors: int) -> None:
            self.kept[name] = tuple(os.dup(each) for each in descriptors)

        def remove(self, name: str) -> None:
            for each in self.kept.pop(name):
                os.close(each)

    keeper = Keeper()
    ports = Ports("127.0.0.1", 27_760, 27_763, cooldown_s=0, step=2, ears=True)
    one = Berths(ports, door, keeper).take(WISH)
    assert len(keeper.kept[str(one.number)]) == 2
    left = [os.dup(each) for each in keeper.kept[str(one.number)]]
    one.release()
    assert keeper.kept == {}
    assert one.ear.fileno() == -1
    again = Berths(ports, door, keeper).take_again(tap(port=one.number), left)
    assert (again.number, again.ear.getsockname()[1]) == (one.number, one.number + 1)
    keeper.kept[str(one.number)] = ()
    again.release()
    assert again.ear.fileno() == -1
