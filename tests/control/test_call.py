"""One call: answered, spoken into, hung up; row by row."""

import asyncio
from typing import Any

import pytest

from receiver.control.call import Call
from receiver.control.errors import RelayError
from receiver.lab.switch.faults import Faults
from tests import virtual
from tests.control.clientworld import DEVICE, ClientWorld, now_s, play
from tests.control.relaypeer import Line, connected, greet


def test_row_call_playtts_is_play_tts_and_waits_until_it_is_spoken() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        before_s = now_s()
        play = await call.play_tts("Tap ended")
        assert (play.state, play.has_ended) == ("finished", True)
        assert now_s() - before_s == pytest.approx(9 * 0.06)
        assert (await play.ended()) is play
        assert call._plays == {}

    play(story)


def test_a_text_of_whose_end_nothing_is_heard_is_waited_for_as_long_as_it_may_take() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        world.exchange.faults = Faults(withhold_events=1)
        before_s = now_s()
        assert (await call.play_tts("x" * 10)).state == "playing"
        assert now_s() - before_s == pytest.approx(17)

    play(story)


def test_a_call_that_ends_ends_what_is_spoken() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        speaking = asyncio.ensure_future(call.play_tts("x" * 400))
        await asyncio.sleep(1)
        world.exchange.hang_up(call.call_id)
        assert (await speaking).has_ended

    play(story)


def test_row_call_hangup_waits_for_the_end_and_twice_is_once() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        states: list[str] = []
        call.listen(on_state=lambda each: states.append(each.state))
        await call.hangup()
        await call.hangup()
        assert (call.state, call.has_ended, call.end_reason) == ("ended", True, "hangup")
        assert states == ["ending", "ended"]
        assert (await call.ended()) is call

    play(story)


def test_a_hang_up_of_whose_end_nothing_is_heard_is_bounded() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        tap = await world.tap(call)
        world.exchange.faults = Faults(withhold_events=1)
        before_s = now_s()
        await call.hangup("busy")
        assert (call.state, call.end_reason, tap.ending) == ("ended", "busy", "call_ended")
        assert now_s() - before_s == pytest.approx(10)

    play(story)


def test_a_call_that_is_gone_is_hung_up() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        world.exchange.faults = Faults(withhold_events=1)
        world.exchange.hang_up(call.call_id)
        await call.hangup()
        assert (call.state, call.end_reason) == ("ended", "not_found")

    play(story)


def test_an_answer_is_waited_for_and_a_caller_who_gives_up_first_is_an_error() -> None:
    async def story(world: ClientWorld) -> None:
        call_id = world.exchange.ring("office", "+1", "+2")
        await asyncio.sleep(0.1)
        call = world.client.calls[call_id]
        world.exchange.faults = Faults(withhold_events=1, withhold_types=("calling.call.tap",), event_delay_s=(1, 1))
        answering = asyncio.ensure_future(call.answer())
        await asyncio.sleep(0.5)
        world.exchange.hang_up(call_id)
        await answering  # the answer came first
        other_id = world.exchange.ring("office", "+1", "+2")
        await asyncio.sleep(2)
        other = world.client.calls[other_id]
        world.exchange.hang_up(other_id)
        await asyncio.sleep(2)
        with pytest.raises(RelayError, match=r"no such call"):
            await other.answer()

    play(story, topics=("office",))


def test_d2_states_only_go_forward() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        seen: list[str] = []
        call.listen(on_state=lambda each: seen.append(each.state))
        world.exchange.hang_up(call.call_id)
        await asyncio.sleep(30)
        assert seen[-1] == call.state == "ended"
        assert seen.count("ended") == 1

    play(story, faults=Faults(event_delay_s=(0, 3), repeat_events=1))


def test_a_tap_on_a_call_that_has_ended_is_refused_here() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        await call.hangup()
        with pytest.raises(RelayError, match="the call has ended"):
            await call.tap(audio={}, device=DEVICE)

    play(story)


def test_a_listener_that_is_none_is_said() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        with pytest.raises(ValueError, match="expected on_ended, on_started, found onStarted"):
            await call.tap(audio={}, device=DEVICE, listen={"onStarted": print})
        assert repr(call) == f"Call(id={call.id!r}, state='answered')"

    play(story)


def test_row_call_hangup_twice_at_once_is_once() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        greet(line, message)
        if message.get("method") == "calling.end":
            line.event("calling.call.state", call_id="c", node_id="n", call_state="ended", end_reason="busy")

    async def whole() -> None:
        peer, client = await connected(script)
        call = client.call("c", "n")
        await asyncio.gather(call.hangup("busy"), call.hangup("busy"))
        assert peer.line.methods().count("calling.end") == 1
        assert call.end_reason == "busy"
        await client.close()

    virtual.run(whole())


def test_an_answer_that_the_caller_did_not_wait_for_and_a_text_that_cannot_be_played_are_errors() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        greet(line, message)
        if message.get("method") == "calling.answer":
            line.event("calling.call.state", call_id="c", node_id="n", call_state="ended", end_reason="abandoned")
        if message.get("method") == "calling.play":
            line.event("calling.call.play", call_id="d", control_id=message["params"]["control_id"], state="error")

    async def whole() -> None:
        peer, client = await connected(script)
        peer.line.event("calling.call.receive", call_id="c", node_id="n", call_state="ringing")
        await asyncio.sleep(1)
        with pytest.raises(RelayError, match=r"ended before it was answered \(abandoned\)"):
            await client.calls["c"].answer()
        with pytest.raises(RelayError, match="could not play"):
            await client.call("d", "n").play_tts("x")
        await client.close()

    virtual.run(whole())


def test_a_control_id_in_use_is_refused_here_and_its_tap_goes_on() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        tap = await world.tap(call, control_id="mine")
        with pytest.raises(ValueError, match="control_id"):
            await world.tap(call, control_id="mine")
        world.exchange.hang_up(call.call_id)
        assert (await tap.ended()).has_ended

    play(story)


def test_a_listener_that_listens_again_is_not_called_for_the_same_event() -> None:
    async def whole() -> None:
        peer, client = await connected()
        call = client.call("c", "n")
        seen: list[Call] = []

        def again(each: Call) -> None:
            seen.append(each)
            if len(seen) < 9:
                call.listen(on_state=again)

        call.listen(on_state=again)
        peer.line.event("calling.call.state", call_id="c", node_id="n", call_state="ending")
        await asyncio.sleep(1)
        assert seen == [call]
        await client.close()

    virtual.run(whole())
