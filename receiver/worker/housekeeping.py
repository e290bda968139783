"""What a worker does for the storage folder as a whole, now and then, beside the tick (rule C6, ``keep_days``)."""

import asyncio
import time
from typing import Final

import structlog

from receiver.archive.old import remove_old
from receiver.archive.reserve import ReservedFiles
from receiver.worker.errands import Errands

RESERVE_EVERY_S: Final = 30.0
OLD_EVERY_S: Final = 3_600.0
log = structlog.get_logger("worker")


class Housekeeping:
    """Keeps the reserve, and removes what has lain in ``ready/`` for longer than ``keep_ns`` (0: nothing)."""

    def __init__(self, files: ReservedFiles, errands: Errands, keep_ns: int) -> None:
        self._files, self._errands, self._keep_ns = files, errands, keep_ns

    def start(self) -> "list[asyncio.Task[None]]":
        """Begin."""
        work = [self._keep_reserve(), *([self._remove_old()] if self._keep_ns else [])]
        return [asyncio.ensure_future(each) for each in work]

    async def _keep_reserve(self) -> None:
        while True:
            await self._errands.insist("reserve", self._files.keep_reserve)
            await asyncio.sleep(RESERVE_EVERY_S)

    async def _remove_old(self) -> None:
        while True:
            removed = await self._errands.insist("old", remove_old, self._files, time.time_ns() - self._keep_ns)
            if removed:
                log.info("old recordings removed", files=len(removed), hint="[storage].keep_days")
            await asyncio.sleep(OLD_EVERY_S)
