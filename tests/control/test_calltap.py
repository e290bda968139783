"""The CallTap page, row by row; and a tap's life under events in any order and number."""

import asyncio
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from receiver.control import words
from receiver.control.call import Call
from receiver.control.calltap import CallTap, TapRefused
from receiver.control.devices import RtpDevice, WsDevice
from receiver.control.errors import RelayAway, RelayError
from receiver.lab.switch.faults import Faults
from tests import virtual
from tests.control.clientworld import DEVICE, ClientWorld, now_s, play
from tests.control.relaypeer import Line, connected, greet


def test_row_call_tap_returns_when_the_relay_has_accepted_and_keeps_the_source() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        tap = await call.tap(audio={"direction": "speak"}, device=DEVICE)
        assert tap.source_device == RtpDevice("203.0.113.9", 27_654, "PCMU", None)
        assert world.exchange.calls[call.id].taps[tap.id].audio == {"direction": "speak"}
        short = await call.tap_audio(direction="listen", device=RtpDevice("203.0.113.5", "20002", "PCMA"))
        assert world.exchange.calls[call.id].taps[short.id].device["params"]["port"] == 20_002
        await call.tap_audio(direction="both", device=WsDevice("wss://media.example/x"), control_id="mine")
        assert "mine" in world.exchange.calls[call.id].taps

    play(story)


@pytest.mark.parametrize(
    ("kind", "source"), [("texts", RtpDevice("203.0.113.9", 27_654, "PCMU", None)), ("none", None)]
)
def test_a_source_may_be_told_in_texts_or_not_at_all(kind: Any, source: Any) -> None:
    async def story(world: ClientWorld) -> None:
        assert (await world.tap()).source_device == source

    play(story, faults=Faults(source_device=kind))


def test_row_onstarted_is_started() -> None:
    async def story(world: ClientWorld) -> None:
        tap = await world.tap()
        assert (await tap.started()) is tap
        assert tap.state == "tapping"
        assert tap.device == RtpDevice("203.0.113.5", 20_000)

    play(story, faults=Faults(event_delay_s=(2, 3)))


def test_row_tap_id_state_has_ended_and_error_after_a_refusal() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        with pytest.raises(TapRefused) as refused:
            await world.tap(call)
        tap = refused.value.tap
        assert (refused.value.code, refused.value.message) == ("400", "codec is busy")
        assert (tap.state, tap.has_ended, tap.ending, tap.error) == ("finished", True, "refused", refused.value)
        assert world.seen == ["ended"]
        assert (await tap.ended()) is tap
        with pytest.raises(TapRefused):
            await tap.started()
        assert call._taps == {}

    play(story, faults=Faults(refuse={"calling.tap": ("400", "codec is busy")}))


def test_row_tap_ended_and_stop_return_the_tap() -> None:
    async def story(world: ClientWorld) -> None:
        tap = await world.tap()
        waiting = asyncio.ensure_future(tap.ended())
        assert (await tap.stop()) is tap
        assert (await waiting) is tap
        assert (tap.state, tap.has_ended, tap.ending, tap.error) == ("finished", True, "finished", None)
        assert (await tap.stop()) is tap
        assert repr(tap) == f"CallTap(id={tap.id!r}, state='finished')"

    play(story)


def test_row_listeners_plain_and_async_at_start_and_later_get_the_tap_and_cannot_raise_into_the_reader() -> None:
    async def story(world: ClientWorld) -> None:
        seen: list[tuple[str, CallTap]] = []

        async def late(tap: CallTap) -> None:
            await asyncio.sleep(1)
            seen.append(("late", tap))

        async def failing(tap: CallTap) -> None:
            raise ValueError("an async one of theirs")

        def broken(tap: CallTap) -> None:
            raise ValueError("a plain one of theirs")

        call = await world.call()
        tap = await call.tap_audio(direction="both", device=DEVICE, listen={"on_started": broken, "on_ended": late})
        tap.listen(on_started=lambda each: seen.append(("never", each)), on_ended=failing)  # it has started
        tap.listen(on_ended=lambda each: seen.append(("plain", each)))
        await tap.stop()
        await asyncio.sleep(2)
        assert seen == [("plain", tap), ("late", tap)]

    with structlog.testing.capture_logs() as logs:
        play(story)
    assert len([line for line in logs if line["event"] == "a listener failed"]) == 2


@pytest.mark.parametrize("finished", ["before", "after", "never"])
def test_ended_does_not_hang_wherever_finished_stands_to_the_end_of_the_call(finished: Any) -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        tap = await world.tap(call)
        world.exchange.hang_up(call.call_id)
        await tap.ended()
        assert tap.ending == ("finished" if finished == "before" else "call_ended")
        await asyncio.sleep(1)
        assert world.seen == ["started", "ended"]

    play(story, faults=Faults(finished=finished))


def test_a_stop_of_whose_end_nothing_is_heard_takes_the_relays_yes_for_it() -> None:
    async def story(world: ClientWorld) -> None:
        tap = await world.tap()
        world.exchange.faults = Faults(withhold_events=1)
        before_s = now_s()
        await asyncio.gather(tap.stop(), tap.stop(), tap.stop())
        assert tap.ending == "finished"
        assert now_s() - before_s == pytest.approx(2)

    play(story)


def test_a_tap_that_is_gone_is_stopped_and_another_refusal_is_raised() -> None:
    async def story(world: ClientWorld) -> None:
        gone, kept = await world.tap(), await world.tap()
        world.exchange.faults = Faults(refuse={"calling.tap.stop": ("404", "gone")})
        await gone.stop()
        assert gone.ending == "gone"
        world.exchange.faults = Faults(refuse={"calling.tap.stop": ("500", "no")})
        with pytest.raises(RelayError, match="no"):
            await kept.stop()
        assert kept.state == "tapping"
        world.exchange.faults = Faults()
        await kept.stop()
        assert kept.ending == "finished"

    play(story)


def test_started_is_bounded_and_tells_a_tap_that_ended_before_it_began() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        world.exchange.faults = Faults(withhold_events=1, withhold_types=("calling.call.tap",))
        tap = await world.tap(call)
        with pytest.raises(TimeoutError):
            await tap.started(limit_s=5)
        waiting = asyncio.ensure_future(tap.started())
        world.exchange.hang_up(call.call_id)
        with pytest.raises(TapRefused, match="before it began"):
            await waiting

    play(story)


@pytest.mark.parametrize("answers", [True, False])
def test_a_client_that_is_closed_tells_who_waits_for_a_stop(answers: bool) -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        if answers or message.get("method") != "calling.tap.stop":
            greet(line, message)

    async def whole() -> None:
        _, client = await connected(script)
        tap = await client.call("c", "n").tap(audio={}, device=DEVICE)
        stopping = asyncio.ensure_future(tap.stop())
        await asyncio.sleep(1)
        await client.close()
        with pytest.raises(RelayAway):
            await stopping
        assert tap.ending == "lost"

    virtual.run(whole())


def test_d2_a_finished_before_the_404_to_its_stop_is_one_ending() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        if message.get("method") == "calling.tap.stop":
            line.event("calling.call.tap", call_id="c", control_id=message["params"]["control_id"], state="finished")
            line.answer(message, code="404", message="no such tap")
        else:
            greet(line, message)

    async def whole() -> None:
        _, client = await connected(script)
        seen: list[CallTap] = []
        tap = await client.call("c", "n").tap(audio={}, device=DEVICE, listen={"on_ended": seen.append})
        await tap.stop()
        assert (tap.ending, seen) == ("finished", [tap])
        await client.close()

    virtual.run(whole())


def test_a_listener_that_listens_again_is_not_called_for_the_same_event() -> None:
    async def story(world: ClientWorld) -> None:
        tap = await world.tap()
        seen: list[CallTap] = []

        def again(each: CallTap) -> None:
            seen.append(each)
            if len(seen) < 9:
                tap.listen(on_ended=again)

        tap.listen(on_ended=again)
        await tap.stop()
        assert seen == [tap]

    play(story)


@pytest.mark.parametrize("told", [True, False])
def test_a_socket_that_falls_before_the_answer_is_away_unless_an_event_said_yes(told: bool) -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        if message.get("method") == "calling.tap":
            if told:
                control_id = message["params"]["control_id"]
                line.event("calling.call.tap", call_id="c", control_id=control_id, state="tapping")
            line.fall()
        else:
            greet(line, message)

    async def whole() -> None:
        _, client = await connected(script)
        call = client.call("c", "n")
        if told:
            tap = await call.tap(audio={}, device=DEVICE)
            assert (tap.state, tap.source_device) == ("tapping", None)
        else:
            with pytest.raises(RelayAway):
                await call.tap(audio={}, device=DEVICE)
            assert call._taps == {}
        await client.close()

    virtual.run(whole())


def test_who_no_longer_waits_for_a_stop_does_not_call_it_off() -> None:
    async def story(world: ClientWorld) -> None:
        tap = await world.tap()
        stopping = asyncio.ensure_future(tap.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        await tap.ended()
        assert tap.ending == "finished"

    play(story)


EVENTS = ["tapping", "finished", "paused", "call_ended"]


@given(st.lists(st.sampled_from(EVENTS), max_size=12))
def test_d2_whatever_order_and_number_of_events_a_tap_has_one_ending_and_tells_it_once(events: list[str]) -> None:
    seen: list[str] = []
    client: Any = type("Nobody", (), {"spawn": None, "drop": lambda self, call: None})()
    call = Call(client, words.CallState("c", "n", "answered"))
    tap = CallTap(call, "t")
    call._taps["t"] = tap
    tap.listen(on_started=lambda _: seen.append("started"), on_ended=lambda _: seen.append("ended"))
    endings = set()
    for event in [*events, "call_ended"]:
        if event == "call_ended":
            call.hear(words.CallState("c", "n", "ended"))
        else:
            call.hear(words.TapState("c", "n", "t", event, None))
        endings.add(tap.ending)
    assert len(endings - {None}) == 1
    assert seen.count("ended") == 1
    assert seen[-1] == "ended"
    assert seen.count("started") <= 1
    assert tap.has_ended
    assert call._taps == {}
