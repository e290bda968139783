"""The stand-in for the service manager, against a small child that says what it is told to."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.watch.manager import MOST_DESCRIPTORS
from tests.journeys import servicemanager
from tests.journeys.servicemanager import ServiceManager

ROOT = Path(__file__).parents[2]
# Takes back what was left, appends what it found to the file argv[1], does argv[2], is ready. SIGUSR1, SIGTERM: leaves.
CHILD = """
import asyncio, json, os, signal, socket, subprocess, sys

from receiver.watch.manager import Manager, inherited

async def main():
    told, left = Manager.of(os.environ), inherited(os.environ)
    loop, leave = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGUSR1, signal.SIGTERM):
        loop.add_signal_handler(number, leave.set)
    heard = {name: os.read(numbers[0], 99).decode() for name, numbers in left.items() if name.startswith("pipe")}
    found = {"pid": os.getpid(), "left": {name: len(numbers) for name, numbers in left.items()}, "heard": heard,
             "watchdog_ns": told.watchdog_ns, "inherited": [name for name in os.environ if "NOTIFY" in name]}
    with open(sys.argv[1], "a") as file:
        print(json.dumps(found), file=file)
    if not left:
        exec(sys.argv[2])
    told.status(f"process {os.getpid()}")
    told.alive()
    told.ready()
    await leave.wait()
    told.stopping()
    assert await told.flushed(10)

asyncio.run(main())
"""
PIPE = """
reading, writing = os.pipe()
os.write(writing, b"sound")
told.store("pipe", reading)
"""


class Service:
    """The child, and what each of its processes found."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._found = folder, folder / "found"
        self.managers: list[ServiceManager] = []

    def run(self, action: str = "", **given: Any) -> ServiceManager:
        """Start one that does this at its first start."""
        command = [sys.executable, "-c", CHILD, str(self._found), action]
        made = ServiceManager(self._folder, command, {"PYTHONPATH": str(ROOT)}, **given)
        self.managers.append(made)
        made.start()
        return made

    @property
    def found(self) -> list[dict[str, Any]]:
        """One a process."""
        return [json.loads(line) for line in self._found.read_text().splitlines()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    for manager in made.managers:
        manager.__exit__(None, None, None)


def test_it_hears_what_the_service_says(service: Service) -> None:
    manager = service.run()
    assert (manager.status, manager.times("READY"), manager.times("WATCHDOG")) == (f"process {manager.pid}", 1, 1)
    assert manager.stop() == 0
    assert list(manager.said[-1]) == ["STOPPING"], "the last word counts, too"


def test_what_is_stored_is_there_after_a_restart_with_what_came_meanwhile(service: Service) -> None:
    manager = service.run(PIPE)
    first = manager.pid
    assert manager.stored == ["pipe"]
    assert manager.restart() == 0
    assert [found["left"] for found in service.found] == [{}, {"pipe": 1}]
    assert service.found[1]["heard"] == {"pipe": "sound"}
    assert [found["pid"] for found in service.found] == [first, manager.pid], "LISTEN_PID was true"


def test_after_a_kill_it_is_there_as_well(service: Service) -> None:
    manager = service.run(PIPE)
    manager.kill()
    assert service.found[1]["heard"] == {"pipe": "sound"}


def test_what_is_in_error_is_dropped_unless_it_was_said_not_to(service: Service) -> None:
    manager = service.run(
        "for number in range(2):\n"
        "    one, other = socket.socketpair()\n"
        "    other.close()\n"
        "    told.store(f'kept{number}', one.fileno())\n"
        "    words = f'FDSTORE=1\\nFDNAME=dropped{number}'.encode()\n"
        "    one, other = socket.socketpair()\n"
        "    other.close()\n"
        "    socket.send_fds(told._socket, [words], [one.fileno()])"
    )
    assert len(manager.stored) == 4
    manager.restart()
    assert service.found[1]["left"] == {"kept0": 1, "kept1": 1}


def test_the_newest_comes_back_first(service: Service) -> None:
    manager = service.run("for name in 'abc': told.store(name, os.memfd_create(name))")
    manager.restart()
    assert [*service.found[1]["left"]] == ["c", "b", "a"]


def test_who_is_patient_lets_the_rest_leave_by_itself(service: Service, tmp_path: Path) -> None:
    action = "subprocess.Popen(['/bin/sh', '-c', f'while kill -0 {os.getpid()}; do :; done; echo > {sys.argv[1]}.end'])"
    manager = service.run(action)
    manager.kill(patient=True)
    assert (tmp_path / "found.end").exists()


def test_a_stop_empties_the_store(service: Service) -> None:
    manager = service.run(PIPE)
    manager.stop()
    assert manager.stored == []
    manager.start()
    assert [found["left"] for found in service.found] == [{}, {}]


def test_the_same_file_is_kept_once_and_no_more_than_the_unit_allows(service: Service) -> None:
    action = "told.store('one', 0)\nfor name in 'abc': told.store('two', os.dup(0), os.memfd_create(name))"
    manager = service.run(action, most=3)
    assert manager.stored == ["one", "two", "two"]


def test_a_name_is_removed_with_all_that_it_has(service: Service) -> None:
    manager = service.run(
        "told.store('two', *os.pipe())\ntold.store('one', *os.pipe())\ntold.remove('two')\ntold.remove('none')"
    )
    assert manager.stored == ["one", "one"]


def test_thousands_come_back_in_their_order(service: Service) -> None:
    manager = service.run("for n in range(1_000): told.store(str(n), os.memfd_create('m'), os.memfd_create('m'))")
    manager.until(lambda: len(manager.stored) == 2_000, "stored")
    manager.restart()
    assert service.found[1]["left"] == {str(number): 2 for number in range(1_000)}


def test_many_in_one_message(service: Service) -> None:
    manager = service.run(f"told.store('many', *[os.memfd_create('m') for _ in range({MOST_DESCRIPTORS + 1})])")
    assert manager.stored == ["many"] * (MOST_DESCRIPTORS + 1)


def test_names_that_do_not_fit_one_variable_make_the_next_start_impossible(service: Service) -> None:
    """Why a tap's sockets are called by their port: 4,000 names of 36 letters are more than execve takes (E2BIG)."""
    manager = service.run("for n in range(4_000): told.store(f'{n:036}', os.memfd_create('m'))")
    manager.until(lambda: len(manager.stored) == 4_000, "stored")
    with pytest.raises(OSError, match="Argument list too long"):
        manager.restart()


def test_only_the_main_process_is_heard_and_its_children_do_not_outlive_it(service: Service, tmp_path: Path) -> None:
    manager = service.run(
        "os.environ['NOTIFY_SOCKET'] = os.path.dirname(sys.argv[1]) + '/notify'\n"
        "code = 'import os, time; from receiver.watch.manager import Manager; "
        "Manager.of(os.environ).status(\"a child\"); print(1, flush=True); time.sleep(600)'\n"
        "child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, start_new_session=True)\n"
        "child.stdout.readline()\nprint(child.pid, file=open(sys.argv[1] + '.child', 'w'), flush=True)"
    )
    child = int((tmp_path / "found.child").read_text())
    assert manager.status == f"process {manager.pid}"
    os.kill(child, 0)
    manager.kill()
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]


def test_the_watchdog_is_told_and_nothing_of_the_manager_is_inherited(service: Service) -> None:
    service.run(watchdog_s=30)
    assert (service.found[0]["watchdog_ns"], service.found[0]["inherited"]) == (30_000_000_000, [])


def test_a_service_that_ends_at_once_fails_with_what_it_said(service: Service) -> None:
    with pytest.raises(AssertionError, match="cannot begin"):
        service.run("sys.exit('cannot begin')")


def test_a_service_that_ignores_the_signal_is_not_taken_for_handed_over(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = service.run("signal.signal(signal.SIGUSR1, signal.SIG_IGN)")
    monkeypatch.setattr(servicemanager, "PATIENCE_S", 0.3)
    with pytest.raises(AssertionError, match="does not end on SIGUSR1"):
        manager.restart()


def test_without_anything_stored_there_is_no_listen_variable(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", f"env > {tmp_path}/env"]
    with ServiceManager(tmp_path, command) as manager:
        manager.launch()
        assert manager._process is not None
        manager._process.wait(60)
    told = (tmp_path / "env").read_text()
    assert "NOTIFY_SOCKET=" in told
    assert "LISTEN_" not in told
