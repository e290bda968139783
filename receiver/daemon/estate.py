"""What outlives this process (rule D7): descriptors that the service manager keeps, and what is to be done with those
that an earlier process left.

Three kinds, by name: a tap's sockets and its SRTP key (`receiver.daemon.berths`), each worker's memory file, and one
small memory file with the relay's session, whose name and state are credentials and so never touch a disk (rule D9).
Which taps live is what the ledger says and what there are sockets for; what has no tap any more is closed, and kept no
longer.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from receiver.control.relay import Memory
from receiver.control.resuming import tap_of
from receiver.control.roster import Roster
from receiver.control.taps import Limits, Tap
from receiver.daemon import sealed
from receiver.daemon.berths import Berths, name_of
from receiver.keys import Key
from receiver.ledger.rows import TapRow
from receiver.watch.manager import Manager

RELAY: Final = "relay"
MOST_VERSIONS: Final = 3  # of one thing; there are two after a kill at the wrong moment

log = structlog.get_logger("daemon")


class Estate:
    """``left``: descriptors by name that an earlier process left; they are ours now."""

    def __init__(self, manager: Manager | None = None, left: Mapping[str, Sequence[int]] | None = None) -> None:
        self.manager = manager or Manager(None)
        self._left = {name: list(descriptors) for name, descriptors in (left or {}).items()}
        self._remembered: bytes | None = None
        self._sessions = _Versions(self.manager, RELAY)
        self._workers: dict[int, _Versions] = {}

    @property
    def kept(self) -> bool:
        """Whether somebody keeps what we leave."""
        return self.manager.present

    def memories(self, workers: int) -> dict[int, list[int]]:
        """Memory files of earlier workers, by worker, the newest first; they are the caller's from now on."""
        return {worker: self._memories(worker).take_over(self._left) for worker in range(workers)}

    def keep_memory(self, worker: int, descriptor: int) -> None:
        """Keep this one for a worker, and no other."""
        self._memories(worker).keep(descriptor)

    def taps_of(self, rows: Sequence[TapRow], limits: Limits) -> list[Tap]:
        """The taps that live: those of the ledger's open rows that there are sockets for. And, behind these, those
        whose recording has another tap that lives: the worker must know all of it, or what lies in spool of them is
        nobody's."""
        now_ns, unix_ns = time.monotonic_ns(), time.time_ns()
        taps = [tap for row in rows if (tap := tap_of(row, limits, now_ns, unix_ns)) is not None]
        there = [tap for tap in taps if name_of(tap) in self._left]
        living = {tap.recording_id for tap in there}
        return there + [tap for tap in taps if tap not in there and tap.recording_id in living]

    def take_up(self, taps: Sequence[Tap], berths: Berths, roster: Roster) -> None:
        """Give each its sockets back and let it go on; throw away what is nobody's."""
        keys: dict[str, Key | None] = {}  # a recording has one
        for tap in taps:
            tap.wish = tap.wish._replace(key=keys.get(tap.recording_id))
            try:
                kept = self._left.pop(name_of(tap), None)
                berth = berths.bind_again(tap) if kept is None else berths.take_again(tap, kept)
            except (OSError, ValueError) as error:
                log.error("a tap cannot go on", tap=tap.id, port=tap.port, error=str(error))
                self.manager.remove(name_of(tap))
                continue
            tap.wish = tap.wish._replace(key=berth.key)
            keys.setdefault(tap.recording_id, berth.key)
            roster.resume(tap, berth)
        if taps:
            log.info("taps of the process before go on", taps=len(taps))
        while self._left:
            name, descriptors = self._left.popitem()
            self.manager.remove(name)
            for descriptor in descriptors:
                os.close(descriptor)

    # --- the relay's session

    def relay_memory(self) -> Memory:
        """What an earlier process knew of the session; empty where there is none."""
        memory = Memory()
        for descriptor in reversed(self._sessions.take_over(self._left)):  # the newest has the last word
            with suppress(OSError, msgspec.MsgspecError):
                memory.protocol, memory.authorization_state = _Session.read(descriptor)
            os.close(descriptor)
        return memory

    def remember(self, memory: Memory) -> None:
        """Keep what is known now, if it is news."""
        octets = msgspec.msgpack.encode(_Session(memory.protocol, memory.authorization_state))
        if not self.kept or octets == self._remembered:
            return
        descriptor = sealed.seal(RELAY, octets)  # a new one each time
        try:
            self._sessions.keep(descriptor)
        finally:
            os.close(descriptor)
        self._remembered = octets

    def _memories(self, worker: int) -> "_Versions":
        return self._workers.setdefault(worker, _Versions(self.manager, f"memory-{worker}"))


class _Versions:
    """One thing that is kept, under ``name``, ``name.1``, ``name.2``, …: the next one is stored before the last one is
    let go, so whoever kills us in between leaves both, never neither."""

    def __init__(self, manager: Manager, name: str) -> None:
        self._manager, self._name = manager, name
        self._kept: dict[int, int] = {}  # number → inode

    def take_over(self, left: dict[str, list[int]]) -> list[int]:
        """Take ours out of what an earlier process left, the newest first."""
        found = sorted(((number, name) for name in left if (number := self._number(name)) is not None), reverse=True)
        taken: list[int] = []
        for number, name in found:
            first, *more = left.pop(name)
            self._kept[number] = os.fstat(first).st_ino
            (taken if len(taken) < MOST_VERSIONS else more).append(first)
            for descriptor in more:
                os.close(descriptor)
        return taken

    def keep(self, descriptor: int) -> None:
        """Keep this one, and no other. One that is kept already is left where it is."""
        inode = os.fstat(descriptor).st_ino
        number = next((number for number, kept in self._kept.items() if kept == inode), None)
        if number is None:
            number = max(self._kept, default=-1) + 1
            self._manager.store(self._called(number), descriptor)
        for other in self._kept.keys() - {number}:
            self._manager.remove(self._called(other))
        self._kept = {number: inode}

    def _called(self, number: int) -> str:
        return f"{self._name}.{number}" if number else self._name

    def _number(self, name: str) -> int | None:
        stem, _, number = name.partition(".")
        if stem != self._name or not (number.isdecimal() or name == stem):
            return None
        return int(number or 0)


class _Session(msgspec.Struct, frozen=True, array_like=True):
    protocol: str | None
    authorization_state: str | None

    @classmethod
    def read(cls, descriptor: int) -> tuple[str | None, str | None]:
        told = msgspec.msgpack.decode(sealed.unseal(descriptor), type=cls)
        return told.protocol, told.authorization_state
