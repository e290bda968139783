"""What happens to calls and taps: scenes, orders, ends."""

import asyncio
from typing import Any

import pytest

from receiver.lab.switch.faults import Faults
from receiver.lab.switch.parties import Voice
from tests.lab.switch.talker import PHONE, Talker, World, play


def dialled(number: str, timeout: int = 5) -> Any:
    return [[{"type": "phone", "params": {"to_number": number, "from_number": "+1", "timeout": timeout}}]]


def test_a_call_is_created_rung_and_answered_and_the_node_sdk_sees_a_tagged_state_before_the_answer() -> None:
    async def story(world: World, talker: Talker) -> None:
        assert await talker.ask("calling.dial", tag="t", devices=PHONE) == {"code": "200", "message": "Dialing"}
        await asyncio.sleep(1)
        assert talker.states("calling.call.state", "call_state") == ["created", "ringing", "answered"]
        assert {each["tag"] for each in talker.events("calling.call.state")} == {"t"}
        assert {each["direction"] for each in talker.events("calling.call.state")} == {"outbound"}
        answered = talker.events("calling.call.dial")[-1]
        assert (answered["dial_state"], answered["call"]["call_state"]) == ("answered", "answered")
        kinds = [
            message["params"]["event_type"] for message in talker.said if message.get("method") == "signalwire.event"
        ]
        assert kinds.index("calling.call.state") < len(kinds) - 1 - kinds[::-1].index("calling.call.dial")

    play(story)


@pytest.mark.parametrize(
    ("number", "reason", "after_s"), [("+10486", "busy", 1), ("+10480", "noAnswer", 5.5), ("+10603", "decline", 1)]
)
def test_a_number_that_is_not_reached_fails_with_its_reason(number: str, reason: str, after_s: float) -> None:
    async def story(world: World, talker: Talker) -> None:
        await talker.ask("calling.dial", tag="t", devices=dialled(number))
        await asyncio.sleep(after_s)
        failed = talker.events("calling.call.dial")[-1]
        assert (failed["dial_state"], failed["reason"]) == ("failed", reason)
        assert talker.events("calling.call.state")[-1]["end_reason"] == reason
        assert world.exchange.calls == {}

    play(story)


@pytest.mark.parametrize("finished", ["before", "after", "never"])
def test_where_finished_stands_to_the_end_of_the_call(finished: Any) -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        await talker.tap(call)
        world.exchange.hang_up(call["call_id"], "busy")
        envelopes = [message["params"] for message in talker.said if message.get("method") == "signalwire.event"]
        told = [
            (each["event_type"], each["params"].get("state", each["params"].get("call_state"))) for each in envelopes
        ]
        ended, over = ("calling.call.state", "ended"), ("calling.call.tap", "finished")
        assert ended in told
        assert (over in told) == (finished != "never")
        if finished != "never":
            assert (told.index(over) < told.index(ended)) == (finished == "before")
        await asyncio.sleep(1)
        assert world.sounds.log[-1] == ("stop", "tap-1")

    play(story, faults=Faults(finished=finished))


@pytest.mark.parametrize("hang_up", [True, False])
def test_a_sound_that_is_over_ends_its_tap_and_where_it_was_told_so_its_call(hang_up: bool) -> None:
    async def story(world: World, talker: Talker) -> None:
        world.exchange.voices["+15550199"] = Voice(hang_up=hang_up)
        call = await talker.call()
        await talker.tap(call)
        world.sounds.running.pop("tap-1")("tap-1")
        assert talker.states("calling.call.tap", "state") == ["tapping", "finished"]
        assert (call["call_id"] in world.exchange.calls) != hang_up

    play(story)


def test_what_is_played_is_over_after_a_while_or_when_it_is_stopped_or_with_its_call() -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        long = [{"type": "tts", "params": {"text": "x" * 100}}]
        for control_id in ("a", "b", "c"):
            assert (await talker.on(call, "calling.play", control_id=control_id, play=long))["code"] == "200"
        assert (await talker.on(call, "calling.play.stop", control_id="b"))["code"] == "200"
        assert (await talker.on(call, "calling.play.stop", control_id="b"))["code"] == "404"
        told = [(each["control_id"], each["state"]) for each in talker.events("calling.call.play")]
        assert told == [("a", "playing"), ("b", "playing"), ("c", "playing"), ("b", "finished")]
        await asyncio.sleep(10)
        assert len(talker.events("calling.call.play")) == 6
        await talker.on(call, "calling.play", control_id="d", play=[{"type": "silence", "params": {"duration": 20}}])
        world.exchange.hang_up(call["call_id"])
        assert talker.events("calling.call.play")[-1]["state"] == "finished"

    play(story)


def test_a_call_that_ends_while_a_sound_is_being_started_leaves_none_running() -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        tapping = asyncio.ensure_future(talker.tap(call))
        await asyncio.sleep(1)
        world.exchange.hang_up(call["call_id"])
        assert (await tapping)["code"] == "404"
        await asyncio.sleep(1)
        assert world.sounds.running == {}

    play(story, start_s=3)


def test_who_hangs_up_an_inbound_call_that_nobody_answered() -> None:
    async def story(world: World, talker: Talker) -> None:
        call_id = world.exchange.ring("office", "+1", "+2")
        call = {"call_id": call_id, "node_id": world.exchange.calls[call_id].node_id}
        assert (await talker.on(call, "calling.pass"))["code"] == "200"
        assert talker.states("calling.call.state", "call_state") == ["ending", "ended"]
        assert talker.events("calling.call.dial") == []

    play(story)
