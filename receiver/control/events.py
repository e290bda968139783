"""What happens, told to whoever listens: each event is made once, and put before every reader.

A reader that is too slow does not hold the others up, nor fill the memory: when `MOST_WAITING` events wait for it, it
is let go. Nobody is told what happened before; state is asked for by the API.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from receiver.control.calls import Client
from receiver.control.documents import document, of_recording, of_tap
from receiver.control.means import NotNow
from receiver.control.orders import row
from receiver.control.taps import State, Tap
from receiver.ledger.rows import Summary

NAMES: Final = (
    "tap.requested", "tap.listening", "tap.receiving", "tap.source_changed", "tap.dtmf", "tap.paused", "tap.resumed",
    "tap.finished", "recording.ready", "relay.up", "relay.down", "storage.low",
)  # fmt: skip
"""Those of the contract that this version has."""
MOST_READERS: Final = 32
MOST_WAITING: Final = 1_000  # events for one reader, 0.5 kB each, shared by all; a report moves 250 taps at once
TOO_SLOW: Final = "too slow: events were left out"
GOING: Final = "the daemon goes down"

_OF_STATE: Final = {
    State.REQUESTED: "tap.requested", State.LISTENING: "tap.listening", State.RECEIVING: "tap.receiving",
    State.FINISHED: "tap.finished", State.FAILED: "tap.finished",
}  # fmt: skip


class Told(NamedTuple):
    """One event: its name, and a JSON document that says ``event``, ``at`` and what it is about."""

    event: str
    document: bytes
    at_ns: int


class Reader:
    """Who listens. ``over`` says why nothing more will come, None while more may."""

    def __init__(self) -> None:
        self._waiting: deque[Told] = deque()
        self._woken = asyncio.Event()
        self.over: str | None = None

    def put(self, told: Told) -> None:
        """Have it read; or, where too much waits already, let this reader go."""
        if len(self._waiting) >= MOST_WAITING:
            self.end(TOO_SLOW)
        if self.over is None:
            self._waiting.append(told)
            self._woken.set()

    def end(self, why: str) -> None:
        """Nothing more will come after what waits. The first reason stands."""
        self.over = self.over or why
        self._woken.set()

    async def read(self, limit_s: float) -> list[Told]:
        """Wait for the next events; none: the time is up, or it is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._woken.wait()
        told = list(self._waiting)
        self._waiting.clear()
        if self.over is None:
            self._woken.clear()
        return told


class Events:
    """Tells. ``unix_ns`` is the clock of ``at``."""

    def __init__(self, unix_ns: Callable[[], int] = time.time_ns) -> None:
        self._unix_ns = unix_ns
        self._readers: set[Reader] = set()
        self._also: list[Callable[[Told], None]] = []
        self._relay_is_up: bool | None = None
        self._closed = False

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Listen from now on. Raises `NotNow` where too many do."""
        if len(self._readers) >= MOST_READERS:
            raise NotNow("too_many_readers", f"{MOST_READERS} listen to events already", 10)
        reader = Reader()
        if self._closed:
            reader.end(GOING)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def close(self) -> None:
        """Let all readers go when they have read what waits."""
        self._closed = True
        for reader in self._readers:
            reader.end(GOING)

    def moved(self, tap: Tap) -> None:
        """A tap came into another state."""
        event = _OF_STATE.get(tap.state)
        if event is not None:
            self.tell(event, lambda: {"tap": of_tap(row(tap, None))})

    def source_changed(self, tap: Tap, seen: dict[str, Any]) -> None:
        """Another source is heard at a tap (rule B5); ``seen``: its address and port."""
        self.tell("tap.source_changed", lambda: {"tap": of_tap(row(tap, None)), "seen": seen})

    def dtmf(self, tap: Tap, pressed: dict[str, Any]) -> None:
        """A key was pressed (rule A8); ``pressed``: the digit, and for how many ms it was held."""
        self.tell("tap.dtmf", lambda: {"tap": of_tap(row(tap, None)), "dtmf": pressed})

    def turned(self, tap: Tap) -> None:
        """A tap was paused or goes on."""
        self.tell("tap.paused" if tap.paused else "tap.resumed", lambda: {"tap": of_tap(row(tap, None))})

    def ready(self, tap: Tap, summary: Summary) -> None:
        """A recording's names are in ``ready/`` and in the ledger (rule C4)."""
        self.tell("recording.ready", lambda: {"tap": of_tap(row(tap, None)), "recording": of_recording(summary)})

    def also(self, listener: Callable[[Told], None]) -> None:
        """Have a function called with each event from now on."""
        self._also.append(listener)

    def attend(self, client: Client) -> None:
        """Tell of the relay, too: that it hears us, that it does not any more and why."""
        client.listen(on_up=lambda restored: self._relay(True), on_down=lambda why: self._relay(False, why=why))

    def tell(self, event: str, about: Callable[[], dict[str, Any]]) -> None:
        """Put an event before all readers and hooks; nothing is made where nobody listens."""
        if self._readers or self._also:
            at_ns = self._unix_ns()
            told = Told(event, document(event, at_ns, **about()), at_ns)
            for reader in self._readers:
                reader.put(told)
            for listener in self._also:
                listener(told)

    def _relay(self, is_up: bool, **more: str) -> None:
        if is_up is not self._relay_is_up:  # a relay that stays away says so at each try
            self._relay_is_up = is_up
            self.tell("relay.up" if is_up else "relay.down", lambda: {"relay": more})

    def low(self, free_octets: int, needed_octets: int) -> None:
        """There is too little space for what lives (rule C6)."""
        self.tell("storage.low", lambda: {"storage": {"free_bytes": free_octets, "needed_bytes": needed_octets}})
