"""A roster in virtual time: clocks that stand until they are told, ports without sockets, a link that remembers."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from receiver import link
from receiver.control.events import Events
from receiver.control.means import Berth, Means, NotNow
from receiver.control.roster import Roster
from receiver.control.taps import SECOND, Limits, Tap, Wish
from receiver.ledger.clerk import Clerk
from receiver.ledger.rows import Summary, TapRow
from receiver.ledger.store import Ledger, Where

NOON = 1_790_000_000 * SECOND
LIMITS = Limits(opening_ns=5 * SECOND, start_ns=30 * SECOND, silence_ns=60 * SECOND, longest_ns=3600 * SECOND)
WISH = Wish(0, 20, "both", "mono", {"team": "blue"}, "any", None, "any")


class FakeSocket:
    """Only its number matters here."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


class World:
    """A roster of one or more workers and everything around it."""

    def __init__(self, directory: Path, workers: int = 1, slots: int = 4, most: int = 4, ports: int = 9) -> None:
        self.now_ns, self.wall_ns = 1000 * SECOND, NOON
        self.told: list[tuple[int, link.ToWorker, tuple[int, ...]]] = []
        self.free = [20_000 + number for number in range(ports)]
        self.given_back: list[int] = []
        self.events = Events(lambda: self.wall_ns)
        self.clerk = Clerk(Ledger(directory / "ledger.sqlite3"))
        means = Means(
            send=self.send, take=self.take, clerk=self.clerk, stem=self.stem, address="127.0.0.1", limits=LIMITS,
            clock_ns=lambda: self.now_ns, unix_ns=lambda: self.wall_ns, events=self.events,
        )  # fmt: skip
        self.roster = Roster(means, workers, slots, most)
        for worker in range(workers):
            self.roster.began(worker)

    def send(self, worker: int, message: link.ToWorker, descriptors: Sequence[int]) -> None:
        self.told.append((worker, message, tuple(descriptors)))

    def take(self, wish: Wish) -> Berth:
        if not self.free:
            raise NotNow("no_port", "no free port", 10)
        number = self.free.pop(0)
        uri, source = (f"wss://here.example/{number}", ("127.0.0.1", 4)) if wish.device == "ws" else (None, None)
        return Berth(number, FakeSocket(number), lambda: self.given_back.append(number), uri, source)

    def stem(self, summary: Summary) -> str:
        return f"2026/{summary.recording_id}"

    def orders(self, kind: type) -> list[Any]:
        """What workers were told, of one kind."""
        return [message for _, message, _ in self.told if isinstance(message, kind)]

    async def soon(self, seen: "Any") -> None:
        """Let the loop and the clerk go on until ``seen()``."""
        async with asyncio.timeout(10):
            while not seen():
                await self.clerk.do(int)

    async def calm(self) -> None:
        """Let the loop and the clerk go on until nothing can be under way any more."""
        for _ in range(9):
            await self.clerk.do(int)

    async def asked(self, **given: Any) -> "asyncio.Task[Tap]":
        """Ask for a tap, up to the order to the worker."""
        before = len(self.orders(link.Open))
        task = asyncio.ensure_future(self.roster.open(WISH._replace(**given)))
        await self.soon(lambda: len(self.orders(link.Open)) > before or task.done())
        return task

    async def open(self, worker: int = 0, **given: Any) -> Tap:
        """A tap that listens."""
        task = await self.asked(**given)
        order = self.orders(link.Open)[-1]
        self.roster.hear(worker, link.Opened(order.slot, order.recording_id))
        return await task

    def report(self, *taps: Tap, worker: int = 0, heard_s: float = 0.0, **counts: int) -> None:
        """The worker reports that packets came ``heard_s`` seconds ago (or none, with packets=0)."""
        count = len(taps)
        packets = counts.get("packets", 5)
        heard = [self.wall_ns - round(heard_s * SECOND) if packets else 0] * count
        fields = ("lost", "duplicate", "reordered", "late_lost", "invalid", "foreign", "unauthentic")
        columns = {name: [counts.get(name, 0)] * count for name in fields}
        report = link.Report(
            at_ns=self.wall_ns, slots=[tap.slot for tap in taps], recording_ids=[tap.recording_id for tap in taps],
            packets=[packets] * count, heard_ns=heard, first_ns=heard, edge_frames=[160 * packets] * count,
            tallies={}, gauges={}, **columns,
        )  # fmt: skip
        self.roster.hear(worker, report)

    def passes(self, seconds: float) -> None:
        """Time goes by, and the heart beats once."""
        self.now_ns += round(seconds * SECOND)
        self.wall_ns += round(seconds * SECOND)
        self.roster.tick()

    def finish(self, tap: Tap, outcome: str = "complete", ending: str = "stopped", **given: Any) -> None:
        """The worker says that a recording is in ready/."""
        self.roster.hear(tap.worker, link.Finished(tap.slot, tap.recording_id, sidecar(tap, outcome, ending, **given)))

    async def row(self, tap_id: str) -> TapRow:
        """A tap in the ledger."""
        row = await self.clerk.do(self.clerk.ledger.tap, tap_id)
        assert row is not None
        return row

    async def rows(self) -> list[TapRow]:
        """All taps in the ledger, oldest first."""
        return (await self.clerk.do(self.clerk.ledger.taps, Where(), 999))[::-1]

    async def over(self) -> None:
        """Close the ledger."""
        self.roster.abandon()
        await self.clerk.close()


def sidecar(tap: Any, outcome: str = "complete", ending: str = "stopped", **given: Any) -> bytes:
    """What a worker leaves in ready/."""
    document = {"recording_id": tap.recording_id, "tap_id": tap.id, "outcome": outcome, "ending": ending, "file": None}
    return json.dumps(document | given).encode()
