"""``Call`` and ``CallPlayback``: one call, as SignalWire's page has it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from receiver.control import words
from receiver.control.calltap import LISTENERS, CallTap, TapRefused, call_listener, joined
from receiver.control.devices import Device
from receiver.control.errors import RelayAway, RelayError

if TYPE_CHECKING:
    from receiver.control.calls import Client

ANSWERED_S: Final = 30.0
ENDED_S: Final = 10.0
SPOKEN_S: Final = 15.0
SPOKEN_S_A_CHARACTER: Final = 0.2
ORDER: Final = {"created": 0, "ringing": 1, "answered": 2, "ending": 3, "ended": 4}


class CallPlayback:
    """Something that is played into a call. ``state``: created, playing, paused, then finished or error."""

    def __init__(self, call: "Call", control_id: str) -> None:
        self.call, self.id, self.state = call, control_id, "created"
        self.moved = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.state in ("finished", "error")

    async def ended(self) -> "CallPlayback":
        """Wait until it is over, or the call is. Without a bound of its own: a text may be long."""
        while not self.has_ended:
            self.moved.clear()
            await self.moved.wait()
        return self

    def move(self, state: str) -> None:
        """The relay says so, or the call has ended."""
        if not self.has_ended:
            self.state = state
            self.moved.set()


class Call:
    """A call, outbound or inbound. What the relay did not tell is None."""

    def __init__(self, client: "Client", told: words.CallState) -> None:
        self.client = client
        self.call_id = told.call_id
        self.node_id = told.node_id or ""
        self.state = told.state
        self.direction: str | None = None
        self.context: str | None = None
        self.tag: str | None = None
        self.from_: str | None = None
        self.to: str | None = None
        self.end_reason: str | None = None
        self._taps: dict[str, CallTap] = {}
        self._plays: dict[str, CallPlayback] = {}
        self._listeners: list[Callable[[Call], Any]] = []
        self._moved = asyncio.Event()
        self._hanging_up: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Call(id={self.call_id!r}, state={self.state!r})"

    @property
    def id(self) -> str:
        """The call's id."""
        return self.call_id

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.state == "ended"

    def listen(self, on_state: "Callable[[Call], Any]") -> None:
        """Have a function (plain or async) called with this call at each new state."""
        self._listeners.append(on_state)

    async def answer(self) -> "Call":
        """Answer it; return when that is so. Raises `RelayError`, `RelayAway`, ``TimeoutError`` after 30 s."""
        await self._execute("calling.answer", words.on_call(self.call_id, self.node_id))
        async with asyncio.timeout(ANSWERED_S):
            await self._until("answered")
        if self.has_ended:
            raise RelayError("", f"the call ended before it was answered ({self.end_reason or 'no reason told'})")
        return self

    async def hangup(self, reason: str = "hangup") -> None:
        """End it; return when it has ended, or after 10 s. Twice is once. Raises `RelayError`, `RelayAway`."""
        if not self.has_ended:
            if self._hanging_up is None or self._hanging_up.done():
                self._hanging_up = self.client.spawn(self._hang_up(reason))
            await joined(self._hanging_up)

    async def ended(self) -> "Call":
        """Wait until it is over: by the relay's event, or by the loss of the session. Without a bound of its own."""
        await self._until("ended")
        return self

    async def play_tts(
        self, text: str, *, language: str | None = None, gender: str | None = None, voice: str | None = None,
        volume: float | None = None,
    ) -> CallPlayback:  # fmt: skip
        """Speak a text; return when it has been spoken, as the page's ``playTTS`` does: what follows may hang up.

        If the relay does not say so in the time that the text may take, ``state`` is still ``playing``. Raises
        `RelayError`, `RelayAway`.
        """
        play = CallPlayback(self, str(uuid4()))
        self._plays[play.id] = play
        try:
            params = words.play_tts(
                self.call_id, self.node_id, play.id, text, language=language, gender=gender, voice=voice, volume=volume
            )
            await self._execute("calling.play", params)
            async with asyncio.timeout(SPOKEN_S + SPOKEN_S_A_CHARACTER * len(text)):
                await play.ended()
        except TimeoutError:
            play.move("playing")  # the relay said yes to it, and nothing since
        finally:
            self._plays.pop(play.id, None)
        if play.state == "error":
            raise RelayError("", "the relay could not play it")
        return play

    async def tap_audio(
        self, *, direction: str, device: Device, listen: Mapping[str, Callable[[CallTap], Any]] | None = None,
        control_id: str | None = None,
    ) -> CallTap:  # fmt: skip
        """`tap` with a direction: ``speak``, ``listen`` or ``both``."""
        return await self.tap(audio={"direction": direction}, device=device, listen=listen, control_id=control_id)

    async def tap(
        self, *, audio: Mapping[str, Any], device: Device,
        listen: Mapping[str, Callable[[CallTap], Any]] | None = None, control_id: str | None = None,
    ) -> CallTap:  # fmt: skip
        """Tap the call; return when the relay has accepted it. ``listen``: ``on_started``, ``on_ended``.

        Raises `TapRefused`; `RelayAway` where nobody knows whether it was heard; ``ValueError`` for what is no tap, or
        a ``control_id`` that a tap of this call has.
        """
        if unknown := set(listen or ()) - LISTENERS:
            raise ValueError(f"listen: expected {', '.join(sorted(LISTENERS))}, found {', '.join(sorted(unknown))}")
        if control_id in self._taps:
            raise ValueError("control_id: a tap of this call has it already")
        wire = device.wire()
        tap = CallTap(self, control_id or str(uuid4()))
        tap.listen(**(listen or {}))
        self._taps[tap.id] = tap  # events may come before the answer
        if self.has_ended:
            tap.end("call_ended")
            raise TapRefused(tap, "404", "the call has ended")
        try:
            result = await self._execute("calling.tap", words.tap(self.call_id, self.node_id, tap.id, audio, wire))
        except RelayError as error:
            refused = TapRefused(tap, error.code, error.message)
            tap.end("refused", refused)
            raise refused from None
        except RelayAway:
            if tap.state == "created":
                self._taps.pop(tap.id, None)
                raise
            result = {}  # an event said what the answer would have
        tap.begin(result)
        return tap

    def take_up(self, control_id: str) -> CallTap:
        """A tap that runs on this call, started by whoever was here before us: it can be heard of, and stopped."""
        tap = self._taps[control_id] = CallTap(self, control_id, state="tapping")
        return tap

    # --- told by the client

    def hear(self, event: words.CallState | words.TapState | words.PlayState) -> None:
        """An event about this call. States only go forward; twice is once."""
        match event:
            case words.TapState() if event.control_id in self._taps:
                self._taps[event.control_id].hear(event)
            case words.PlayState() if event.control_id in self._plays:
                self._plays[event.control_id].move(event.state)
                if self._plays[event.control_id].has_ended:
                    del self._plays[event.control_id]
            case words.CallState():
                self._hear_state(event)

    def end(self, reason: str | None, taps: str) -> None:
        """It is over, and so are its taps, whether the relay says so of each or not."""
        if self.has_ended:
            return
        self.state, self.end_reason = "ended", reason
        self.client.drop(self)
        for tap in list(self._taps.values()):
            tap.end(taps)
        for play in self._plays.values():
            play.move("finished")
        self._plays.clear()
        self._tell()

    def forget(self, tap: CallTap) -> None:
        """A tap has ended."""
        self._taps.pop(tap.id, None)

    # --- inside

    def _hear_state(self, event: words.CallState) -> None:
        self.node_id = event.node_id or self.node_id
        for name in ("direction", "context", "tag", "from_", "to"):
            setattr(self, name, getattr(self, name) or getattr(event, name))
        if event.state == "ended":
            self.end(event.end_reason, "call_ended")
        elif ORDER.get(event.state, -1) > ORDER.get(self.state, -1):
            self.state = event.state
            self._tell()

    async def _hang_up(self, reason: str) -> None:
        await self._execute("calling.end", words.on_call(self.call_id, self.node_id, reason=reason))
        try:
            async with asyncio.timeout(ENDED_S):
                await self._until("ended")
        except TimeoutError:
            self.end(reason, "call_ended")  # the relay said yes

    async def _until(self, state: str) -> None:
        while ORDER.get(self.state, -1) < ORDER[state]:
            self._moved.clear()
            await self._moved.wait()

    async def _execute(self, method: str, params: words.Params) -> dict[str, Any]:
        """Ask about this call; that it is gone is the end of it."""
        try:
            return await self.client.execute(method, params)
        except RelayError as error:
            if error.gone:
                self.end("not_found", "gone")
                if method == "calling.end":
                    return {}
            raise

    def _tell(self) -> None:
        self._moved.set()
        for listener in list(self._listeners):  # one may add others, for later
            call_listener(self.client.spawn, listener, self)
