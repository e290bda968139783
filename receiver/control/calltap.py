"""``CallTap``: one tap on a call, as SignalWire's CallTap page has it.

::

    created ──tapping──▶ tapping ──finished, call ended, gone, lost──▶ finished
       └────────────refused, or any of these before it began───────────────▲

``ending`` says which of them it was. It is moved by events (by control id, in any order, any number of times), by the
end of its call, and by answers; whoever waits is woken by each of them.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog

from receiver.control import words
from receiver.control.devices import Device, read_device
from receiver.control.errors import RelayAway, RelayError

if TYPE_CHECKING:
    from receiver.control.calls import Call

STARTED_S: Final = 30.0
STOPPED_S: Final = 2.0  # for `finished` after the relay said yes to a stop; then its yes is taken for it
LISTENERS: Final = frozenset({"on_started", "on_ended"})

log = structlog.get_logger("relay")


class TapRefused(RelayError):
    """The relay will not tap, or the tap ended before it began. ``tap`` is what there is of it."""

    def __init__(self, tap: "CallTap", code: str, message: str) -> None:
        super().__init__(code, message)
        self.tap = tap


class CallTap:
    """A current or past tapping of a call."""

    def __init__(self, call: "Call", control_id: str, state: str = "created") -> None:
        self.call = call
        self.id = control_id
        self.state = state
        self.ending: str | None = None  # finished, call_ended, gone, refused, lost
        self.error: Exception | None = None
        self.device: Device | None = None  # our destination, as the relay understood it
        self.source_device: Device | None = None  # from where the relay says that it sends
        self._listeners: dict[str, list[Callable[[CallTap], Any]]] = {name: [] for name in LISTENERS}
        self._moved = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"CallTap(id={self.id!r}, state={self.state!r})"

    @property
    def has_ended(self) -> bool:
        """Whether it is over, also after a refusal."""
        return self.state == "finished"

    def listen(
        self,
        on_started: "Callable[[CallTap], Any] | None" = None,
        on_ended: "Callable[[CallTap], Any] | None" = None,
    ) -> None:
        """Have functions (plain or async) called with this tap. What happened before is not told again."""
        for name, listener in (("on_started", on_started), ("on_ended", on_ended)):
            if listener is not None:
                self._listeners[name].append(listener)

    async def started(self, limit_s: float = STARTED_S) -> "CallTap":
        """Wait until the tapping starts. Raises `TapRefused` if it ended before, ``TimeoutError`` after ``limit_s``."""
        async with asyncio.timeout(limit_s):
            while self.state == "created":
                await self._wait()
        if self.state == "finished" and isinstance(self.error, TapRefused):
            raise self.error
        return self

    async def ended(self) -> "CallTap":
        """Wait until the tap is over. By its nature without a bound of its own: it is woken by the relay's event, the
        end of the call, a refusal, a stop, and the loss of the session."""
        while not self.has_ended:
            await self._wait()
        return self

    async def stop(self) -> "CallTap":
        """Stop it; return when it is over. Twice is once. Raises `RelayAway`, `RelayError`."""
        if not self.has_ended:
            if self._stopping is None or self._stopping.done():
                self._stopping = self.call.client.spawn(self._stop())
            await joined(self._stopping)
        return self

    # --- told by the call

    def begin(self, result: Mapping[str, Any]) -> None:
        """The relay has accepted it."""
        self.source_device = read_device(result.get("source_device"))

    def hear(self, event: words.TapState) -> None:
        """An event about it. Twice is once."""
        self.device = read_device(event.device) or self.device
        if event.state == "tapping" and self.state == "created":
            self.state = "tapping"
            self._tell("on_started")
        elif event.state == "finished":
            self.end("finished")

    def end(self, ending: str, error: Exception | None = None) -> None:
        """It is over; the first ending stands."""
        if self.has_ended:
            return
        if self.state == "created" and error is None:
            error = TapRefused(self, "", f"the tap ended before it began ({ending})")
        self.state, self.ending, self.error = "finished", ending, error
        self.call.forget(self)
        self._tell("on_ended")

    # --- inside

    async def _stop(self) -> None:
        client, call = self.call.client, self.call
        try:
            await client.execute("calling.tap.stop", words.tap_stop(self.id, call.call_id, call.node_id))
        except RelayError as error:
            if not error.gone:
                raise
            self.end("gone")
        try:
            async with asyncio.timeout(STOPPED_S):
                await self.ended()
        except TimeoutError:
            self.end("finished")

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def _tell(self, name: str) -> None:
        self._moved.set()
        for listener in list(self._listeners[name]):  # one may add others, for later
            call_listener(self.call.client.spawn, listener, self)


async def joined(task: "asyncio.Task[None]") -> None:
    """Wait for what others may wait for too: who is cancelled here leaves it running. Raises what it raised, and
    `RelayAway` where it was called off because the client was closed."""
    await asyncio.wait([task])
    if task.cancelled():
        raise RelayAway("the client was closed")
    task.result()


def call_listener(spawn: Callable[[Coroutine[Any, Any, Any]], Any], listener: Callable[..., Any], *told: Any) -> None:
    """Call what somebody gave us, plain or async: what it raises is logged and goes nowhere else."""
    try:
        result = listener(*told)
    except Exception:
        log.exception("a listener failed", listener=getattr(listener, "__qualname__", repr(listener)))
        return
    if inspect.isawaitable(result):
        spawn(_guarded(result, listener))


async def _guarded(work: Any, listener: Callable[..., Any]) -> None:
    try:
        await work
    except Exception:
        log.exception("a listener failed", listener=getattr(listener, "__qualname__", repr(listener)))
