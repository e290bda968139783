"""A stand-in for the service manager: it starts a command, hears what the command says, and keeps its descriptors.

As honest as a page of Python can be to what systemd 252 does with ``Type=notify``, ``NotifyAccess=main``,
``KillMode=mixed``, ``RestartKillSignal=SIGUSR1`` (`tests.systemd` runs the same against the real one):

* only the main process is heard, known by its credentials, and what it said before its end is heard before the next
  one starts;
* a descriptor is kept under its name until it is removed by name, or the service is stopped; the same open file twice
  (told by inode and direction) is kept once, and one more than ``most`` not at all; one that is in error when the next
  process starts is dropped, unless it came with ``FDPOLL=0``;
* the next process gets them from 3 on, with ``LISTEN_PID``, ``LISTEN_FDS`` and ``LISTEN_FDNAMES``, by exec; the newest
  first, and those of one message in no order;
* when the main process has ended, whatever else it left is killed.

What it does not do: end a service whose watchdog starves (it counts).
"""

import fcntl
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final

from tests.journeys.host import environment

PATIENCE_S: Final = 60.0
CREDENTIALS: Final = struct.Struct("iII")  # pid, uid, gid: SCM_CREDENTIALS
MOST_DESCRIPTORS: Final = 253  # SCM_MAX_FD
MARK: Final = "TAPDECK_TESTS_SERVICE"  # inherited by all that the service starts: our control group
# Puts the descriptors argv[1] in their order from 3 on, says so, and goes on as the command.
LAUNCH: Final = """
import fcntl, os, sys
wanted = [int(number) for number in sys.argv[1].split(",") if number]
end = 3 + len(wanted)
aside = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, end) for number in wanted]
for place, number in enumerate(aside, 3):
    os.dup2(number, place)
for number in wanted:
    if number >= end:
        os.close(number)
if wanted:
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(wanted)), "LISTEN_FDNAMES": sys.argv[2]}
os.execvpe(sys.argv[3], sys.argv[3:], os.environ)
"""


class ServiceManager:
    """Runs one service: ``command`` with ``environ`` beside ours; what it prints goes to ``folder``/service.log.

    ``with`` stops it. Everything that is waited for is bounded, and fails with the log.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        environ: Mapping[str, str] = MappingProxyType({}),
        most: int = 16_384,
        watchdog_s: float | None = None,
    ) -> None:
        self._command, self._most, self._log = tuple(command), most, folder / "service.log"
        self._mark = uuid.uuid4().hex
        address = folder / "notify"
        self._environ = {
            **{name: value for name, value in environment().items() if not name.startswith("LISTEN_")}, **environ,
            "NOTIFY_SOCKET": str(address), MARK: self._mark,
        }  # fmt: skip
        self._watchdog_s = watchdog_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(address))
        self._socket.setblocking(False)
        self._process: subprocess.Popen[bytes] | None = None
        self._store: list[tuple[str, int]] = []
        self._files: set[tuple[int, int, int]] = set()
        self._polled: set[int] = set()
        self._dice = random.Random(1)
        self._news = threading.Condition()
        self._ready = False
        self.said: list[dict[str, str]] = []
        """Every message of every main process, in order."""
        self._quit, self._wake = os.pipe()
        self._ear = threading.Thread(target=self._listen, name="service manager", daemon=True)
        self._ear.start()

    # --- what an operator does

    def start(self) -> None:
        """Start it, with what is stored; wait until it says that it is ready."""
        self.launch()
        self.until(lambda: self._ready, "ready")

    def launch(self) -> None:
        """Start it, and do not wait."""
        assert self._process is None or self._process.poll() is not None, "it runs"
        with self._news:
            self._ready = False
            self._drop_what_is_in_error()
            names, numbers = [name for name, _ in self._store[::-1]], [number for _, number in self._store[::-1]]
        listed = ",".join(map(str, numbers))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-IS", "-c", LAUNCH, listed, ":".join(names), *self._command],
                env=self._environ | self._watchdog(), pass_fds=numbers,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def change(self, **environ: str) -> None:
        """A drop-in: the next process has this in its environment."""
        self._environ |= environ

    def restart(self, number: int = signal.SIGUSR1) -> int:
        """``systemctl restart``: the signal, the end, the next one with what is stored; returns the exit status."""
        status = self._end(number)
        self.start()
        return status

    def kill(self, patient: bool = False) -> None:
        """SIGKILL to the main process; as ``Restart=on-failure`` has it, the next one starts with what is stored.

        What it leaves running is killed as soon as its end is seen; ``patient``: not before it has left by itself.
        """
        self._end(signal.SIGKILL, patient)
        self.start()

    def stop(self) -> int:
        """``systemctl stop``: SIGTERM, the end, the store is emptied; returns the exit status."""
        status = self._end(signal.SIGTERM)
        self._empty()
        return status

    def lose(self, kind: str) -> int:
        """Let go of descriptors of files whose target has ``kind`` in it, as no manager should; returns how many."""
        self._hear_all()
        with self._news:
            those = [each for each in self._store if kind in os.readlink(f"/proc/self/fd/{each[1]}")]
            self._drop(those)
        return len(those)

    # --- what it knows

    @property
    def pid(self) -> int:
        """The main process."""
        assert self._process is not None
        return self._process.pid

    @property
    def stored(self) -> list[str]:
        """The names of all descriptors that are kept, in order."""
        self._hear_all()
        with self._news:
            return [name for name, _ in self._store]

    @property
    def status(self) -> str:
        """What it last said of itself."""
        with self._news:
            return next((each["STATUS"] for each in reversed(self.said) if "STATUS" in each), "")

    def times(self, word: str) -> int:
        """How often a word was said: WATCHDOG, READY, STOPPING."""
        with self._news:
            return sum(word in each for each in self.said)

    def log(self) -> str:
        """What it printed."""
        return self._log.read_text()[-8_000:] if self._log.exists() else ""

    def until(self, right: Callable[[], bool], what: str) -> None:
        """Wait for something that a message brings about."""
        deadline_s = time.monotonic() + PATIENCE_S
        with self._news:
            while time.monotonic() < deadline_s:
                if right():
                    return
                process = self._process  # its end is no news once it was waited for
                known = process is None or process.returncode is not None or process.poll() is None
                assert known, f"it ended: {self.log()}"
                self._news.wait(0.05)
        raise AssertionError(f"not {what} within {PATIENCE_S} s; it said {self.said[-5:]}\n{self.log()}")

    def __enter__(self) -> "ServiceManager":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._kill_the_rest()
        os.close(self._wake)
        self._ear.join()
        os.close(self._quit)
        self._socket.close()
        self._empty()

    # --- inside

    def _watchdog(self) -> dict[str, str]:
        # Without WATCHDOG_PID: nobody but the main process reads it, and its number is not known yet.
        return {} if self._watchdog_s is None else {"WATCHDOG_USEC": str(round(self._watchdog_s * 1e6))}

    def _end(self, number: int, patient: bool = False) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        try:
            status = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end on {signal.Signals(number).name}: {self.log()}") from None
        if patient:
            self.until(lambda: not self._rest(), "alone")
        self._kill_the_rest()
        self._hear_all()
        return status

    def _kill_the_rest(self) -> None:
        """What ``KillMode=mixed`` does when the main process is gone."""
        while found := self._rest():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _rest(self) -> list[int]:
        """All that live and were started by the service, or by what it started."""
        mark, found = f"{MARK}={self._mark}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended, or is none of ours
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found

    def _empty(self) -> None:
        with self._news:
            self._files.clear()
            self._polled.clear()
            while self._store:
                os.close(self._store.pop()[1])

    def _listen(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket.fileno(), self._quit], [], [])
            if self._quit in readable:
                return
            self._hear_all()

    def _hear_all(self) -> None:
        """Take in everything that lies in the socket."""
        with self._news:
            while self._hear():
                pass
            self._news.notify_all()

    def _hear(self) -> bool:
        room = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(MOST_DESCRIPTORS * array("i").itemsize)
        try:
            octets, beside, _, _ = self._socket.recvmsg(65_536, room, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        numbers, pid = array("i"), 0
        for _, kind, packed in beside:
            if kind == socket.SCM_RIGHTS:
                numbers.frombytes(packed)
            elif kind == socket.SCM_CREDENTIALS:
                pid = CREDENTIALS.unpack(packed)[0]
        told = dict(line.split("=", 1) for line in octets.decode().splitlines() if "=" in line)
        kept = False
        if self._process is not None and pid == self._process.pid:
            self.said.append(told)
            self._ready = self._ready or told.get("READY") == "1"
            if told.get("FDSTOREREMOVE") == "1":
                self._remove(told["FDNAME"])
            kept = told.get("FDSTORE") == "1"
        for number in self._dice.sample(numbers, len(numbers)):
            if not kept or not self._keep(told.get("FDNAME", "stored"), number):
                os.close(number)
            elif told.get("FDPOLL") != "0":
                self._polled.add(number)
        return True

    def _keep(self, name: str, number: int) -> bool:
        if len(self._store) >= self._most or _file(number) in self._files:
            return False
        self._store.append((name, number))
        self._files.add(_file(number))
        return True

    def _remove(self, name: str) -> None:
        self._drop([each for each in self._store if each[0] == name])

    def _drop(self, those: Sequence[tuple[str, int]]) -> None:
        for each in those:
            self._store.remove(each)
            self._files.remove(_file(each[1]))
            self._polled.discard(each[1])
            os.close(each[1])

    def _drop_what_is_in_error(self) -> None:
        watch = select.poll()
        for number in self._polled:
            watch.register(number, 0)  # errors and hang-ups come without being asked for
        found = {number for number, _ in watch.poll(0)}
        self._drop([each for each in self._store if each[1] in found])


def _file(number: int) -> tuple[int, int, int]:
    """What tells one open file from another."""
    found = os.fstat(number)
    return found.st_dev, found.st_ino, fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
