"""The service manager: what it is told, what it keeps for us, and that its silence costs nothing."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from receiver.watch.manager import Manager, inherited


class Letter(NamedTuple):
    text: str
    descriptors: list[int]


class Listener:
    """The socket of a service manager: it reads when it is told to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._held: list[int] = []

    def read(self) -> list[Letter]:
        """Everything that lies there."""
        letters: list[Letter] = []
        while True:
            try:
                octets, beside, flags, _ = self._socket.recvmsg(4_096, socket.CMSG_SPACE(256 * 4))
            except BlockingIOError:
                return letters
            assert not flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC)
            numbers = array("i")
            for _level, _kind, packed in beside:
                numbers.frombytes(packed)
            self._held += numbers
            letters.append(Letter(octets.decode(), list(numbers)))

    def texts(self) -> list[str]:
        return [letter.text for letter in self.read()]

    def close(self) -> None:
        self._socket.close()
        for number in self._held:
            os.close(number)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def told(listener: Listener) -> Iterator[Manager]:
    made = Manager(listener.address)
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def fill(told: Manager) -> None:
    """Say so much that the rest must wait: STATUS is overtaken, so this is the queue's one letter."""
    for number in range(1_000):
        told.status(str(number))


async def all_of(told: Manager, listener: Listener) -> list[Letter]:
    """Read until everything that was queued has come."""
    letters = listener.read()
    while not await told.flushed(0.01):
        letters += listener.read()
    return letters + listener.read()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_every_verb_is_what_sd_notify_calls_it(told: Manager, listener: Listener) -> None:
    assert told.present
    told.ready()
    told.stopping()
    told.status("2 taps,\n100 packets/s")
    told.alive()
    told.patience(1_500_000_000)
    told.remove("20000")
    assert listener.texts() == [
        "READY=1", "STOPPING=1", "STATUS=2 taps, 100 packets/s", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=1500000",
        "FDSTOREREMOVE=1\nFDNAME=20000",
    ]  # fmt: skip


def test_a_reload_says_when_it_began(told: Manager, listener: Listener) -> None:
    before_us = time.monotonic_ns() // 1_000
    told.reloading()
    (text,) = listener.texts()
    word, moment = text.split("\nMONOTONIC_USEC=")
    assert word == "RELOADING=1"
    assert before_us <= int(moment) <= time.monotonic_ns() // 1_000


def test_a_descriptor_is_stored_under_its_name_and_works_there(
    told: Manager, listener: Listener, pipe: tuple[int, int]
) -> None:
    told.store("20000", pipe[0])
    ((text, (number,)),) = listener.read()
    os.write(pipe[1], b"sound")
    assert (text, os.read(number, 9)) == ("FDSTORE=1\nFDNAME=20000\nFDPOLL=0", b"sound")


async def test_many_of_one_name_go_in_messages_of_200(
    told: Manager, listener: Listener, pipe: tuple[int, int]
) -> None:
    told.store("20000", *[pipe[0]] * 450)
    letters = await all_of(told, listener)
    assert [len(letter.descriptors) for letter in letters] == [200, 200, 50]
    assert {letter.text for letter in letters} == {"FDSTORE=1\nFDNAME=20000\nFDPOLL=0"}


def test_an_abstract_address_begins_with_an_at_sign(tmp_path: Path) -> None:
    listener = Listener(f"@tapdeck-test-{os.getpid()}")
    told = Manager(listener.address)
    told.ready()
    assert listener.texts() == ["READY=1"]
    told.close()
    listener.close()


async def test_what_finds_no_room_waits_and_comes_in_order(
    told: Manager, listener: Listener, pipe: tuple[int, int]
) -> None:
    fill(told)
    for port in range(20_000, 20_100):
        told.store(str(port), pipe[0])
    told.ready()
    assert not await told.flushed(0)
    letters = await all_of(told, listener)
    words = [letter.text.splitlines()[0] for letter in letters]
    assert [letter.text.split("=")[2].split()[0] for letter in letters if letter.descriptors] == [
        str(port) for port in range(20_000, 20_100)
    ]
    assert words[-1] == "READY=1"
    assert "STATUS=999" in words, "of a word that was overtaken the newest comes"
    assert len([word for word in words if word.startswith("STATUS")]) < 900


async def test_a_descriptor_that_waits_may_be_closed_by_its_owner(told: Manager, listener: Listener) -> None:
    fill(told)
    before = open_descriptors()
    reading, writing = os.pipe()
    told.store("20000", reading)
    os.close(reading)
    stored = [letter for letter in await all_of(told, listener) if letter.descriptors]
    os.write(writing, b"sound")
    assert os.read(stored[0].descriptors[0], 9) == b"sound"
    os.close(writing)
    assert open_descriptors() == before + 1, "ours is closed, the manager's is there"


async def test_a_store_that_is_removed_before_it_went_out_never_goes_out(
    told: Manager, listener: Listener, pipe: tuple[int, int]
) -> None:
    fill(told)
    before = open_descriptors()
    for _ in range(50):
        told.store("20000", pipe[0])
        told.store("20002", pipe[0])
        told.remove("20000")
        told.remove("20002")
    told.store("20002", pipe[0])
    assert open_descriptors() == before + 1
    texts = [letter.text for letter in await all_of(told, listener) if "FD" in letter.text]
    assert texts == [
        "FDSTOREREMOVE=1\nFDNAME=20000", "FDSTOREREMOVE=1\nFDNAME=20002", "FDSTORE=1\nFDNAME=20002\nFDPOLL=0"
    ]  # fmt: skip


@pytest.mark.parametrize("passing", [errno.ETOOMANYREFS, errno.ENOBUFS])
async def test_what_the_kernel_refuses_for_a_moment_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, told: Manager, listener: Listener, passing: int
) -> None:
    refusals = [passing] * 3

    class Crowded(socket.socket):
        def sendmsg(self, *arguments: Any) -> int:
            if refusals:
                raise OSError(refusals.pop(), "crowded")
            return super().sendmsg(*arguments)

    monkeypatch.setattr("receiver.watch.manager.socket.socket", Crowded)
    crowded = Manager(listener.address)
    crowded.ready()
    crowded.stopping()
    assert [letter.text for letter in await all_of(crowded, listener)] == ["READY=1", "STOPPING=1"]
    assert not refusals
    crowded.close()


def test_without_a_loop_the_next_word_takes_the_waiting_ones_along(told: Manager, listener: Listener) -> None:
    fill(told)
    listener.texts()
    told.ready()
    assert listener.texts() == ["STATUS=999", "READY=1"]


async def test_nobody_listens_and_nothing_happens() -> None:
    nobody = Manager(None)
    assert not nobody.present
    for verb in (nobody.ready, nobody.stopping, nobody.reloading, nobody.alive, nobody.close):
        verb()
    nobody.status("well")
    nobody.patience(1)
    nobody.store("20000", 0)
    nobody.remove("20000")
    assert await nobody.flushed(0)


async def test_a_manager_that_is_gone_is_complained_of_once(listener: Listener, pipe: tuple[int, int]) -> None:
    told = Manager(listener.address)
    listener.close()
    with capture_logs() as said:
        told.ready()
        told.store("20000", pipe[0])
        told.status("alone")
        assert await told.flushed(0)
    assert [(line["event"], line["why"]) for line in said] == [
        ("the service manager cannot be told", "Connection refused")
    ]
    told.close()


def test_an_address_where_nobody_is_counts_as_nobody(tmp_path: Path) -> None:
    with capture_logs() as said:
        told = Manager(str(tmp_path / "nobody"))
    assert not told.present
    assert [line["why"] for line in said] == [f"{tmp_path}/nobody: No such file or directory"]


async def test_close_drops_what_waits_and_its_descriptors(
    told: Manager, listener: Listener, pipe: tuple[int, int]
) -> None:
    before = open_descriptors()
    fill(told)
    for port in range(20_000, 20_010):
        told.store(str(port), pipe[0])
    told.close()
    told.close()
    told.ready()
    assert not told.present
    assert await told.flushed(0)
    assert open_descriptors() == before - 1


def test_what_the_manager_said_to_us_is_not_said_to_our_workers(listener: Listener) -> None:
    environ = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7", "HOME": "/"}
    told = Manager.of(environ, pid=7)
    assert (told.present, told.watchdog_ns, environ) == (True, 30_000_000_000, {"HOME": "/"})
    told.close()


@pytest.mark.parametrize(
    "said",
    [{}, {"WATCHDOG_USEC": "3", "WATCHDOG_PID": "8"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}],
)
def test_no_watchdog_but_our_own(said: dict[str, str]) -> None:
    assert Manager.of(dict(said), pid=7).watchdog_ns is None


def test_a_watchdog_without_a_process_is_for_whoever_reads_it() -> None:
    assert Manager.of({"WATCHDOG_USEC": "3"}).watchdog_ns == 3_000


# Puts a descriptor where a service manager does, from 3 on, and goes on as the child.
PARENT = """
import os, sys
for number in (3, 4, 5):
    os.dup2(int(sys.argv[1]), number)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""
CHILD = """
import json, os
from receiver.watch.manager import inherited
os.environ["LISTEN_PID"] = str(os.getpid())
found = inherited(os.environ)
closed = not any(os.get_inheritable(number) for numbers in found.values() for number in numbers)
print(json.dumps([found, closed, [name for name in os.environ if name.startswith("LISTEN")]]))
"""


def test_descriptors_come_back_by_name_closed_on_exec_and_only_once(pipe: tuple[int, int]) -> None:
    environ = os.environ | {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "20000:memory-0:20000"}
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(pipe[0]), CHILD], env=environ, capture_output=True, text=True, check=True,
        pass_fds=pipe, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout == '[{"20000": [3, 5], "memory-0": [4]}, true, []]\n'


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "8", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "20000"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "none"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "20000"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "1000000"},
    ],
)
def test_what_is_for_somebody_else_or_nonsense_is_nothing(said: dict[str, str]) -> None:
    environ = said | {"HOME": "/"}
    assert inherited(environ, pid=7) == {}
    assert environ == {"HOME": "/"}


def test_a_stopped_listener_never_holds_us_up(listener: Listener, pipe: tuple[int, int]) -> None:
    signal.alarm(20)  # the assertion: it ends
    told = Manager(listener.address)
    for port in range(10_000, 14_000):
        told.store(str(port), pipe[0])
        told.remove(str(port))
    told.close()
    signal.alarm(0)
