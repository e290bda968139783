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

import msgspec

from receiver.control.calls import Client
from receiver.control.means import NotNow
from receiver.control.orders import control_id
from receiver.control.taps import State, Tap
from receiver.ledger.rows import Summary, moment

NAMES: Final = (
    "tap.requested", "tap.listening", "tap.receiving", "tap.source_changed", "tap.finished", "recording.ready",
    "relay.up", "relay.down",
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
_OF_RECORDING: Final = (
    "recording_id", "call_id", "labels", "outcome", "ending", "file", "bytes", "sha256", "duration_s", "parts",
    "problem",
)  # fmt: skip


class Told(NamedTuple):
    """One event: its name, and a JSON document that says ``event``, ``at`` and what it is about."""

    event: str
    document: bytes


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
            self.tell(event, lambda: {"tap": _view(tap)})

    def source_changed(self, tap: Tap, seen: dict[str, Any]) -> None:
        """Another source is heard at a tap (rule B5); ``seen``: its address and port."""
        self.tell("tap.source_changed", lambda: {"tap": _view(tap), "seen": seen})

    def ready(self, tap: Tap, summary: Summary) -> None:
        """A recording's names are in ``ready/`` and in the ledger (rule C4)."""
        told = msgspec.to_builtins(summary)
        recording = {name: told[name] for name in _OF_RECORDING if told.get(name)} | {"file": summary.file}
        self.tell("recording.ready", lambda: {"tap": _view(tap), "recording": recording})

    def attend(self, client: Client) -> None:
        """Tell of the relay, too: that it hears us, that it does not any more and why."""
        client.listen(on_up=lambda restored: self._relay(True), on_down=lambda why: self._relay(False, why=why))

    def tell(self, event: str, about: Callable[[], dict[str, Any]]) -> None:
        """Put an event before all readers; nothing is made where nobody listens."""
        if self._readers:
            document = {"event": event, "at": moment(self._unix_ns()), **about()}
            told = Told(event, msgspec.json.encode(document))
            for reader in self._readers:
                reader.put(told)

    def _relay(self, is_up: bool, **more: str) -> None:
        if is_up is not self._relay_is_up:  # a relay that stays away says so at each try
            self._relay_is_up = is_up
            self.tell("relay.up" if is_up else "relay.down", lambda: {"relay": more})


def _view(tap: Tap) -> dict[str, Any]:
    """What an event says of a tap: who it is and how it stands, no secret (rule D9)."""
    wish = tap.wish
    members = {
        "id": tap.id, "recording_id": tap.recording_id, "state": tap.state.value, "call_id": wish.call_id,
        "node_id": wish.node_id, "control_id": control_id(tap), "direction": wish.direction,
        "ending": tap.ending, "outcome": tap.outcome, "problem": tap.problem,
    }  # fmt: skip
    return {name: value for name, value in members.items() if value is not None} | {"labels": dict(wish.labels)}
