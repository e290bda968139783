"""Ports that are always open (``[[listen]]``): a tap waits there for whoever comes, and after it the next one."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from receiver.control.codecs import OPUS_TYPE, law_of
from receiver.control.means import NotNow
from receiver.control.roster import Roster
from receiver.control.taps import FINAL, State, Tap, Wish
from receiver.tables import Listen
from receiver.watch.health import Health

AGAIN_S: Final = (0.5, 1, 2, 5, 10)  # the last one from then on
LOOK_S: Final = 3_600.0  # how long one wait for the end of a tap lasts; there is no bound to the next one

log = structlog.get_logger("daemon")


class Standing:
    """Keeps one tap open on each port, from `start` to `close`; one that an earlier daemon opened there goes on."""

    def __init__(
        self, roster: Roster, health: Health, listens: Sequence[Listen], ptime: int, direction: str,
        opus: int = OPUS_TYPE,
    ) -> None:  # fmt: skip
        self._roster, self._health, self._listens, self._opus = roster, health, listens, opus
        self._ptime, self._direction = ptime, direction
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; nobody waits."""
        self._tasks = [asyncio.ensure_future(self._keep(listen)) for listen in self._listens]

    async def close(self) -> None:
        """Open no more. The taps that are open stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, listen: Listen) -> None:
        wish, tries = self._wish(listen), 0
        while True:
            tap = self._open_one(listen.port)
            try:
                tap = tap or await self._roster.ask(wish)
            except NotNow as error:
                pause_s = AGAIN_S[min(tries, len(AGAIN_S) - 1)]
                if tries == 1:  # at first a worker may still be on its way
                    log.error("a port cannot be opened", port=listen.port, why=error.message, again_in_s=pause_s)
                    self._health.complain(f"listen {listen.port}", error.message)
                tries += 1
                await asyncio.sleep(pause_s)
                continue
            tries = 0
            self._health.recover(f"listen {listen.port}")
            while tap.state not in FINAL:
                await self._roster.until(tap, FINAL, LOOK_S)

    def _open_one(self, port: int) -> Tap | None:
        found = (tap for tap in self._roster.living() if tap.wish.fixed == port and tap.state is not State.FINISHING)
        return next(found, None)

    def _wish(self, listen: Listen) -> Wish:
        policy, announced = listen.admitted()
        return Wish(
            law=law_of(listen.codec, self._opus), ptime=self._ptime, direction=self._direction, layout="mono",
            labels=listen.labels, policy=policy, announced=announced, source=listen.source, fixed=listen.port,
        )  # fmt: skip
