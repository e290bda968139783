"""The public Python API: ``Client`` and ``Call``. SignalWire's page, row by row (contract, last section).

A `Client` keeps one session with the relay; calls and taps are moved by its events, by id, in whatever order and number
they come. A socket that falls moves nothing. When the session is restored, all goes on; when it is not, the calls of
before are out of our reach, and so that nobody waits for ever they end as ``lost``.
"""

import asyncio
import logging
import random
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final
from uuid import uuid4
from weakref import WeakValueDictionary

import structlog

from receiver.control import words
from receiver.control.call import Call, CallPlayback
from receiver.control.calltap import call_listener
from receiver.control.door import Door
from receiver.control.errors import RelayAway, RelayError
from receiver.control.relay import Credentials, Memory
from receiver.control.session import Session, Standing
from receiver.forms import relay_url

__all__ = ["Call", "CallPlayback", "Client", "DialFailed"]

CONNECT_S: Final = 30.0
DIAL_MORE_S: Final = 30.0  # beyond the time that the phone may ring
HOST: Final = "relay.signalwire.com"
REMEMBERED: Final = 1_024  # calls that have ended: what still comes of them may come late (rule D2)


class DialFailed(Exception):
    """Nobody was reached: ``reason`` is busy, noAnswer, decline, … or timeout."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Client:
    """One project's session with the relay. Made by `connect`, or put together and started."""

    def __init__(
        self, door: Door, credentials: Credentials, topics: Sequence[str] = (), dice: random.Random | None = None,
        memory: Memory | None = None,
    ) -> None:  # fmt: skip
        self._session = Session(
            door, credentials, topics, hear=self._hear, changed=self._stands, dice=dice, memory=memory
        )
        self._calls: dict[str, Call] = {}
        self._handles: WeakValueDictionary[str, Call] = WeakValueDictionary()
        """Calls that we were told of by others, and have heard nothing of: they last as long as somebody holds them."""
        self._over: dict[str, str | None] = {}
        """The newest calls that the relay said have ended, by id, with the reason."""
        self._dials: dict[str, asyncio.Future[Call]] = {}
        self._listeners: dict[str, list[Callable[..., Any]]] = {"on_call_received": [], "on_up": [], "on_down": []}
        self._tasks: set[asyncio.Future[Any]] = set()
        self._was_up = False

    @classmethod
    async def connect(
        cls, project: str, token: str, host: str = HOST, *, topics: Sequence[str] = (), ca_file: str | None = None
    ) -> "Client":
        """Connect and authenticate. Raises `RelayDenied`, `RelayAway` (after 30 s), ``ValueError`` (no such host)."""
        from receiver.control.websocket import WebDoor

        if not structlog.is_configured():  # nobody said how to log: no more than warnings, and not among the results
            structlog.configure(
                wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
                logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            )
        client = cls(WebDoor(relay_url(host), ca_file), Credentials(project, token), topics)
        client.start()
        try:
            await client.until_up(CONNECT_S)
        except BaseException:
            await client.close()
            raise
        return client

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Connect, and stay connected; nobody waits."""
        self._session.start()

    async def close(self) -> None:
        """Leave. Calls and taps are left as they are on the relay, and end here as ``lost``."""
        await self._session.close()
        self._lose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def up(self) -> bool:
        """Whether the relay can be asked now."""
        return self._session.up

    @property
    def standing(self) -> Standing:
        """How we stand with the relay, and why."""
        return self._session.standing

    @property
    def counts(self) -> Mapping[str, int]:
        """What came: sockets, events, unknown_events, nonsense."""
        return self._session.counts

    @property
    def calls(self) -> Mapping[str, Call]:
        """The calls that have not ended, by id, in the order in which we heard of them."""
        return MappingProxyType(self._calls)

    async def until_up(self, limit_s: float) -> None:
        """Wait until authenticated. Raises `RelayDenied`, `RelayAway`."""
        await self._session.until_up(limit_s)

    def receive(self, topics: Sequence[str]) -> None:
        """Receive calls on these topics from now on, and on no others; nobody waits."""
        before, self._session.topics = self._session.topics, tuple(topics)
        for method, names in (
            ("signalwire.receive", [each for each in topics if each not in before]),
            ("signalwire.unreceive", [each for each in before if each not in topics]),
        ):
            if names and self.up:
                self.spawn(self.execute(method, {"contexts": names}))

    def listen(
        self,
        on_call_received: Callable[[Call], Any] | None = None,
        on_up: Callable[[bool], Any] | None = None,
        on_down: Callable[[str], Any] | None = None,
    ) -> None:
        """Have functions (plain or async) called: with a `Call`; with whether the session is restored; with why not."""
        given = {"on_call_received": on_call_received, "on_up": on_up, "on_down": on_down}
        for name, listener in given.items():
            if listener is not None:
                self._listeners[name].append(listener)

    def call(self, call_id: str, node_id: str) -> Call:
        """Return the call that we know by this id, or a handle to one that somebody else made."""
        known = self._find(call_id)
        if known is None or known.has_ended:
            known = self._handles[call_id] = Call(self, words.CallState(call_id, node_id, "answered"))
            self._end_if_over(known)
        return known

    async def dial_phone(
        self, *, to: str, from_: str, timeout: int = 30, region: str | None = None,
        max_price_per_minute: float | None = None,
    ) -> Call:  # fmt: skip
        """Call a number and wait until somebody answers, who may be rung for ``timeout`` seconds.

        Raises `DialFailed`, `RelayError`, `RelayAway`.
        """
        tag = str(uuid4())
        answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        self._dials[tag] = answered
        try:
            params = words.dial_phone(tag, to, from_, timeout, region, max_price_per_minute)
            async with asyncio.timeout(timeout + DIAL_MORE_S):
                await self._ask_to_dial(params, answered)
                return await answered
        except TimeoutError:
            raise DialFailed("timeout") from None
        finally:
            del self._dials[tag]
            if not answered.cancel() and not answered.cancelled():
                answered.exception()  # seen, if it came in the turn in which something else did

    async def execute(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the relay anything. Raises `RelayError`, `RelayAway`."""
        return await self._session.execute(method, params)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Let something run beside, as long as this client lives. What it raises, the task tells whoever asks it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def drop(self, call: Call) -> None:
        """A call has ended: nobody need be told of it any more."""
        if self._calls.get(call.call_id) is call:
            del self._calls[call.call_id]

    # --- inside

    async def _ask_to_dial(self, params: words.Params, answered: "asyncio.Future[Call]") -> None:
        """The answered event may come before the answer to the question, or instead of it."""
        asking = asyncio.ensure_future(self.execute("calling.dial", params))
        try:
            either: list[asyncio.Future[Any]] = [asking, answered]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                try:
                    asking.result()
                except RelayError as error:
                    raise DialFailed(error.message or error.code) from error
            else:
                self._tasks.add(asking)
                asking.add_done_callback(self._done)
        except BaseException:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            raise

    def _done(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen; nobody may be waiting for it any more

    def _hear(self, event: words.Event) -> None:
        match event:
            case words.CallReceived(call=told) if told.call_id not in self._over:
                known = told.call_id in self._calls
                call = self._add(told)
                if not known:
                    self._tell("on_call_received", call)
            case words.CallState():
                self._hear_state(event)
            case words.Dialed():
                self._hear_dialed(event)
            case words.TapState() | words.PlayState():
                for call in self._named_by(event):
                    call.hear(event)

    def _named_by(self, event: words.TapState | words.PlayState) -> list[Call]:
        """The call that an event is about; where it does not say, any may have that tap."""
        if event.call_id is None:
            return [*self._calls.values(), *self._handles.values()]
        call = self._find(event.call_id)
        return [] if call is None else [call]

    def _hear_state(self, event: words.CallState) -> None:
        if event.state == "ended":
            self._remember(event.call_id, event.end_reason)
            if (call := self._find(event.call_id)) is not None:
                call.hear(event)
        else:
            self._add(event)

    def _hear_dialed(self, event: words.Dialed) -> None:
        if event.state == "failed":
            self._forget_dial(event)
        future = self._dials.get(event.tag)
        if future is None or future.done():
            return
        if event.state == "answered" and event.call is not None and event.call.node_id is not None:
            future.set_result(self._add(event.call))
        elif event.state == "failed":
            future.set_exception(DialFailed(event.reason or "failed"))

    def _forget_dial(self, event: words.Dialed) -> None:
        """Nobody was reached: the calls that it was tried with are over, whether each is said to be or not."""
        for call in [call for call in self._calls.values() if call.tag == event.tag]:
            self._remember(call.call_id, event.reason)
            call.end(event.reason, "call_ended")

    def _remember(self, call_id: str, reason: str | None) -> None:
        self._over.setdefault(call_id, reason)
        while len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]

    def _end_if_over(self, call: Call) -> None:
        if call.call_id in self._over:
            call.end(self._over[call.call_id], "call_ended")

    def _find(self, call_id: str) -> Call | None:
        return self._calls.get(call_id) or self._handles.get(call_id)

    def _add(self, told: words.CallState) -> Call:
        call = self._calls.get(told.call_id)
        if call is None:
            held = self._handles.pop(told.call_id, None)
            call = Call(self, told) if held is None or held.has_ended else held
            self._calls[told.call_id] = call
        call.hear(told)
        self._end_if_over(call)
        return call

    def _stands(self, standing: Standing, restored: bool) -> None:
        if standing.up:
            if not restored and self._was_up:
                self._lose()
            self._was_up = True
            self._tell("on_up", restored)
        else:
            self._tell("on_down", standing.why)

    def _lose(self) -> None:
        """The session of before is gone, and with it our reach to its calls."""
        for call in [*self._calls.values(), *self._handles.values()]:
            call.end("lost", "lost")
        for future in self._dials.values():
            if not future.done():
                future.set_exception(RelayAway("the session was lost while the phone rang"))

    def _tell(self, name: str, *told: Any) -> None:
        for listener in list(self._listeners[name]):  # one may add others, for later
            call_listener(self.spawn, listener, *told)
