"""The switch without a socket: sessions, what is missed, what is forgotten, and that nothing raises."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.lab.switch.faults import Faults
from receiver.lab.switch.parties import Voice
from tests.lab.switch.talker import PHONE, Talker, World, play


def test_a_session_is_resumed_by_its_name_and_told_what_it_missed() -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        await talker.tap(call)
        protocol = next(iter(world.exchange.sessions))
        world.exchange.drop()
        assert talker.closed == [1006]
        world.exchange.hang_up(call["call_id"])
        again = Talker(world.exchange)
        greeting = await again.connect(protocol=protocol)
        assert (greeting["protocol"], greeting["session_restored"]) == (protocol, True)
        assert again.states("calling.call.tap", "state") == ["finished"]
        assert again.states("calling.call.state", "call_state") == ["ending", "ended"]

    play(story)


def test_what_is_missed_may_be_lost() -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        protocol = next(iter(world.exchange.sessions))
        world.exchange.drop()
        world.exchange.hang_up(call["call_id"])
        again = Talker(world.exchange)
        assert "session_restored" not in await again.connect(protocol=protocol)
        assert again.events("calling.call.state") == []

    play(story, faults=Faults(replay_missed=False, tell_restored=False))


def test_a_session_is_forgotten_after_a_while_and_its_calls_are_out_of_reach_but_go_on() -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        await talker.tap(call)
        protocol = next(iter(world.exchange.sessions))
        world.exchange.drop()
        await asyncio.sleep(6)
        again = Talker(world.exchange)
        greeting = await again.connect(protocol=protocol)
        assert greeting["protocol"] != protocol
        assert greeting["session_restored"] is False
        assert (await again.on(call, "calling.tap.stop", control_id="tap-1"))["code"] == "404"
        assert "tap-1" in world.sounds.running
        world.exchange.hang_up(call["call_id"])
        await asyncio.sleep(1)

    play(story, faults=Faults(keep_session_s=5))


def test_the_name_of_a_session_fits_its_signature_or_the_node_sdk_would_start_afresh() -> None:
    async def story(world: World, talker: Talker) -> None:
        greeting = await talker.connect()
        assert greeting["protocol"].split("_")[1] == greeting["authorization"]["signature"]
        assert "code" not in greeting
        (told,) = [each for each in talker.events() if "authorization_state" in each][-1:]
        assert told["authorization_state"]

    play(story, connected=False)


def test_a_farewell_is_said_then_the_socket_is_closed_and_a_restart_forgets() -> None:
    async def story(world: World, talker: Talker) -> None:
        world.exchange.disconnect(restart=True)
        assert talker.said[-1]["method"] == "signalwire.disconnect"
        assert talker.said[-1]["params"] == {"restart": True}
        await asyncio.sleep(1)
        assert talker.closed == [1000]
        assert world.exchange.sessions == {}

    play(story)


def test_an_inbound_call_goes_to_who_receives_its_topic() -> None:
    async def story(world: World, talker: Talker) -> None:
        with pytest.raises(KeyError):
            world.exchange.ring("elsewhere", "+1", "+2")
        call_id = world.exchange.ring("office", "+1", "+2")
        (received,) = talker.events("calling.call.receive")
        assert (received["call_id"], received["context"], received["direction"]) == (call_id, "office", "inbound")
        await talker.ask("signalwire.unreceive", contexts=["office"])
        with pytest.raises(KeyError):
            world.exchange.ring("office", "+1", "+2")

    play(story)


def test_events_may_be_withheld_repeated_and_late() -> None:
    async def story(world: World, talker: Talker) -> None:
        world.exchange.faults = Faults(withhold_events=1, withhold_types=("calling.call.state",))
        await talker.call()
        assert talker.events("calling.call.state") == []
        assert talker.states("calling.call.dial", "dial_state") == ["dialing", "answered"]
        world.exchange.faults = Faults(repeat_events=1)
        await talker.call("t-2")
        told = [each["dial_state"] for each in talker.events("calling.call.dial") if each["tag"] == "t-2"]
        assert told == ["dialing", "dialing", "answered", "answered"]
        assert world.exchange.counts["withheld"] == 3

    play(story)


def test_events_that_are_late_overtake_each_other() -> None:
    async def story(world: World, talker: Talker) -> None:
        for number in range(20):
            await talker.ask("calling.dial", tag=f"t-{number}", devices=PHONE)
        await asyncio.sleep(10)
        orders = {
            tuple(each["dial_state"] for each in talker.events("calling.call.dial") if each["tag"] == f"t-{n}")
            for n in range(20)
        }
        assert orders == {("dialing", "answered"), ("answered", "dialing")}

    play(story, faults=Faults(event_delay_s=(0, 3)))


def test_no_two_taps_ever_speak_with_the_same_id() -> None:
    async def story(world: World, talker: Talker) -> None:
        world.exchange.voices["+15550199"] = Voice(id=7)
        callers = []
        for number in range(4):
            call = await talker.call(f"t-{number}")
            await talker.tap(call)
            callers += [tap.caller for tap in world.exchange.calls[call["call_id"]].taps.values()]
            await talker.on(call, "calling.end")
        assert callers == [7, 10_000, 10_001, 10_002]

    play(story)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 70_000) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=6,
)  # fmt: skip
METHODS = ["calling.dial", "calling.tap", "calling.tap.stop", "calling.end", "calling.answer", "calling.play",
           "signalwire.receive", "signalwire.ping", "calling.nothing", "signalwire.connect"]  # fmt: skip
PARAMS = st.dictionaries(
    st.sampled_from(["call_id", "node_id", "control_id", "tap", "device", "devices", "tag", "contexts", "play"]), JUNK
)


@settings(max_examples=60)
@given(st.lists(st.text(max_size=9) | JUNK.map(json.dumps) | st.tuples(st.sampled_from(METHODS), PARAMS), max_size=15))
def test_e_whatever_comes_nothing_raises_and_each_request_is_answered_once(texts: "list[Any]") -> None:
    async def story(world: World, talker: Talker) -> None:
        asked = []
        for text in texts:
            if isinstance(text, str):
                talker.leg.receive(text)
            else:
                asked.append(talker.send(text[0], **text[1]))
        await asyncio.sleep(60)
        answered = [message["id"] for message in talker.said if "method" not in message]
        assert [answered.count(number) for number in asked] == [1] * len(asked)

    play(story)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["tap", "stop", "over", "end", "hang up", "drop", "play"]), max_size=15),
    st.sampled_from(["before", "after"]),
)
def test_every_tap_is_finished_exactly_once_whoever_ends_it(steps: list[str], finished: Any) -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        taps = 0
        for step in steps:
            match step:
                case "tap":
                    await talker.tap(call, f"tap-{taps}")
                    taps += 1
                case "stop" if taps:
                    await talker.on(call, "calling.tap.stop", control_id=f"tap-{taps - 1}")
                case "over" if f"tap-{taps - 1}" in world.sounds.running:
                    world.sounds.running.pop(f"tap-{taps - 1}")(f"tap-{taps - 1}")
                case "end":
                    await talker.on(call, "calling.end", reason="hangup")
                case "hang up" if call["call_id"] in world.exchange.calls:
                    world.exchange.hang_up(call["call_id"])
                case "play":
                    await talker.on(
                        call, "calling.play", control_id="p", play=[{"type": "tts", "params": {"text": "x"}}]
                    )
        await talker.on(call, "calling.end", reason="hangup")
        await asyncio.sleep(5)
        told = [(each["control_id"], each["state"]) for each in talker.events("calling.call.tap")]
        for control_id in {control_id for control_id, _ in told}:
            assert [state for name, state in told if name == control_id] == ["tapping", "finished"]
        assert talker.states("calling.call.state", "call_state")[-1] == "ended"

    play(story, faults=Faults(finished=finished))
