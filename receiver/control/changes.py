"""Waiting for a tap to get somewhere."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

from receiver.control.taps import FINAL, State, Tap


class Changes:
    """Who waits for which tap."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    async def until(self, tap: Tap, states: Collection[State], limit_s: float) -> None:
        """Wait until a tap is in one of ``states``, or has its outcome, or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while tap.state not in states and tap.state not in FINAL:
                    await self._waiting.setdefault(tap.id, asyncio.Event()).wait()

    def tell(self, tap: Tap) -> None:
        """It is in another state now."""
        changed = self._waiting.pop(tap.id, None)
        if changed is not None:
            changed.set()
