"""RELAY's words, as sections 3, 5 and 6 of the protocol have them; read leniently."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.control import words
from tests.control.test_rpc import JSON

CALL = {
    "call_id": "c-1", "node_id": "n-1", "tag": "t-1", "direction": "outbound", "call_state": "answered",
    "device": {"type": "phone", "params": {"from_number": "+1", "to_number": "+2", "timeout": 30}},
}  # fmt: skip


def read(kind: str, **params: Any) -> words.Event | None:
    return words.read_event({"event_type": kind, "params": params})


def test_a_tap_says_type_and_params_even_where_they_are_empty() -> None:
    assert words.tap("c", "n", "t", {}, {"type": "ws", "params": {"uri": "wss://x"}}) == {
        "node_id": "n", "call_id": "c", "control_id": "t", "tap": {"type": "audio", "params": {}},
        "device": {"type": "ws", "params": {"uri": "wss://x"}},
    }  # fmt: skip


def test_a_dial_is_a_list_of_lists_of_devices() -> None:
    assert words.dial_phone("t", "+2", "+1", 30) == {
        "tag": "t",
        "devices": [[{"type": "phone", "params": {"to_number": "+2", "from_number": "+1", "timeout": 30}}]],
    }
    assert (
        words.dial_phone("t", "+2", "+1", 30, "us", 0.5).items()
        >= {"region": "us", "max_price_per_minute": 0.5}.items()
    )


def test_other_commands() -> None:
    assert words.tap_stop("t", "c", "n") == {"node_id": "n", "call_id": "c", "control_id": "t"}
    assert words.on_call("c", "n", reason="hangup") == {"node_id": "n", "call_id": "c", "reason": "hangup"}
    assert words.play_tts("c", "n", "p", "Hello", language="en", voice=None, volume=3) == {
        "node_id": "n", "call_id": "c", "control_id": "p", "volume": 3,
        "play": [{"type": "tts", "params": {"text": "Hello", "language": "en"}}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "good"), [("200", True), (201, True), (None, True), ("404", False), ("2000", False), ("", False)]
)
def test_any_2xx_is_success_and_so_is_no_code(code: Any, good: bool) -> None:
    assert words.success({} if code is None else {"code": code}) is good


def test_a_calls_state_is_read_with_its_numbers() -> None:
    told = read("calling.call.state", **CALL, end_reason="busy")
    assert told == words.CallState("c-1", "n-1", "answered", "t-1", "outbound", None, "+1", "+2", "busy")
    sip = read(
        "calling.call.state",
        call_id="c",
        call_state="ended",
        device={"type": "sip", "params": {"from": "a", "to": "b"}},
    )
    assert isinstance(sip, words.CallState)
    assert (sip.from_, sip.to, sip.node_id) == ("a", "b", None)


def test_an_inbound_call_has_its_context() -> None:
    told = read("calling.call.receive", call_id="c", node_id="n", context="office", direction="inbound")
    assert isinstance(told, words.CallReceived)
    assert (told.call.context, told.call.state) == ("office", "created")


def test_a_dial_is_answered_with_its_call_or_failed_with_its_reason() -> None:
    call = {name: value for name, value in CALL.items() if name not in ("node_id", "call_state")}
    told = read("calling.call.dial", node_id="n-7", tag="t-1", dial_state="answered", call=call)
    assert isinstance(told, words.Dialed)
    assert told.call is not None
    assert (told.call.node_id, told.call.state) == ("n-7", "answered")
    assert read("calling.call.dial", tag="t", dial_state="failed", reason="busy") == words.Dialed(
        "t", "failed", None, "busy"
    )


def test_a_taps_state_is_read() -> None:
    told = read("calling.call.tap", call_id="c", node_id="n", control_id="t", state="tapping", device={"type": "rtp"})
    assert told == words.TapState("c", "n", "t", "tapping", {"type": "rtp"})
    assert read("calling.call.play", control_id="p", state="finished") == words.PlayState(None, "p", "finished")


def test_d9_a_credential_shows_itself_to_nobody() -> None:
    told = read("signalwire.authorization.state", authorization_state="hush")
    assert isinstance(told, words.Authorization)
    assert told.blob == "hush"
    assert "hush" not in repr(told) + str(told)


@pytest.mark.parametrize(
    ("value", "number"), [("1234", 1234), (20, 20), ("x", None), (None, None), (True, None), (1.5, None)]
)
def test_numbers_may_be_texts(value: Any, number: int | None) -> None:
    assert words.number(value) == number


@pytest.mark.parametrize("kind", ["queuing.relay.tasks", "calling.call.record", None, 7])
def test_what_is_not_known_is_none(kind: Any) -> None:
    assert words.read_event({"event_type": kind, "params": CALL}) is None


FIELDS = ["call_id", "node_id", "tag", "call_state", "dial_state", "state", "control_id", "device", "call"]


@given(st.sampled_from(sorted(words._READERS)), JSON | st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_e_no_event_raises(kind: str, params: Any) -> None:
    words.read_event({"event_type": kind, "params": params})
