"""What outlives the process: kept by the service manager under names, taken up by the next process, or thrown away."""

import array
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver import link
from receiver.control import orders
from receiver.control.relay import Memory
from receiver.control.taps import State, Tap, Wish
from receiver.control.wsdevice import WsDoor
from receiver.daemon.berths import Berths
from receiver.daemon.estate import Estate
from receiver.keys import Key
from receiver.ledger.rows import TapRow
from receiver.net.pair import open_pair
from receiver.net.ports import Ports
from receiver.watch.manager import Manager
from tests.control.made import LIMITS, NOON, WISH, World


class Service:
    """A service manager's socket: takes messages one by one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self.kept: dict[str, list[int]] = {}
        self.said: list[str] = []
        self.managers: list[Manager] = []

    def manager(self) -> Manager:
        """One that speaks to it."""
        self.managers.append(Manager(self.address))
        return self.managers[-1]

    def take(self) -> "Service":
        """Everything that was said so far."""
        while True:
            try:
                octets, beside, _, _ = self._socket.recvmsg(4_096, socket.CMSG_SPACE(1_024))
            except BlockingIOError:
                return self
            told = dict(line.split("=", 1) for line in octets.decode().splitlines())
            numbers = array.array("i", b"".join(data for _, _, data in beside))
            self.said.append(" ".join((next(iter(told)), told.get("FDNAME", ""))))
            if "FDSTORE" in told:
                self.kept.setdefault(told["FDNAME"], []).extend(numbers)
            elif "FDSTOREREMOVE" in told:
                for number in self.kept.pop(told["FDNAME"], []):
                    os.close(number)

    def close(self) -> None:
        self._socket.close()
        for manager in self.managers:
            manager.close()
        for numbers in self.kept.values():
            for number in numbers:
                os.close(number)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.close()


def pool() -> Ports:
    return Ports("127.0.0.1", 27_710, 27_719, cooldown_s=60)


def row(number: int, port: int, wish: Wish = WISH, uri_digest: str | None = None) -> TapRow:
    tap = Tap(
        id=f"tap-{number}", recording_id=f"r-{number}", worker=0, slot=number, port=port, wish=wish, limits=LIMITS,
        requested_unix_ns=NOON, since_ns=0, state=State.RECEIVING, durable=True, receiving_unix_ns=NOON,
        uri_digest=uri_digest,
    )  # fmt: skip
    return orders.row(tap, "127.0.0.1")


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


async def test_d7_taps_with_row_and_socket_go_on_and_the_rest_is_thrown_away(
    tmp_path: Path, service: Service, door: WsDoor
) -> None:
    before = Berths(pool(), None, service.manager())
    one, orphan = before.take(WISH), before.take(WISH)
    service.take()
    assert set(service.kept) == {str(one.number), str(orphan.number)}
    left = {name: [os.dup(number) for number in numbers] for name, numbers in service.kept.items()}
    memory = os.memfd_create("memory")
    estate = Estate(service.manager(), left | {"memory-0": [memory]})
    rows = [row(1, one.number), row(2, 27_719), TapRow(id="t", recording_id="r", state="listening", requested_ns=1)]
    taps = estate.taps_of(rows, LIMITS)
    assert [tap.id for tap in taps] == ["tap-1"], "the others have no socket"
    assert estate.memories(1) == {0: [memory]}
    world = World(tmp_path)
    estate.take_up(taps, Berths(pool(), door, estate.manager), world.roster)
    (tap,) = world.roster.living()
    ((order, descriptors),) = world.roster.belongings(0)
    assert isinstance(order, link.Open)
    assert (tap.id, tap.state, order.slot) == ("tap-1", State.RECEIVING, 1)
    assert os.fstat(descriptors[0]).st_ino == os.fstat(one.socket.fileno()).st_ino
    assert not any(is_open(number) for number in left[str(orphan.number)])
    assert set(service.take().kept) == {str(one.number)}
    os.close(memory)
    one.release()
    orphan.release()
    await world.over()


async def test_d7_a_ws_tap_goes_on_behind_the_same_uri(tmp_path: Path, service: Service, door: WsDoor) -> None:
    wish = WISH._replace(device="ws", policy="exact")
    pair = open_pair()
    left = {f"ws-{pair.number}": [os.dup(pair.writer.fileno()), os.dup(pair.socket.fileno())]}
    estate = Estate(service.manager(), left)
    taps = estate.taps_of([row(1, pair.number, wish=wish, uri_digest="ab" * 32)], LIMITS)
    world = World(tmp_path)
    estate.take_up(taps, Berths(pool(), door, estate.manager), world.roster)
    assert list(door._expected) == ["ab" * 32]
    door._expected["ab" * 32].writer.send(b"sound")
    ((_, descriptors),) = world.roster.belongings(0)
    with socket.socket(fileno=os.dup(descriptors[0])) as reader:
        assert reader.recv(9) == b"sound"
    pair.close()
    await world.over()


@pytest.mark.parametrize("left", [["stream"], ["udp", "udp"], []], ids=str)
async def test_what_is_not_that_taps_socket_is_said_and_closed(
    tmp_path: Path, service: Service, door: WsDoor, left: list[str]
) -> None:
    kinds = {"stream": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    numbers = [socket.socket(socket.AF_INET, kinds[kind]).detach() for kind in left]
    estate = Estate(service.manager(), {"27715": numbers})
    taps = estate.taps_of([row(1, 27_715)], LIMITS)
    world = World(tmp_path)
    estate.take_up(taps, Berths(pool(), door, estate.manager), world.roster)
    assert world.roster.living() == []
    assert not any(is_open(number) for number in numbers)
    await world.over()


async def test_the_relays_session_is_kept_sealed_and_only_when_it_is_news(service: Service) -> None:
    estate = Estate(service.manager())
    memory = Memory("signalwire_abc", "opaque")
    estate.remember(memory)
    (number,) = service.take().kept["relay"]
    with pytest.raises(PermissionError):
        os.pwrite(number, b"x", 0)
    estate.remember(memory)
    assert service.take().kept["relay"] == [number]
    next_one = Estate(service.manager(), {"relay": [os.dup(number)]})
    assert next_one.relay_memory() == memory
    memory.authorization_state = "newer"
    estate.remember(memory)
    ((name, (newer,)),) = service.take().kept.items()
    assert Estate(None, {name: [os.dup(newer)]}).relay_memory() == memory


def test_a_session_that_means_nothing_is_none() -> None:
    garbage = os.memfd_create("relay")
    os.pwrite(garbage, b"\xff\xff", 0)
    assert Estate(None, {"relay": [garbage]}).relay_memory() == Memory()
    assert Estate().relay_memory() == Memory()


def test_without_a_service_manager_nothing_is_kept() -> None:
    estate = Estate()
    assert not estate.kept
    estate.remember(Memory("p", "a"))
    estate.keep_memory(0, 0)
    assert estate.memories(2) == {0: [], 1: []}


async def test_a_worker_has_one_memory_kept(service: Service) -> None:
    estate = Estate(service.manager())
    first, second = os.memfd_create("a"), os.memfd_create("b")
    estate.keep_memory(0, first)
    estate.keep_memory(0, second)
    ((kept,),) = service.take().kept.values()
    assert os.fstat(kept).st_ino == os.fstat(second).st_ino
    os.close(first)
    os.close(second)


def inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino


async def test_p3_the_next_memory_is_stored_before_the_last_one_is_let_go(service: Service) -> None:
    first, second, third = (os.memfd_create(name) for name in "abc")
    estate = Estate(service.manager())
    estate.keep_memory(0, first)
    estate.keep_memory(0, second)
    assert service.take().said == ["FDSTORE memory-0", "FDSTORE memory-0.1", "FDSTOREREMOVE memory-0"]
    killed_in_between = {"memory-0": [first], "memory-0.1": [os.dup(second)], "memory-1": [third]}
    after = Estate(service.manager(), killed_in_between)
    newest, oldest = after.memories(1)[0]
    assert (inode(newest), inode(oldest)) == (inode(second), inode(first)), "the newest is mapped if it can be"
    after.keep_memory(0, newest)
    after.take_up([], Berths(pool(), None, after.manager), World(service.folder).roster)
    assert set(service.take().kept) == {"memory-0.1"}
    assert not is_open(third), "there is no such worker any more"
    for number in (first, second, newest):
        os.close(number)


async def test_p3_a_memory_that_is_kept_already_is_not_let_go_to_be_kept_again(service: Service) -> None:
    memory = os.memfd_create("a")
    estate = Estate(service.manager(), {"memory-0": [memory]})
    estate.keep_memory(0, estate.memories(1)[0][0])
    assert service.take().said == []
    os.close(memory)


async def test_d7_of_two_sides_the_one_whose_socket_is_lost_is_bound_anew_with_the_recordings_key(
    tmp_path: Path, service: Service, door: WsDoor
) -> None:
    key = Key("AES_CM_128_HMAC_SHA1_80", bytes(range(30)))
    wish = WISH._replace(layout="stereo", suite=key.suite, key=key)
    before = Berths(pool(), None, service.manager())
    speak, listen = before.take(wish), before.take(wish)
    service.take()
    left = {str(listen.number): [os.dup(number) for number in service.kept[str(listen.number)]]}
    speak.release()
    service.take()
    estate = Estate(service.manager(), left)
    rows = [
        orders.row(
            Tap(f"tap-{channel}", "r-1", 0, channel, berth.number, wish._replace(direction=party), LIMITS, NOON, 0,
                state=State.RECEIVING, durable=True, receiving_unix_ns=NOON, channel=channel), "127.0.0.1",
        )
        for channel, (party, berth) in enumerate((("speak", speak), ("listen", listen)))
    ]  # fmt: skip
    world = World(tmp_path)
    estate.take_up(estate.taps_of(rows, LIMITS), Berths(pool(), door, estate.manager), world.roster)
    told = [message for message, _ in world.roster.belongings(0) if isinstance(message, link.Open)]
    assert {(order.channel, order.channels, order.port) for order in told} == {
        (0, 2, speak.number), (1, 2, listen.number),
    }  # fmt: skip
    assert all(order.key == key for order in told)
    assert len(service.take().kept[str(speak.number)]) == 2, "the socket, and the key beside it"
    world.roster.stop(world.roster.living()[0])
    [close] = world.orders(link.Close)
    assert [fault["code"] for fault in close.faults] == ["socket_lost"]
    listen.release()
    await world.over()
