"""The control side in virtual time, with peers that play their parts: a worker that dies, a ledger without a thread.

Everything of ``receiver.control`` is real; so is the ledger's file. Time is the loop's.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from receiver import link
from receiver.control.means import Berth, Means, NotNow
from receiver.control.roster import Roster
from receiver.control.taps import SECOND, Limits, Wish
from receiver.ledger.clerk import Clerk
from receiver.ledger.rows import Summary
from receiver.ledger.store import Ledger
from tests import virtual
from tests.control.made import FakeSocket, sidecar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
LIMITS = Limits(opening_ns=5 * SECOND, start_ns=30 * SECOND, silence_ns=60 * SECOND, longest_ns=1800 * SECOND)
REPORT_S = 1.0


def now_ns() -> int:
    """The loop's time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual.VirtualLoop)
    return loop.time_ns()


class InlineClerk(Clerk):
    """Does each verb at once, in the loop: a thread would not stand still while time jumps."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def do(self, verb: Any, *arguments: Any, **more: Any) -> "asyncio.Future[Any]":
        future = asyncio.get_running_loop().create_future()
        try:
            future.set_result(verb(*arguments, **more))
        except Exception as error:
            future.set_exception(error)
        return future

    async def close(self) -> None:
        self.ledger.close()


class PlayedWorker:
    """Obeys in order, after a while; what it was told and had not done when it dies is told to the next one.

    ``senders`` are the ports that sound comes to now. What it recorded survives it, as on the memory file.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._orders: deque[link.ToWorker] = deque()
        self._busy = False
        self._life = 0
        self.roster: Roster
        self.taps: dict[int, link.Open] = {}
        self.read: set[str] = set()  # recordings whose socket is read
        self.heard: dict[str, tuple[int, int, int]] = {}  # recording → first, newest, count
        self.published: dict[str, bytes] = {}
        self.senders: set[int] = set()
        self.forgotten = 0

    def send(self, worker: int, message: link.ToWorker, descriptors: Sequence[int]) -> None:
        """What control says."""
        self._orders.append(message)
        self._next()

    def die(self) -> None:
        """Killed; another one begins soon and is told its belongings."""
        self._life += 1
        self._orders.clear()
        self._busy = False
        self.taps.clear()
        self.roster.died(0)
        asyncio.get_running_loop().call_later(self._dice.choice([0.2, 0.7, 3]), self._rise)

    def _rise(self) -> None:
        for message, descriptors in self.roster.belongings(0):
            self.send(0, message, descriptors)
        self.roster.began(0)

    def _next(self) -> None:
        if not self._busy and self._orders:
            self._busy = True
            pause_s = self._dice.choice([0, 0, 0, 0.001, 0.02])
            asyncio.get_running_loop().call_later(pause_s, self._do, self._life)

    def _do(self, life: int) -> None:
        if life != self._life:
            return
        self._busy = False
        self._take(self._orders.popleft())
        self._next()

    def _take(self, message: link.ToWorker) -> None:
        later = asyncio.get_running_loop().call_later
        match message:
            case link.Open():
                self.taps[message.slot] = message
                if not message.held:
                    self.read.add(message.recording_id)
                kind = message.labels.get("worker")
                if kind == "refuses":
                    refused = link.Refused(message.slot, message.recording_id, "storage", "no space", "make some")
                    later(0.02, self._say, self._life, refused)
                elif kind != "mute":
                    later(0.03, self._say, self._life, link.Opened(message.slot, message.recording_id))
            case link.Answer() if self._has(message):
                self.read.add(message.recording_id)
            case link.Close() if self._has(message):
                later(self._dice.choice([0.1, 0.2, 2]), self._finish, self._life, message)
            case link.Forget() if self._has(message):
                del self.taps[message.slot]
                self.forgotten += 1

    def _has(self, message: Any) -> bool:
        tap = self.taps.get(message.slot)
        return tap is not None and tap.recording_id == message.recording_id

    def _say(self, life: int, message: link.ToControl) -> None:
        if life == self._life:
            self.roster.hear(0, message)

    def _finish(self, life: int, close: link.Close) -> None:
        if life != self._life or not self._has(close):
            return
        tap = self.taps[close.slot]
        beside = [each for each in self.taps.values() if each.recording_id == tap.recording_id]
        outcome = "failed" if close.ending == "refused" else "complete" if tap.recording_id in self.heard else "empty"
        if tap.recording_id not in self.published:
            told: dict[str, Any] = {"problem": close.problem} if close.problem else {}
            told["channels"] = [{"tap_id": each.tap_id} for each in beside]
            named = _Named(tap.recording_id, tap.tap_id)
            self.published[tap.recording_id] = sidecar(named, outcome, close.ending, **told)
        for _ in range(self._dice.choice([1, 1, 1, 2])):
            for each in beside:
                self._say(life, link.Finished(each.slot, tap.recording_id, self.published[tap.recording_id]))

    async def report(self) -> None:
        """Once a second, for ever: what came to the sockets that are read."""
        while True:
            await asyncio.sleep(REPORT_S)
            at_ns = now_ns()
            rows = []
            for slot, tap in self.taps.items():
                if tap.recording_id in self.read and tap.port in self.senders:
                    first, _, count = self.heard.get(tap.recording_id, (at_ns, at_ns, 0))
                    self.heard[tap.recording_id] = first, at_ns, count + 50
                if tap.recording_id in self.heard:
                    rows.append((slot, tap.recording_id, *self.heard[tap.recording_id]))
            zeros = [0] * len(rows)
            self.roster.hear(0, link.Report(
                at_ns=at_ns, slots=[row[0] for row in rows], recording_ids=[row[1] for row in rows],
                packets=[row[4] for row in rows], lost=zeros, duplicate=zeros, reordered=zeros, late_lost=zeros,
                invalid=zeros, foreign=zeros, unauthentic=zeros,
                heard_ns=[row[3] for row in rows], first_ns=[row[2] for row in rows],
                edge_frames=zeros, tallies={}, gauges={},
            ))  # fmt: skip


class _Named:
    """As much of a tap as a sidecar needs."""

    def __init__(self, recording_id: str, tap_id: str) -> None:
        self.recording_id, self.id = recording_id, tap_id


class LifeWorld:
    """A roster with a played worker and a real ledger, on a loop in virtual time."""

    def __init__(self, directory: Path, dice: random.Random, slots: int = 64, limits: Limits = LIMITS) -> None:
        self.worker = PlayedWorker(dice)
        self.clerk = InlineClerk(Ledger(directory / "ledger.sqlite3"))
        self.clerk.ledger._base.execute("PRAGMA synchronous = OFF")
        self._free = list(range(20_000, 20_000 + 2 * slots))
        means = Means(
            send=self.worker.send, take=self.take, clerk=self.clerk, stem=self.stem, address="127.0.0.1", limits=limits,
            clock_ns=now_ns, unix_ns=now_ns,
        )  # fmt: skip
        self.roster = self.worker.roster = Roster(means, 1, slots, slots)
        self.roster.began(0)
        self.taken = 0
        self._tasks = [asyncio.ensure_future(self.worker.report()), asyncio.ensure_future(self._beat())]

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.roster.tick()

    def take(self, wish: Wish) -> Berth:
        if not self._free:
            raise NotNow("no_port", "no free port", 1)
        number = self._free.pop()
        self.taken += 1

        def release() -> None:
            self.taken -= 1
            self.worker.senders.discard(number)
            self._free.append(number)

        return Berth(number, FakeSocket(number), release)

    def stem(self, summary: Summary) -> str:
        return summary.recording_id

    async def over(self) -> None:
        """End everything that runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.roster.abandon()
        await self.clerk.close()

    def outcomes(self) -> dict[str, tuple[str | None, str | None]]:
        """Tap → state and outcome, as the ledger has them."""
        rows = self.clerk.ledger._base.execute("SELECT id, state, outcome FROM taps").fetchall()
        return {row["id"]: (row["state"], row["outcome"]) for row in rows}



