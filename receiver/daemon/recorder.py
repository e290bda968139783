"""All that records, without a door to ask it by: storage folder, ledger, ports, crew, taps, relay.

It starts in this order, because each step needs the one before: the folder is ours (exit 73 if not), the ledger knows
what an earlier daemon left, the workers come up, rule C5 is done, every old tap has its outcome; from then on taps are
accepted.
"""

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog

from receiver import crew, link
from receiver.control.door import Door
from receiver.control.events import Events
from receiver.control.hooks import Hooks
from receiver.control.means import Berth, Means
from receiver.control.roster import Roster
from receiver.control.stock import take_stock
from receiver.control.taps import Wish
from receiver.control.wsdevice import WsDoor
from receiver.daemon import outfit
from receiver.daemon.berths import Berths
from receiver.daemon.calling import hooks_of
from receiver.daemon.estate import Estate
from receiver.daemon.relay import Relay
from receiver.daemon.space import Space
from receiver.daemon.standing import Standing
from receiver.keys import Key
from receiver.ledger.clerk import Clerk
from receiver.ledger.folder import Folder, FolderError
from receiver.ledger.rebuild import open_ledger, rebuild
from receiver.ledger.rows import Summary, TapRow
from receiver.settings import Settings
from receiver.watch.counters import Counters
from receiver.watch.health import Health

HEARTBEAT_S: Final = 0.5

log = structlog.get_logger("daemon")


class Recorder:
    """Also the owner whom the crew asks and tells.

    ``command`` is what a worker is started with, ``relay_door`` where the relay is; tests put stand-ins there.
    ``estate`` is who keeps our descriptors, and what an earlier process left with them.
    """

    def __init__(
        self, settings: Settings, command: Sequence[str] = crew.COMMAND, relay_door: Door | None = None,
        estate: Estate | None = None,
    ) -> None:  # fmt: skip
        self._settings, self._command, self._relay_door = settings, command, relay_door
        self._estate = estate or Estate()
        self.health, self.counters, self.events = Health(), Counters(), Events()
        self._stopping = False
        self._leaving_s = 0.0
        self._ends = AsyncExitStack()
        self.records = asyncio.Event()
        """Set when a worker records."""
        self.ws: WsDoor | None = None
        self.relay: Relay | None = None

    async def open(self) -> None:
        """Put it together; nothing runs yet. Raises `FolderError`, `ConfigError`."""
        settings = self._settings
        outfit.require_bindable(settings.media.bind)
        try:
            self.folder = await asyncio.to_thread(Folder, settings.storage.path, state=outfit.state_directory())
            self._ends.callback(self.folder.release)
            self.clerk = await self._open_books()
            self._ends.push_async_callback(self.clerk.close)
            self.hooks = Hooks(self.clerk, self.events, await asyncio.to_thread(hooks_of, settings))
            self._ends.push_async_callback(self.hooks.close)
            await self.hooks.start()
            open_taps = await self.clerk.do(self.clerk.ledger.open_taps)
            self._compose(open_taps)
            self._berths.cool(await outfit.cooling(settings, self.clerk, open_taps, time.time_ns()))
            if self.ws is not None:
                await outfit.open_ws(self.ws, settings)
                self._ends.push_async_callback(self.ws.stop)
        except BaseException:
            await self._ends.aclose()
            raise

    def start(self) -> None:
        """Let it run."""
        outfit.raise_descriptor_limit(self._settings.media)
        for each in self.crew.states():
            self.health.complain(f"worker {each['worker']}", "starting")
        self.crew.start()
        if self.relay is not None:
            self.relay.start()
            self._ends.push_async_callback(self.relay.stop)
        taps, opus = self._settings.taps, self._settings.media.opus_payload_type
        self.standing = Standing(self.roster, self.health, self._settings.listen, taps.ptime_ms, taps.direction, opus)
        self.standing.start()
        self._ends.push_async_callback(self.standing.close)
        for work in (self._beat(), self.space.watch()):
            self._ends.callback(asyncio.ensure_future(work).cancel)

    def take(self, settings: Settings) -> None:
        """Rule D8: for taps that are asked for from now on, and for what is said from now on."""
        self._settings = settings
        self.roster.take(outfit.limits(settings), settings.media.advertised)
        self.crew.take(outfit.environ(settings), link.Loudness(settings.log.level, settings.log.format))
        if self.relay is not None:
            self.relay.take(settings)

    async def finish(self, limit_s: float, hurry: "asyncio.Future[None] | None" = None) -> None:
        """Accept nothing new, end all taps, wait until each has its outcome, the time is up, or ``hurry`` is done."""
        self._stopping = True
        await self.standing.close()
        if self.relay is not None:
            await self.relay.answer_no_more()
        closing = asyncio.ensure_future(self.roster.close(limit_s))
        waited: list[asyncio.Future[object]] = [closing, *([hurry] if hurry else [])]  # type: ignore[list-item]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)

    async def drain(self) -> None:
        """Accept nothing new; what lives goes on to its end. Calls are left to others."""
        if not self._stopping:
            self.health.complain("daemon", "draining: no new taps are accepted")
        self.roster.shut("draining", "this daemon is being taken out of service: ask another one")
        await self.standing.close()
        if self.relay is not None:
            self.relay.client.receive(())
            await self.relay.answer_no_more()

    async def hand_over(self) -> None:
        """Rule D7: accept nothing new, stop nothing; `close` leaves what lives to the next process."""
        self._stopping = True
        self.roster.shut()
        await self.standing.close()
        if self.relay is not None:
            await self.relay.answer_no_more()
            self._estate.remember(self.relay.memory)

    async def close(self, leaving_s: float = 0.0) -> int:
        """Hang up on everybody; return how many taps have no outcome yet. Workers have ``leaving_s`` to leave."""
        self._stopping, self._leaving_s = True, leaving_s
        self._berths.leave()
        unfinished = sum(self.roster.states().values())
        await self._ends.aclose()
        return unfinished

    # --- what the crew asks and tells

    def living(self, worker: int) -> dict[str, int]:
        """Which taps of an earlier process go on."""
        mine = (tap for tap in self.roster.living() if tap.worker == worker)
        return {link.tap_name(tap.recording_id, tap.channel): tap.slot for tap in mine}

    def keys(self, worker: int) -> dict[str, Key]:
        """SRTP keys of what lives."""
        living = ((tap.recording_id, tap.wish.key) for tap in self.roster.living() if tap.worker == worker)
        return {recording_id: key for recording_id, key in living if key is not None}

    def keep(self, worker: int, memory: int) -> None:
        """A worker has chosen its memory."""
        self._estate.keep_memory(worker, memory)

    def belongings(self, worker: int) -> Iterator[tuple[link.ToWorker, Sequence[int]]]:
        """What a worker must be told."""
        return self.roster.belongings(worker)

    def began(self, worker: int) -> None:
        """A worker records."""
        self.health.recover(f"worker {worker}")
        self.counters.began(worker, time.monotonic_ns())
        self.roster.began(worker)
        self.records.set()

    def died(self, worker: int) -> None:
        """A worker is away."""
        if not self._stopping:
            self.health.complain(f"worker {worker}", "restarting")
        self.counters.died(worker)
        self.roster.died(worker)

    def hear(self, worker: int, message: link.ToControl) -> None:
        """A worker says something."""
        match message:
            case link.Repaired():
                living = {tap.id for tap in self.roster.living()}
                self.clerk.post(take_stock, self.clerk.ledger, message.sidecars, self.stem, time.time_ns(), living)
                if message.sidecars:
                    log.warning("recordings were recovered", recordings=len(message.sidecars))
            case link.Report():
                self.counters.note(worker, message.tallies, message.gauges, time.monotonic_ns())
            case link.Refused(code="storage"):
                self.health.complain("storage", message.message)
            case link.Opened():
                self.health.recover("storage")
        self.roster.hear(worker, message)

    def stem(self, summary: Summary) -> str | None:
        """A recording's path below ready/, without suffix, if its sidecar lies there. Blocking."""
        stem = outfit.stem_of(summary, self._settings.storage.name)
        return stem if stem and (self.folder.path / "ready" / f"{stem}.json").exists() else None

    # --- inside

    def _compose(self, open_taps: Sequence[TapRow]) -> None:
        settings, estate = self._settings, self._estate
        workers = settings.media.workers
        before = estate.taps_of(open_taps, outfit.limits(settings))
        slots = max(-(-settings.media.max_taps // workers), len(before))
        orders = [outfit.configure(settings, each, slots, kept=estate.kept) for each in range(workers)]
        self.crew = crew.Crew(
            orders, self, self._command, (self.folder.lock,), outfit.environ(settings), estate.memories(workers)
        )
        self.ws = WsDoor(settings.ws.uri) if settings.ws.uri is not None else None
        self._berths = Berths(outfit.ports(settings), self.ws, estate.manager)
        means = Means(
            send=self.crew.send,
            take=self._take,
            clerk=self.clerk,
            stem=self.stem,
            address=settings.media.advertised,
            limits=outfit.limits(settings),
            events=self.events,
        )
        self.roster = Roster(means, workers, slots, settings.media.max_taps)
        self.space = Space(
            partial(outfit.free, self.folder.path), settings.storage.reserve_octets,
            lambda: sum(outfit.weight(tap.wish.law) for tap in self.roster.living()), self.health, self.events,
        )  # fmt: skip
        self._ends.callback(self.roster.abandon)
        self._ends.callback(self._berths.leave)  # also where a later step fails: the next start tries again
        self._ends.push_async_callback(self._dismiss)
        if settings.relay.on:
            self.relay = Relay(settings, self.roster, self.health, self._relay_door, estate.relay_memory())
            self.events.attend(self.relay.client)
        estate.take_up(before, self._berths, self.roster)

    def _take(self, wish: Wish) -> Berth:
        self.space.require()
        return self._berths.take(wish)

    async def _dismiss(self) -> None:
        await self.crew.stop(self._leaving_s)

    async def _open_books(self) -> Clerk:
        """The ledger, with everything in it that lies on the disk."""
        try:
            ledger, broken = open_ledger(self.folder.ledger)
        except (sqlite3.Error, OSError) as error:
            raise FolderError(
                f"the ledger {self.folder.ledger} cannot be opened: {error}", "look at the disk"
            ) from error
        if broken:
            log.error("ledger was broken, it is rebuilt", why=broken)
        if broken or ledger.fresh or ledger.open_taps():
            found = await asyncio.to_thread(rebuild, ledger, self.folder.path, time.time_ns())
            log.info("ledger was brought up to date", **found._asdict())
        return Clerk(ledger, self._told_by_ledger)

    def _told_by_ledger(self, error: sqlite3.Error | None) -> None:
        if error is None:
            self.health.recover("ledger")
        else:
            self.health.complain("ledger", str(error))

    async def _beat(self) -> None:
        while True:
            try:
                self.roster.tick()
                self.crew.check()
                if self.relay is not None:
                    self._estate.remember(self.relay.memory)
            except Exception:  # a defect, and the other taps' timers must go on
                log.exception("heartbeat failed")
            await asyncio.sleep(HEARTBEAT_S)
