"""What a client may ask, and what the switch answers. Events that follow are told by ``conduct``.

Requests are worked on beside each other, as in the real one: what waits (a tap's start and stop) may be answered after
what came later. Only a tap's stop waits for its start.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from receiver.lab.switch import requests
from receiver.lab.switch.conduct import Conduct
from receiver.lab.switch.parties import REFUSED_NUMBER, Call, Session, Tap
from receiver.lab.switch.requests import Refused, Unknown
from receiver.lab.switch.sounds import Order

if TYPE_CHECKING:
    from receiver.lab.switch.exchange import Exchange

SPEECH_S: Final = 0.06  # for a character of text
MOST_SPEECH_S: Final = 30.0

Result = dict[str, Any]
After = Callable[[], None]
Done = tuple[Result, After]


def _nothing() -> None:
    """What a request brings about beside its answer."""


class Commands:
    """The methods of one exchange."""

    def __init__(self, exchange: "Exchange", conduct: Conduct) -> None:
        self._exchange, self._conduct = exchange, conduct
        self._methods: dict[str, Callable[[Session, Result], Awaitable[Done]]] = {
            "signalwire.receive": self._receive, "signalwire.unreceive": self._unreceive, "signalwire.ping": self._pong,
            "calling.dial": self._dial, "calling.answer": self._answer, "calling.pass": self._pass,
            "calling.end": self._end, "calling.tap": self._tap, "calling.tap.stop": self._tap_stop,
            "calling.play": self._play, "calling.play.stop": self._play_stop,
        }  # fmt: skip

    async def do(self, session: Session, method: str, params: Result) -> Done:
        """Do what is asked: the result, and what follows. Raises `Invalid`, `Refused`, `Unknown`."""
        if method not in self._methods:
            raise Unknown(method)
        return await self._methods[method](session, params)

    async def _receive(self, session: Session, params: Result) -> Done:
        session.contexts |= requests.contexts(params)
        return {"code": "200", "message": "Receiving"}, _nothing

    async def _unreceive(self, session: Session, params: Result) -> Done:
        session.contexts -= requests.contexts(params)
        return {"code": "200", "message": "Not receiving"}, _nothing

    async def _pong(self, session: Session, params: Result) -> Done:
        return {}, _nothing

    async def _dial(self, session: Session, params: Result) -> Done:
        """Only the first device is rung; a list of several is taken and not tried further."""
        (to, from_, rings_s), tag = requests.phone(params), requests.text(params, "tag")
        if to.endswith(REFUSED_NUMBER):
            raise Refused("400", f"{to} cannot be dialled")
        voice = self._exchange.voice_of(to)
        call = self._exchange.add(Call(session, "outbound", from_, to, voice, tag=tag, timeout_s=rings_s))
        return {"code": "200", "message": "Dialing"}, lambda: self._conduct.ring(call)

    async def _answer(self, session: Session, params: Result) -> Done:
        call = self._ringing(session, params)
        return {"code": "200", "message": "Answering"}, lambda: self._conduct.move(call, "answered")

    async def _pass(self, session: Session, params: Result) -> Done:
        call = self._ringing(session, params)
        return {"code": "200", "message": "Passed"}, lambda: self._conduct.finish(call, "noAnswer")

    async def _end(self, session: Session, params: Result) -> Done:
        call, reason = self._known(session, params), requests.reason(params)
        return {"code": "200", "message": "Ending"}, lambda: self._conduct.finish(call, reason)

    async def _tap(self, session: Session, params: Result) -> Done:
        call, wanted = self._answered(session, params), requests.tap(params)
        if wanted.control_id in call.taps:
            raise Refused("409", "a tap of this control id is live on the call")
        tap = self._exchange.add_tap(Tap(session, call, wanted.control_id, wanted.audio, wanted.device))
        try:
            await self._start(tap)
        finally:
            tap.settled.set()
        result: Result = {"code": "200", "message": "Tapping", "call_id": call.call_id, "control_id": tap.control_id}
        return result | self._source_of(tap), lambda: self._conduct.tapping(tap)

    async def _start(self, tap: Tap) -> None:
        """Have its sound started. Where its call ended meanwhile, ``Exchange.quiet`` stops it again."""
        order = Order(tap.sound, tap.device, tap.call.voice, self._exchange.caller_of(tap))
        try:
            tap.source = await self._exchange.sounds.start(order, self._conduct.over)
        except OSError as error:
            self._conduct.tapped(tap)
            raise Refused("500", f"the media cannot be sent: {error.strerror or error}") from None
        if tap.state == "finished":
            raise Refused("404", "the call has ended")

    async def _tap_stop(self, session: Session, params: Result) -> Done:
        call, control_id = self._known(session, params), requests.text(params, "control_id")
        tap = call.taps.get(control_id)
        if tap is not None:
            await self._exchange.quiet(tap)
        if tap is None or tap.state == "finished":
            raise Refused("404", "there is no such tap")
        result = {"code": "200", "message": "Stopping", "call_id": call.call_id, "control_id": control_id}
        return result, lambda: self._conduct.tapped(tap)

    async def _play(self, session: Session, params: Result) -> Done:
        call, control_id = self._answered(session, params), requests.text(params, "control_id")
        length_s = sum(_length_s(each) for each in requests.plays(params))
        if control_id in call.plays:
            raise Refused("409", "a play of this control id is live on the call")
        result = {"code": "200", "message": "Playing", "call_id": call.call_id, "control_id": control_id}
        return result, lambda: self._conduct.playing(call, control_id, min(length_s, MOST_SPEECH_S))

    async def _play_stop(self, session: Session, params: Result) -> Done:
        call, control_id = self._known(session, params), requests.text(params, "control_id")
        if control_id not in call.plays:
            raise Refused("404", "there is no such play")
        result = {"code": "200", "message": "Stopping", "call_id": call.call_id, "control_id": control_id}
        return result, lambda: self._conduct.played(call, control_id)

    def _known(self, session: Session, params: Result) -> Call:
        """The call that a request is about: of this project, and of a session that is still known."""
        call_id, node_id = requests.text(params, "call_id"), requests.text(params, "node_id")
        call = self._exchange.calls.get(call_id)
        if call is None or call.session.project != session.project or call.session.forgotten:
            raise Refused("404", "there is no such call")
        if call.node_id != node_id:
            raise Refused("404", "there is no such call on this node")
        return call

    def _answered(self, session: Session, params: Result) -> Call:
        call = self._known(session, params)
        if call.state != "answered":
            raise Refused("400", "the call is not answered")
        return call

    def _ringing(self, session: Session, params: Result) -> Call:
        call = self._known(session, params)
        if call.direction != "inbound" or call.state != "ringing":
            raise Refused("400", "not an inbound call that rings")
        return call

    def _source_of(self, tap: Tap) -> Result:
        """What the answer says of a tap's source."""
        kind = self._exchange.faults.source_device
        if tap.source is None or kind == "none":
            return {}
        source = dict(tap.source)
        if kind == "wrong" and isinstance(source.get("port"), int):
            source["port"] = source["port"] % 65_535 + 1
        if kind == "texts":
            source = {name: str(value) for name, value in source.items()}
        return {"source_device": {"type": tap.device["type"], "params": source}}


def _length_s(played: Result) -> float:
    params = played.get("params")
    told = params if isinstance(params, dict) else {}
    if played.get("type") == "silence":
        return requests.number(told, "duration", 0.0)
    return SPEECH_S * len(str(told.get("text", "")))
