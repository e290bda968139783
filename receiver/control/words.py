"""RELAY's words: what we say (params of methods) and what we hear (events as structs). Pure.

Leniently read, as the protocol's own clients do: numbers may be texts, fields may be missing, unknown types are None
(relay-protocol, sections 3, 5 and 6).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

Params = dict[str, Any]
GONE: Final = frozenset({"404", "410"})
_SUCCESS: Final = re.compile(r"2\d\d")


class CallState(Struct, frozen=True):
    """``calling.call.state``: a call came into a state."""

    call_id: str
    node_id: str | None
    state: str
    tag: str | None = None
    direction: str | None = None
    context: str | None = None
    from_: str | None = None
    to: str | None = None
    end_reason: str | None = None


class CallReceived(Struct, frozen=True):
    """``calling.call.receive``: somebody calls."""

    call: CallState


class Dialed(Struct, frozen=True):
    """``calling.call.dial``: what became of a dial, by its tag. ``call`` is there when it was answered."""

    tag: str
    state: str
    call: CallState | None
    reason: str | None


class TapState(Struct, frozen=True):
    """``calling.call.tap``: a tap came into a state. ``device`` is our destination as the relay understood it."""

    call_id: str | None
    node_id: str | None
    control_id: str
    state: str
    device: Params | None


class PlayState(Struct, frozen=True):
    """``calling.call.play``."""

    call_id: str | None
    control_id: str
    state: str


class Authorization(Struct, frozen=True):
    """``signalwire.authorization.state``: a credential for the next socket; it is never shown."""

    blob: str

    def __repr__(self) -> str:
        return "Authorization(********)"


Event = CallState | CallReceived | Dialed | TapState | PlayState | Authorization


# --- what we say ----------------------------------------------------------------------------------------------


def dial_phone(
    tag: str, to: str, from_: str, timeout_s: int, region: str | None = None, max_price_per_minute: float | None = None
) -> Params:
    """``calling.dial`` of one phone number."""
    phone = {"to_number": to, "from_number": from_, "timeout": timeout_s}
    more = {"region": region, "max_price_per_minute": max_price_per_minute}
    told = {name: value for name, value in more.items() if value is not None}
    return {"tag": tag, "devices": [[{"type": "phone", "params": phone}]], **told}


def on_call(call_id: str, node_id: str, **more: Any) -> Params:
    """What every command on a call begins with; for ``calling.answer`` it is all."""
    return {"node_id": node_id, "call_id": call_id, **more}


def tap(call_id: str, node_id: str, control_id: str, audio: Mapping[str, Any], device: Mapping[str, Any]) -> Params:
    """``calling.tap``. ``device`` in wire form: ``{"type", "params"}``."""
    return on_call(
        call_id, node_id, control_id=control_id, tap={"type": "audio", "params": dict(audio)}, device=dict(device)
    )


def tap_stop(control_id: str, call_id: str, node_id: str) -> Params:
    """``calling.tap.stop``."""
    return on_call(call_id, node_id, control_id=control_id)


def play_tts(call_id: str, node_id: str, control_id: str, text: str, **voice: Any) -> Params:
    """``calling.play`` of a text that is spoken; ``voice``: language, gender, voice, volume."""
    volume = voice.pop("volume", None)
    told = {name: value for name, value in voice.items() if value is not None}
    play = [{"type": "tts", "params": {"text": text, **told}}]
    return on_call(
        call_id, node_id, control_id=control_id, play=play, **({} if volume is None else {"volume": volume})
    )


# --- what we hear ---------------------------------------------------------------------------------------------


def success(result: Mapping[str, Any]) -> bool:
    """Whether a result says that it was done: any 2xx, as text or number, or no code at all."""
    code = result.get("code")
    return code is None or bool(_SUCCESS.fullmatch(str(code)))


def number(value: Any) -> int | None:
    """A number that may come as text."""
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


def read_event(envelope: Mapping[str, Any]) -> Event | None:
    """Read ``{"event_type", "params"}``; None for an unknown type, or one that does not say what it is about."""
    kind, params = envelope.get("event_type"), envelope.get("params")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    return reader(params) if reader is not None and isinstance(params, dict) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _call(params: Params) -> CallState | None:
    call_id, state = _text(params.get("call_id")), _text(params.get("call_state"))
    if call_id is None or state is None:
        return None
    device = params.get("device")
    phone = device.get("params") if isinstance(device, dict) else None
    numbers = phone if isinstance(phone, dict) else {}
    return CallState(
        call_id=call_id,
        node_id=_text(params.get("node_id")),
        state=state,
        tag=_text(params.get("tag")),
        direction=_text(params.get("direction")),
        context=_text(params.get("context")),
        from_=_text(numbers.get("from_number")) or _text(numbers.get("from")),
        to=_text(numbers.get("to_number")) or _text(numbers.get("to")),
        end_reason=_text(params.get("end_reason")),
    )


def _received(params: Params) -> CallReceived | None:
    call = _call({"call_state": "created", **params})
    return None if call is None else CallReceived(call)


def _dialed(params: Params) -> Dialed | None:
    tag, state, call = _text(params.get("tag")), _text(params.get("dial_state")), params.get("call")
    if tag is None or state is None:
        return None
    answered = None
    if isinstance(call, dict):
        answered = _call({"call_state": "answered", "node_id": params.get("node_id"), **call})
    return Dialed(tag, state, answered, _text(params.get("reason")))


def _tap(params: Params) -> TapState | None:
    control_id, state, device = _text(params.get("control_id")), _text(params.get("state")), params.get("device")
    if control_id is None or state is None:
        return None
    call_id, node_id = _text(params.get("call_id")), _text(params.get("node_id"))
    return TapState(call_id, node_id, control_id, state, device if isinstance(device, dict) else None)


def _play(params: Params) -> PlayState | None:
    control_id, state = _text(params.get("control_id")), _text(params.get("state"))
    return None if control_id is None or state is None else PlayState(_text(params.get("call_id")), control_id, state)


def _authorization(params: Params) -> Authorization | None:
    blob = _text(params.get("authorization_state"))
    return None if blob is None else Authorization(blob)


_READERS: Final[Mapping[str, Callable[[Params], Event | None]]] = {
    "calling.call.state": _call,
    "calling.call.receive": _received,
    "calling.call.dial": _dialed,
    "calling.call.tap": _tap,
    "calling.call.play": _play,
    "signalwire.authorization.state": _authorization,
}
