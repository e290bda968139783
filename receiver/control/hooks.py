"""Hooks: what happens is told to programs and web servers of the operator's, at least once each.

Every call stands in the ledger's outbox until it is delivered; one that fails is tried again later, apart from the
others, so no call waits behind a bad one and their order is not promised. What a call says is an event's document; its
id is the same at each try, so that a receiver can tell what comes twice.
"""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from receiver.control.documents import document, of_recording, of_tap
from receiver.control.events import Events, Told
from receiver.ledger.clerk import Clerk
from receiver.ledger.outbox import Owed

AGAIN_S: Final = (1, 5, 30, 120, 600, 1_800)  # after each failed try; the last one from then on
KEPT_NS: Final = 24 * 3_600 * 1_000_000_000  # then a call that always failed is given up
AT_ONCE: Final = 4  # calls of one hook
LOOK_S: Final = 30.0  # what the ledger took in by itself (recovered recordings) is found so late at most
BOOKED: Final = frozenset({"tap.finished", "recording.ready"})  # the ledger puts these into the outbox itself
RESULTS: Final = ("delivered", "failed", "dropped")

log = structlog.get_logger("hooks")


class HookFailed(Exception):
    """A call was not taken; the text says why, for the log: neither key nor document in it (rule D9)."""


class Call(NamedTuple):
    """One call. ``at_s`` is UNIX time of this try."""

    id: str
    event: str
    document: bytes
    at_s: int


class Hook(NamedTuple):
    """``name`` follows from what is called; ``shown`` is for people; ``call`` raises `HookFailed`."""

    name: str
    shown: str
    call: Callable[[Call], Awaitable[None]]


class Hooks:
    """Delivers, from `start` to `close`. ``results`` counts tries since then."""

    def __init__(
        self, clerk: Clerk, events: Events, hooks: Sequence[Hook], unix_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._clerk, self._events, self._hooks, self._unix_ns = clerk, events, hooks, unix_ns
        self._outbox = clerk.ledger.outbox
        self._woken = {hook.name: asyncio.Event() for hook in hooks}
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self.results: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))

    async def start(self) -> None:
        """Owe these hooks everything from now on, and go on with what they are owed. Before the first tap."""
        dropped = await self._clerk.do(self._outbox.register, [hook.name for hook in self._hooks])
        if dropped:
            log.warning("calls of hooks that are not configured any more are dropped", calls=dropped)
        if self._hooks:
            self._events.also(self._owe)
        self._tasks = [asyncio.ensure_future(self._serve(hook)) for hook in self._hooks]

    async def close(self) -> None:
        """Stop; what is owed is delivered by the next start, and what was under way then perhaps twice."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- inside

    def _owe(self, told: Told) -> None:
        if told.event not in BOOKED and not self._closed:
            self._clerk.post(self._outbox.put, told.event, told.document, told.at_ns)
        for woken in self._woken.values():
            woken.set()

    async def _serve(self, hook: Hook) -> None:
        while True:
            try:
                self._woken[hook.name].clear()
                pause_s = await self._round(hook)
            except sqlite3.Error as error:
                log.error("the outbox cannot be used", hook=hook.shown, error=str(error))
                pause_s = LOOK_S
            except Exception:  # a defect of ours: the other calls must go on
                log.exception("hook failed", hook=hook.shown)
                pause_s = LOOK_S
            if pause_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._woken[hook.name].wait()

    async def _round(self, hook: Hook) -> float:
        """Make what is due now, a few calls at once; return how long there is nothing to do."""
        now_ns = self._unix_ns()
        dropped = await self._clerk.do(self._outbox.drop, hook.name, now_ns - KEPT_NS)
        if dropped:
            self.results["dropped"] += dropped
            log.error("calls of a hook are given up", hook=hook.shown, calls=dropped)
        owed = await self._clerk.do(self._outbox.due, hook.name, now_ns, AT_ONCE)
        if owed:
            await asyncio.gather(*(self._deliver(hook, each) for each in owed))
            return 0
        next_ns = await self._clerk.do(self._outbox.next_due_ns, hook.name)
        return LOOK_S if next_ns is None else min(max((next_ns - now_ns) / 1e9, 0.001), LOOK_S)

    async def _deliver(self, hook: Hook, owed: Owed) -> None:
        told = owed.document if owed.document is not None else await self._booked(owed)
        try:
            if told is not None:  # else its history was removed meanwhile
                await hook.call(Call(f"tapdeck-{owed.number}", owed.event, told, self._unix_ns() // 1_000_000_000))
                self.results["delivered"] += 1
        except HookFailed as error:
            again_s = AGAIN_S[min(owed.tries, len(AGAIN_S) - 1)]
            self.results["failed"] += 1
            about = {"hook": hook.shown, "told": owed.event, "tries": owed.tries + 1}
            log.warning("hook failed", why=str(error), again_in_s=again_s, **about)
            await self._clerk.do(self._outbox.failed, owed.number, self._unix_ns() + again_s * 1_000_000_000)
        else:
            await self._clerk.do(self._outbox.delivered, owed.number)

    async def _booked(self, owed: Owed) -> bytes | None:
        """What the ledger says of an outcome."""
        ledger = self._clerk.ledger
        tap = await self._clerk.do(ledger.tap, str(owed.tap_id))
        if tap is None:
            return None
        if owed.event != "recording.ready":
            return document(owed.event, owed.made_ns, tap=of_tap(tap))
        found = await self._clerk.do(ledger.recording, tap.recording_id)
        if found is None:
            return None
        return document(owed.event, owed.made_ns, tap=of_tap(tap), recording=of_recording(found.summary))
