"""The daemon: what records, and the doors by which it is asked, from start to stop."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web

from receiver import __version__, crew
from receiver.api.app import make_app, make_callbacks
from receiver.api.house import Defaults, House
from receiver.control.door import Door
from receiver.daemon import outfit, reloading
from receiver.daemon.estate import Estate
from receiver.daemon.reading import open_below
from receiver.daemon.recorder import Recorder
from receiver.daemon.vigil import Vigil
from receiver.endpoints import endpoint
from receiver.settings import ConfigError, Settings
from receiver.watch import log as logs
from receiver.watch.manager import Manager, inherited

LEAVING_S: Final = 3.0  # of stop_timeout_s, for the workers to drain, commit and leave
HURRIED_S: Final = 1.0  # the same after a second signal
HANDED_OVER_S: Final = 1.5  # the same when the next process goes on: rule D7 gives two seconds for all of it
TOLD_S: Final = 0.2  # for the service manager to take what it is told
WATCH_S: Final = 0.5

log = structlog.get_logger("daemon")


class Daemon:
    """Everything between `start` and `stop`. ``command``, ``relay_door`` and ``estate``: see `Recorder`."""

    def __init__(
        self, settings: Settings, command: Sequence[str] = crew.COMMAND, relay_door: Door | None = None,
        estate: Estate | None = None,
    ) -> None:  # fmt: skip
        self._settings, self._estate = settings, estate or Estate()
        self.recorder = Recorder(settings, command, relay_door, self._estate)
        self._runners: list[web.AppRunner] = []
        self._watching: asyncio.Task[None] | None = None
        self._house: House | None = None

    async def start(self) -> None:
        """Begin. Raises `FolderError`, `ConfigError`."""
        await self.recorder.open()
        try:
            await self._open_doors()
        except BaseException:
            await self._close_doors()
            await self.recorder.close()
            raise
        self.recorder.start()
        self._watching = asyncio.ensure_future(self._watch(Vigil(self.recorder, self._estate.manager)))
        self._announce()

    @property
    def url(self) -> str:
        """Where the API answers."""
        host, port = self._runners[0].addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def failed(self) -> "asyncio.Future[int]":
        """Done, with an exit status, when a worker cannot start for a reason that stays."""
        return self.recorder.crew.failed

    async def stop(self, hurry: "asyncio.Future[None] | None" = None) -> int:
        """Rule D7; return how many taps have no outcome yet. ``hurry`` done: wait for no recording any more."""
        self._estate.manager.stopping()
        log.info("going down", taps=self.recorder.roster.states())
        self.recorder.health.complain("daemon", "going down")
        limit_s = self._settings.daemon.stop_timeout_s
        leaving_s = min(LEAVING_S, limit_s / 3)
        await self.recorder.finish(limit_s - leaving_s, hurry)
        if hurry is not None and hurry.done():
            leaving_s = min(leaving_s, HURRIED_S)
        unfinished = await self._leave(leaving_s)
        log.info("gone", unfinished=unfinished)
        return unfinished

    async def hand_over(self) -> int:
        """Rule D7; stop nothing, and leave all that lives to the next process. Returns how many taps that are."""
        self._estate.manager.stopping()
        log.info("handing over", taps=self.recorder.roster.states())
        await self.recorder.hand_over()
        left = await self._leave(HANDED_OVER_S)
        log.info("handed over", taps=left)
        return left

    def reload(self, reread: Callable[[], Settings]) -> None:
        """Rule D8."""
        self._estate.manager.reloading()
        self._settings = reloading.reload(self._settings, reread, self._take)
        self._estate.manager.ready()

    # --- inside

    def _take(self, settings: Settings) -> None:
        """These hold from now on."""
        logs.configure(settings.log.level, settings.log.format)
        self.recorder.take(settings)
        if self._house is not None:
            self._house.defaults, self._house.token = _defaults(settings), settings.http.token
            self._house.address, self._house.policy = settings.media.advertised, settings.media.source
            self._house.public_url = settings.http.public_url

    async def _watch(self, vigil: Vigil) -> None:
        """Beside the heart: a defect here must not feed the watchdog, and must not stop the taps' timers."""
        while True:
            vigil.watch()
            await asyncio.sleep(WATCH_S)

    async def _leave(self, leaving_s: float) -> int:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._close_doors()
        left = await self.recorder.close(leaving_s)
        await self._estate.manager.flushed(TOLD_S)
        self._estate.manager.close()
        return left

    async def _open_doors(self) -> None:
        house, http = self._make_house(), self._settings.http
        self._house = house
        await self._listen(make_app(house), "http.listen", http.listen)
        if http.callbacks_listen is not None:
            await self._listen(make_callbacks(house), "http.callbacks_listen", http.callbacks_listen)

    async def _listen(self, app: web.Application, key: str, where: str) -> None:
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, *endpoint(where)).start()
        except OSError as error:
            raise ConfigError([f"{key}: cannot listen on {where}: {error.strerror}"]) from error

    async def _close_doors(self) -> None:
        while self._runners:
            await self._runners.pop().cleanup()

    def _make_house(self) -> House:
        settings, recorder = self._settings, self.recorder
        return House(
            roster=recorder.roster,
            clerk=recorder.clerk,
            counters=recorder.counters,
            health=recorder.health,
            events=recorder.events,
            workers=recorder.crew.states,
            present=partial(outfit.present, recorder.folder.path / "ready"),
            sound=partial(open_below, recorder.folder.path / "ready"),
            drain=recorder.drain,
            free=partial(outfit.free, recorder.folder.path),
            defaults=_defaults(settings),
            address=settings.media.advertised,
            allow_list=bool(settings.media.allow),
            token=settings.http.token,
            client=recorder.relay.client if recorder.relay else None,
            policy=settings.media.source,
            ws=recorder.ws is not None,
            hooks=recorder.hooks if settings.hook else None,
            public_url=settings.http.public_url,
        )

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
            directory=str(settings.storage.path),
            ports=media.ports,
            workers=media.workers,
            max_taps=media.max_taps,
            memory_mb=round(outfit.memory_octets(settings) / 1e6),  # at most: a row is taken with its tap
            relay=settings.relay.host if settings.relay.on else None,
            ws=settings.ws.listen,
        )


def _defaults(settings: Settings) -> Defaults:
    taps = settings.taps
    media = settings.media
    types = media.opus_payload_type, media.events_payload_type
    return Defaults(taps.codec, taps.ptime_ms, taps.direction, taps.layout, *types)


async def run(settings: Settings, reread: Callable[[], Settings], command: Sequence[str] = crew.COMMAND) -> int:
    """Run until a signal; return the exit status.

    SIGTERM and SIGINT stop, the second one hurries; SIGUSR1 hands over, where somebody keeps what is left (rule D7);
    SIGHUP has the configuration read anew by ``reread`` (rule D8), which raises `ConfigError`.
    """
    loop = asyncio.get_running_loop()
    estate = Estate(Manager.of(os.environ), inherited(os.environ))
    loop.add_signal_handler(signal.SIGHUP, log.info, "not ready to read the configuration anew")
    stop, hurry, hand_over = (loop.create_future() for _ in range(3))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _set_first, stop, hurry)
    loop.add_signal_handler(signal.SIGUSR1, _set_first, hand_over if estate.kept else stop)
    daemon = Daemon(settings, command, estate=estate)
    await daemon.start()
    loop.add_signal_handler(signal.SIGHUP, daemon.reload, reread)
    either: list[asyncio.Future[Any]] = [stop, hand_over, daemon.failed]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if daemon.failed.done():
        log.critical("a media worker cannot start", status=daemon.failed.result())
        _set_first(hurry)
    if hand_over.done() and not daemon.failed.done():
        await daemon.hand_over()
    else:
        await daemon.stop(hurry)
    return daemon.failed.result() if daemon.failed.done() else 0


def _set_first(*futures: "asyncio.Future[None]") -> None:
    waiting = next((each for each in futures if not each.done()), None)
    if waiting is not None:
        waiting.set_result(None)
