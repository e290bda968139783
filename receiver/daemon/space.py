"""Free space on the storage file system: no new tap where what lives may not fit any more (rule C6)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from receiver.control.events import Events
from receiver.control.means import NotNow
from receiver.watch.health import Health

TAP_OCTETS: Final = 16_000 * 15 * 60  # a quarter of an hour of one tap
LOOK_S: Final = 5.0
RETRY_S: Final = 60.0

log = structlog.get_logger("daemon")


class Space:
    """``free`` tells octets, and may block; ``reserve`` is what rule C6 keeps back; ``taps`` tells how many live."""

    def __init__(
        self, free: Callable[[], int], reserve: int, taps: Callable[[], int], health: Health, events: Events
    ) -> None:
        self._free, self._reserve, self._taps, self._health, self._events = free, reserve, taps, health, events
        self._octets: int | None = None
        self._low = False

    def require(self) -> None:
        """Raise `NotNow` (``no_space``) where there is too little for one more tap, by the newest look."""
        needed = self._needed()
        if self._octets is not None and self._octets < needed:
            raise NotNow("no_space", self._in_words(self._octets, needed), RETRY_S)

    async def watch(self) -> None:
        """Look every five seconds, for ever."""
        while True:
            with suppress(OSError):  # a folder that is gone is others' business, and said by them
                self._octets = await asyncio.to_thread(self._free)
                self._tell(self._octets, self._needed())
            await asyncio.sleep(LOOK_S)

    def _needed(self) -> int:
        return self._taps() * TAP_OCTETS + self._reserve

    def _tell(self, octets: int, needed: int) -> None:
        """Once for each time that it becomes low."""
        if octets >= needed:
            self._low = False
            self._health.recover("space")
        elif not self._low:
            self._low = True
            words = self._in_words(octets, needed)
            log.error("storage is low", free=octets, needed=needed, hint="make room, or let jobs pick recordings up")
            self._health.complain("space", words)
            self._events.low(octets, needed)

    @staticmethod
    def _in_words(octets: int, needed: int) -> str:
        return (
            f"{octets / 1e6:.0f} MB are free; the taps that live and [storage].reserve_mb need {needed / 1e6:.0f} MB"
            " for a quarter of an hour"
        )
