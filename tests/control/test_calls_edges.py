"""The client where events come late, again, or about what is over: nothing is brought back, nothing grows."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.control import words
from receiver.control.call import Call
from receiver.control.calls import Client, DialFailed
from receiver.control.calltap import TapRefused
from receiver.control.relay import Credentials
from tests import virtual
from tests.control.clientworld import DEVICE
from tests.control.relaypeer import Line, RelayPeer, connected, greet

STATES = ["created", "ringing", "answered", "ending"]


@pytest.mark.parametrize("late", STATES)
def test_d2_what_comes_late_of_a_call_that_has_ended_does_not_bring_it_back(late: str) -> None:
    async def whole() -> None:
        peer, client = await connected()
        received: list[Call] = []
        client.listen(on_call_received=received.append)
        held = client.call("held", "n")
        for call_id in ("held", "seen", "never seen"):
            about = {"call_id": call_id, "node_id": "n", "context": "office"}
            if call_id == "seen":
                peer.line.event("calling.call.receive", **about, call_state="created")
            peer.line.event("calling.call.state", **about, call_state="ended", end_reason="busy")
            peer.line.event("calling.call.state", **about, call_state=late)
            peer.line.event("calling.call.receive", **about, call_state="created")
        await asyncio.sleep(1)
        assert client.calls == {}
        assert [call.id for call in received] == ["seen"]
        assert (held.state, held.end_reason) == ("ended", "busy")
        again = client.call("seen", "n")
        assert ((await again.ended()).end_reason, client.calls) == ("busy", {})
        with pytest.raises(TapRefused, match="has ended") as refused:
            await again.tap(audio={}, device=DEVICE)
        assert refused.value.gone
        await client.close()

    virtual.run(whole())


ABOUT_CALLS = st.tuples(st.sampled_from("ab"), st.sampled_from(["receive", "tapping", "finished", "ended", *STATES]))


@given(st.lists(ABOUT_CALLS, max_size=14), st.booleans())
def test_d2_whatever_order_and_number_of_events_an_ended_call_stays_ended_and_is_told_once(
    events: list[tuple[str, str]], handles: bool
) -> None:
    client = Client(RelayPeer(), Credentials("p", "t"))
    received: list[Call] = []
    client.listen(on_call_received=received.append)
    held = {call_id: client.call(call_id, "n") for call_id in "ab" if handles}
    over = set()
    for call_id, what in events:
        if what == "receive":
            client._hear(words.CallReceived(words.CallState(call_id, "n", "created")))
        elif what in ("tapping", "finished"):
            client._hear(words.TapState(call_id, "n", f"tap of {call_id}", what, None))
        else:
            client._hear(words.CallState(call_id, "n", what))
        over |= {call_id} if what == "ended" else set()
        assert not over & set(client.calls)
        assert not [call for call in client.calls.values() if call.has_ended]
    assert len({call.id for call in received}) == len(received)
    assert {call_id for call_id, call in held.items() if call.has_ended} == over & set(held)


def test_a_call_that_was_looked_for_at_the_wrong_place_is_found_at_the_right_one() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        if message.get("params", {}).get("node_id") == "wrong":
            line.answer(message, code="404", message="no such call")
        else:
            greet(line, message)

    async def whole() -> None:
        peer, client = await connected(script)
        lost = client.call("c", "wrong")
        with pytest.raises(TapRefused, match="no such call"):
            await lost.tap(audio={}, device=DEVICE)
        found = client.call("c", "right")
        assert (lost.has_ended, found.has_ended) == (True, False)
        await found.tap(audio={}, device=DEVICE)
        peer.line.event("calling.call.state", call_id="c", node_id="right", call_state="answered")
        await asyncio.sleep(1)
        assert dict(client.calls) == {"c": found}
        await client.close()

    virtual.run(whole())


def test_a_call_that_was_out_of_reach_and_is_heard_of_again_is_another_object() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        greet(line, message)
        if message.get("method") == "calling.end":
            line.event("calling.call.state", call_id="c", node_id="n", call_state="ringing")

    async def whole() -> None:
        _, client = await connected(script)
        old = client.call("c", "n")
        old.end("not_found", "gone")
        client.call("other", "n").listen(on_state=print)
        await client.execute("calling.end", {})
        await asyncio.sleep(1)
        (call,) = client.calls.values()
        assert (call.id, call.state, call is old) == ("c", "ringing", False)
        await client.close()

    virtual.run(whole())


def test_a_listener_of_the_client_that_listens_again_is_not_called_for_the_same_event() -> None:
    async def whole() -> None:
        peer, client = await connected()
        seen: list[Call] = []

        def again(call: Call) -> None:
            seen.append(call)
            if len(seen) < 9:
                client.listen(on_call_received=again)

        client.listen(on_call_received=again)
        peer.line.event("calling.call.receive", call_id="c", node_id="n", call_state="created")
        await asyncio.sleep(1)
        assert len(seen) == 1
        await client.close()

    virtual.run(whole())


def test_a_dial_that_fails_leaves_no_call_behind_whether_its_end_is_told_or_not() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        greet(line, message)
        if message.get("method") == "calling.dial":
            about = {"call_id": "c", "node_id": "n", "tag": message["params"]["tag"], "direction": "outbound"}
            line.event("calling.call.state", **about, call_state="created")
            line.event("calling.call.dial", tag=about["tag"], dial_state="failed", reason="busy")
            line.event("calling.call.state", **about, call_state="ringing")

    async def whole() -> None:
        _, client = await connected(script)
        with pytest.raises(DialFailed, match="busy"):
            await client.dial_phone(to="+1", from_="+2")
        await asyncio.sleep(1)
        assert client.calls == {}
        await client.close()

    virtual.run(whole())


def test_who_answers_and_is_gone_before_that_is_told_is_a_call_that_has_ended() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        greet(line, message)
        if message.get("method") == "calling.dial":
            about = {"call_id": "c", "node_id": "n", "tag": message["params"]["tag"]}
            line.event("calling.call.state", **about, call_state="ended", end_reason="hangup")
            told = {**about, "call_state": "answered", "dial_winner": "true"}
            line.event("calling.call.dial", tag=about["tag"], dial_state="answered", call=told)

    async def whole() -> None:
        _, client = await connected(script)
        call = await client.dial_phone(to="+1", from_="+2")
        assert (call.has_ended, call.end_reason, client.calls) == (True, "hangup", {})
        await client.close()

    virtual.run(whole())


def test_nothing_grows_over_10_000_calls() -> None:
    async def whole() -> None:
        peer, client = await connected()
        for number in range(10_000):
            about = {"call_id": f"c-{number}", "node_id": "n"}
            peer.line.event("calling.call.receive", **about, context="office", call_state="created")
            peer.line.event("calling.call.state", **about, call_state="ended")
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert client.counts["events"] == 20_000
        assert (client.calls, dict(client._handles), client._tasks) == ({}, {}, set())
        assert len(client._over) <= 1_024
        await client.close()

    virtual.run(whole())
