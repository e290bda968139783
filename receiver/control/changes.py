"""Who is told that something happened to a tap: those who wait for it to get somewhere, listeners, and the log."""

import asyncio
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final, Protocol

import structlog

from receiver import link
from receiver.control.taps import FINAL, State, Tap
from receiver.ledger.rows import Summary

WARNINGS: Final = frozenset(
    {"source_changed", "source_conflict", "unannounced", "unknown_payload_type", "second_ssrc"}
)
"""An operator should see these."""

log = structlog.get_logger("taps")


class Listener(Protocol):
    """Who is told everything (`receiver.control.events`)."""

    def moved(self, tap: Tap) -> None:
        """A tap came into another state."""

    def source_changed(self, tap: Tap, seen: dict[str, Any]) -> None:
        """Another source is heard at a tap."""

    def dtmf(self, tap: Tap, pressed: dict[str, Any]) -> None:
        """A key was pressed."""

    def turned(self, tap: Tap) -> None:
        """A tap was paused or goes on."""

    def ready(self, tap: Tap, summary: Summary) -> None:
        """A recording is in ``ready/`` and in the ledger."""


class Changes:
    """Who waits for which tap, and one listener for all."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self._waiting: dict[str, asyncio.Event] = {}
        self.warned: Counter[str] = Counter(dict.fromkeys(sorted(WARNINGS), 0))
        """How often of what (rule B2: an unannounced source is in the metrics, too)."""

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
        if self._listener is not None:
            self._listener.moved(tap)

    def happened(self, tap: Tap, news: link.Happened) -> None:
        """Its worker told what moves no state."""
        if news.event in WARNINGS:
            self.warned[news.event] += 1
            log.warning(news.event, tap=tap.id, recording=tap.recording_id, port=tap.port, seen=news.fields)
        if news.event == "source_changed" and self._listener is not None:
            self._listener.source_changed(tap, news.fields)
        if news.event == "dtmf" and self._listener is not None:
            self._listener.dtmf(tap, news.fields)

    def turned(self, tap: Tap) -> None:
        """It was paused, or goes on."""
        log.info("tap paused" if tap.paused else "tap resumed", tap=tap.id, recording=tap.recording_id)
        if self._listener is not None:
            self._listener.turned(tap)

    def ready(self, tap: Tap, summary: Summary | None) -> None:
        """Its outcome is booked, after `tell`; ``summary`` of the recording, if there is one."""
        if summary is not None and self._listener is not None:
            self._listener.ready(tap, summary)
