"""RELAY on one socket, without the socket: a table, acks first, and what outlives it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.control import words
from receiver.control.relay import (
    AGENT,
    NEXT,
    Credentials,
    Draining,
    Greeted,
    Heard,
    Memory,
    Phase,
    Refused,
    Relay,
    Step,
)  # fmt: skip
from receiver.control.rpc import Answered, Nonsense
from tests.control.test_rpc import JSON

KEYS = Credentials("project-1", "PTsecret")


def begun(memory: Memory | None = None, topics: tuple[str, ...] = ()) -> tuple[Relay, dict[str, Any]]:
    """A socket that has said who we are, and what it said."""
    relay = Relay(KEYS, memory or Memory(), topics)
    relay.begin()
    (text,) = relay.take()
    return relay, json.loads(text)


def greeted(memory: Memory | None = None, **more: Any) -> tuple[Relay, list[Any]]:
    relay, said = begun(memory)
    result = {"protocol": "signalwire_s_x_p"} | more
    return relay, list(relay.receive(json.dumps({"id": said["id"], "result": result})))


def ask(method: str, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": "q-1", "method": method, "params": params})


def answers(relay: Relay) -> list[Any]:
    return [json.loads(text)["result"] for text in relay.take()]


def test_the_table_has_a_row_for_each_phase_and_no_way_out_of_over() -> None:
    assert set(NEXT) == set(Phase)
    assert NEXT[Phase.OVER] == {}
    assert all(Step.LOST in ways for phase, ways in NEXT.items() if phase is not Phase.OVER)


def test_connect_says_version_agent_keys_and_topics() -> None:
    _, said = begun(topics=("office",))
    assert said["method"] == "signalwire.connect"
    assert said["params"] == {
        "version": {"major": 3, "minor": 0, "revision": 0}, "agent": AGENT, "event_acks": True,
        "authentication": {"project": "project-1", "token": "PTsecret"}, "contexts": ["office"],
    }  # fmt: skip


def test_the_session_of_before_is_offered() -> None:
    memory = Memory("signalwire_s_x_p", "blob")
    _, said = begun(memory)
    assert (said["params"]["protocol"], said["params"]["authorization_state"]) == ("signalwire_s_x_p", "blob")


@pytest.mark.parametrize(
    ("offered", "more", "restored"),
    [
        (None, {}, False), ("signalwire_s_x_p", {}, True), ("signalwire_other", {}, False),
        ("signalwire_s_x_p", {"session_restored": False}, False),
        ("signalwire_other", {"session_restored": True}, True),
        (None, {"session_restored": True}, False),
    ],
)  # fmt: skip
def test_whether_it_is_restored_is_told_or_seen_by_its_name(offered: str | None, more: Any, restored: bool) -> None:
    memory = Memory(offered)
    relay, happened = greeted(memory, **more)
    assert happened == [Greeted(restored)]
    assert (relay.phase, memory.protocol) == (Phase.UP, "signalwire_s_x_p")


@pytest.mark.parametrize(
    "answer", [{"error": {"code": -32002, "message": "401"}}, {"result": {}}, {"result": {"protocol": 7}}]
)
def test_refused_is_over(answer: dict[str, Any]) -> None:
    relay, said = begun()
    (happened,) = relay.receive(json.dumps({"id": said["id"], **answer}))
    assert isinstance(happened, Refused)
    assert relay.phase is Phase.OVER
    assert relay.call("calling.tap", {}) is None


def test_nothing_may_be_asked_before_the_greeting() -> None:
    relay, _ = begun()
    assert relay.call("calling.tap", {}) is None
    assert relay.take() == []


def test_an_event_is_acked_before_anybody_hears_of_it() -> None:
    relay, _ = greeted()
    event = {"event_type": "calling.call.tap", "params": {"control_id": "t", "state": "tapping"}}
    assert relay.receive(ask("signalwire.event", **event)) == [Heard(words.TapState(None, None, "t", "tapping", None))]
    assert answers(relay) == [{}]
    assert relay.receive(ask("signalwire.event", event_type="queuing.relay.tasks")) == [Heard(None)]
    assert answers(relay) == [{}]


def test_a_ping_is_echoed() -> None:
    relay, _ = greeted()
    assert relay.receive(ask("signalwire.ping", timestamp=1.5)) == []
    assert relay.receive(ask("signalwire.ping")) == []
    assert answers(relay) == [{"timestamp": 1.5}, {}]


def test_e_a_ping_as_deep_as_can_be_read_does_not_raise() -> None:
    relay, _ = greeted()
    read = 0
    for depth in range(1, 1_100):
        deep = "[" * depth + "]" * depth
        happened = relay.receive(f'{{"id":"p","method":"signalwire.ping","params":{{"timestamp":{deep}}}}}')
        read += not happened
        assert answers(relay) == ([] if happened else [{}])
    assert 0 < read < 1_099


def test_the_state_for_next_time_is_kept_and_nobody_is_told() -> None:
    memory = Memory()
    relay, _ = greeted(memory)
    told = {"event_type": "signalwire.authorization.state", "params": {"authorization_state": "blob"}}
    assert relay.receive(ask("signalwire.event", **told)) == []
    assert memory.authorization_state == "blob"
    assert "blob" not in repr(memory)


@pytest.mark.parametrize("restart", [True, False])
def test_a_farewell_is_acked_and_nothing_is_asked_after_it(restart: bool) -> None:
    memory = Memory(None, "blob")
    relay, _ = greeted(memory)
    number = relay.call("calling.tap", {})
    relay.take()
    assert relay.receive(ask("signalwire.disconnect", restart=restart)) == [Draining(restart)]
    assert answers(relay) == [{}]
    assert relay.call("calling.tap.stop", {}) is None
    assert (memory.protocol is None, memory.authorization_state is None) == (restart, restart)
    (late,) = relay.receive(json.dumps({"id": number, "result": {"code": "200"}}))
    assert isinstance(late, Answered)
    assert relay.receive(ask("signalwire.disconnect", restart=restart)) == []  # twice is once


def test_a_greeting_after_the_farewell_is_nonsense_and_learns_nothing() -> None:
    memory = Memory()
    relay, said = begun(memory)
    assert relay.receive(ask("signalwire.disconnect")) == [Draining(False)]
    (happened,) = relay.receive(json.dumps({"id": said["id"], "result": {"protocol": "signalwire_s_x_p"}}))
    assert isinstance(happened, Nonsense)
    assert memory.protocol is None


def test_what_comes_after_the_end_is_nothing() -> None:
    relay, _ = greeted()
    relay.lost()
    assert relay.receive(ask("signalwire.ping")) == []
    assert relay.take() == []


def test_d9_no_secret_is_shown() -> None:
    shown = repr(KEYS) + repr(Memory("proto", "blob")) + str(KEYS)
    assert not [secret for secret in ("PTsecret", "project-1", "proto", "blob") if secret in shown]


def read(text: str) -> dict[str, Any]:
    """An object; empty for anything else."""
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return {}
    return told if isinstance(told, dict) else {}


METHODS = ["signalwire.ping", "signalwire.event", "signalwire.disconnect", "calling.unheard"]


@given(st.lists(st.text(max_size=20) | JSON.map(json.dumps) | st.builds(
    lambda method, number, params: json.dumps({"method": method, "id": number, "params": params}),
    st.sampled_from(METHODS), st.text(max_size=3) | st.integers(0, 3), JSON), max_size=12))  # fmt: skip
def test_e_no_texts_raise_and_each_question_with_an_id_is_answered_once(texts: list[str]) -> None:
    relay, _ = greeted()
    for text in texts:
        before = relay.phase
        happened = relay.receive(text)
        said = relay.take()
        told = read(text)
        is_question = isinstance(told.get("method"), str) and told.get("id") is not None
        if is_question and isinstance(told["id"], str | int) and not isinstance(told["id"], bool):
            assert [json.loads(each)["id"] for each in said] == [told["id"]]
        elif not is_question:
            assert said == []
            assert before is Phase.OVER or all(isinstance(each, Nonsense | Heard) for each in happened)
