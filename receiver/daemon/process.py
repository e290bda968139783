"""The daemon put together from its rooms, from start to stop."""

import asyncio
import signal
import sqlite3
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web

from receiver import __version__, crew, link
from receiver.api.app import make_app
from receiver.api.house import Defaults, House
from receiver.control.roster import Means, NotNow, Roster
from receiver.control.stock import take_stock
from receiver.daemon import outfit
from receiver.ledger.clerk import Clerk
from receiver.ledger.folder import Folder, FolderError
from receiver.ledger.rebuild import open_ledger, rebuild
from receiver.ledger.rows import Summary
from receiver.net.ports import NoPort, Port
from receiver.settings import ConfigError, Settings
from receiver.watch.counters import Counters
from receiver.watch.health import Health

HEARTBEAT_S: Final = 0.5
LEAVING_S: Final = 3.0  # of stop_timeout_s, for the workers to drain, commit and leave
HURRIED_S: Final = 1.0  # the same after a second signal

log = structlog.get_logger("daemon")


class Daemon:
    """Everything between `start` and `stop`. Also the owner whom the crew asks and tells.

    ``command`` is what a worker is started with; tests put a stand-in there.
    """

    def __init__(self, settings: Settings, command: Sequence[str] = crew.COMMAND) -> None:
        self._settings, self._command = settings, command
        self._health, self._counters = Health(), Counters()
        self._stopping = False

    async def start(self) -> None:
        """Begin. Raises `FolderError`, `ConfigError`."""
        settings = self._settings
        outfit.require_bindable(settings.media.bind)
        self._folder = await asyncio.to_thread(Folder, settings.storage.path)
        try:
            self._clerk = await self._open_books()
        except BaseException:
            self._folder.release()
            raise
        self._ports = outfit.ports(settings)
        workers = settings.media.workers
        slots = -(-settings.media.max_taps // workers)
        orders = [outfit.configure(settings, each, slots) for each in range(workers)]
        self._crew = crew.Crew(orders, self, self._command, (self._folder.lock,), outfit.environ(settings))
        means = Means(
            send=self._crew.send,
            take=self._take,
            give_back=self._ports.give_back,
            clerk=self._clerk,
            stem=self._stem,
            address=settings.media.advertised,
            limits=outfit.limits(settings),
        )
        self._roster = Roster(means, workers, slots, settings.media.max_taps)
        for worker in range(workers):
            self._health.complain(f"worker {worker}", "starting")
        try:
            await self._open_door()
        except BaseException:
            await self._crew.stop(0)
            await self._clerk.close()
            self._folder.release()
            raise
        outfit.raise_descriptor_limit(settings.media.max_taps)
        self._crew.start()
        self._heart = asyncio.ensure_future(self._beat())
        self._announce()

    @property
    def url(self) -> str:
        """Where the API answers."""
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def failed(self) -> "asyncio.Future[int]":
        """Done, with an exit status, when a worker cannot start for a reason that stays."""
        return self._crew.failed

    async def stop(self, hurry: "asyncio.Future[None] | None" = None) -> int:
        """Rule D7; return how many taps have no outcome yet. ``hurry`` done: wait for no recording any more."""
        log.info("going down", taps=self._roster.states())
        self._stopping = True
        self._health.complain("daemon", "going down")
        limit_s = self._settings.daemon.stop_timeout_s
        leaving_s = min(LEAVING_S, limit_s / 3)
        waited: list[asyncio.Future[Any]] = [hurry] if hurry else []
        closing = asyncio.ensure_future(self._roster.close(limit_s - leaving_s))
        waited.append(closing)
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        if hurry is not None and hurry.done():
            leaving_s = min(leaving_s, HURRIED_S)
        self._heart.cancel()
        unfinished = sum(self._roster.states().values())
        await self._runner.cleanup()
        await self._crew.stop(leaving_s)
        self._roster.abandon()
        await self._clerk.close()
        self._folder.release()
        log.info("gone", unfinished=unfinished)
        return unfinished

    # --- what the crew asks and tells

    def belongings(self, worker: int) -> Iterator[tuple[link.ToWorker, Sequence[int]]]:
        """What a worker must be told."""
        return self._roster.belongings(worker)

    def began(self, worker: int) -> None:
        """A worker records."""
        self._health.recover(f"worker {worker}")
        self._roster.began(worker)

    def died(self, worker: int) -> None:
        """A worker is away."""
        if not self._stopping:
            self._health.complain(f"worker {worker}", "restarting")
        self._roster.died(worker)

    def hear(self, worker: int, message: link.ToControl) -> None:
        """A worker says something."""
        match message:
            case link.Repaired():
                verb = partial(take_stock, self._clerk.ledger, message.sidecars, self._stem, time.time_ns())
                self._clerk.post(verb)
                if message.sidecars:
                    log.warning("recordings were recovered", recordings=len(message.sidecars))
            case link.Report():
                self._counters.note(worker, message.tallies, message.gauges)
            case link.Refused(code="storage"):
                self._health.complain("storage", message.message)
            case link.Opened():
                self._health.recover("storage")
        self._roster.hear(worker, message)

    # --- inside

    async def _open_books(self) -> Clerk:
        """The ledger, with everything in it that lies on the disk."""
        try:
            ledger, broken = open_ledger(self._folder.ledger)
        except (sqlite3.Error, OSError) as error:
            raise FolderError(
                f"the ledger {self._folder.ledger} cannot be opened: {error}", "look at the disk"
            ) from error
        if broken:
            log.error("ledger was broken, it is rebuilt", why=broken)
        if broken or ledger.fresh or ledger.open_taps():
            found = await asyncio.to_thread(rebuild, ledger, self._folder.path, time.time_ns())
            log.info("ledger was brought up to date", **found._asdict())
        return Clerk(ledger, self._told_by_ledger)

    def _told_by_ledger(self, error: sqlite3.Error | None) -> None:
        if error is None:
            self._health.recover("ledger")
        else:
            self._health.complain("ledger", str(error))

    async def _open_door(self) -> None:
        settings = self._settings
        house = House(
            roster=self._roster,
            clerk=self._clerk,
            counters=self._counters,
            health=self._health,
            workers=self._crew.states,
            present=partial(outfit.present, self._folder.path / "ready"),
            defaults=Defaults(
                settings.taps.codec, settings.taps.ptime_ms, settings.taps.direction, settings.taps.layout
            ),
            address=settings.media.advertised,
            allow_list=bool(settings.media.allow),
            token=settings.http.token,
        )
        self._runner = web.AppRunner(make_app(house), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        host, port = settings.http.endpoint
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError([f"http.listen: cannot listen on {settings.http.listen}: {error.strerror}"]) from error

    def _take(self) -> Port:
        try:
            return self._ports.take()
        except NoPort as error:
            cooled_s = error.cooled_in_s
            raise NotNow("no_port", str(error), 10 if cooled_s is None else max(1, cooled_s)) from error
        except OSError as error:
            log.error("no port can be bound", error=str(error))
            raise NotNow("no_port", f"no port can be bound: {error.strerror}", 10) from error

    def _stem(self, summary: Summary) -> str | None:
        """A recording's path below ready/, without suffix, if its sidecar lies there. Blocking."""
        stem = outfit.stem_of(summary, self._settings.storage.name)
        return stem if stem and (self._folder.path / "ready" / f"{stem}.json").exists() else None

    async def _beat(self) -> None:
        while True:
            try:
                self._roster.tick()
                self._crew.check()
            except Exception:  # a defect, and the other taps' timers must go on
                log.exception("heartbeat failed")
            await asyncio.sleep(HEARTBEAT_S)

    def _announce(self) -> None:
        settings = self._settings
        media = settings.media
        if settings.http.token is None:
            log.info("the API asks for no token", listen=settings.http.listen, hint="set [http].token")
        if media.source == "any":
            log.warning("sound of any source is admitted", hint="[media].source")
        log.info(
            "tapdeck runs",
            version=__version__,
            url=self.url,
            directory=str(self._folder.path),
            ports=media.ports,
            workers=media.workers,
            max_taps=media.max_taps,
            memory_mb=media.max_taps * media.window * 2 // 1_000_000,  # at most: a row is taken with its tap
        )


async def run(settings: Settings, command: Sequence[str] = crew.COMMAND) -> int:
    """Run until a signal; return the exit status."""
    loop = asyncio.get_running_loop()
    signals: list[asyncio.Future[None]] = [loop.create_future(), loop.create_future()]

    def obey() -> None:
        waiting = [each for each in signals if not each.done()]
        if waiting:
            waiting[0].set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, obey)
    loop.add_signal_handler(signal.SIGHUP, partial(log.warning, "the configuration is read at start only"))
    daemon = Daemon(settings, command)
    await daemon.start()
    either: list[asyncio.Future[Any]] = [signals[0], daemon.failed]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if daemon.failed.done():
        log.critical("a media worker cannot start", status=daemon.failed.result())
        for each in signals:
            if not each.done():
                each.set_result(None)
    await daemon.stop(signals[1])
    return daemon.failed.result() if daemon.failed.done() else 0
