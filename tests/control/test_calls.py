"""The client, row by row of the contract's table; and what dials and sessions may come to."""

import asyncio
import gc
from typing import Any

import pytest

from receiver import Client as Public
from receiver.control.calls import Client, DialFailed
from receiver.control.errors import RelayAway, RelayDenied
from receiver.control.relay import Credentials
from receiver.lab.switch.exchange import Exchange
from receiver.lab.switch.faults import Faults
from receiver.lab.switch.server import Server
from tests import virtual
from tests.control.clientworld import DEVICE, ClientWorld, Silence, now_s, play
from tests.control.relaypeer import Line, RelayPeer, greet
from tests.control.relayworld import KEYS


async def test_row_signalwire_project_token_is_connect_async_with_and_close() -> None:
    server = Server(Exchange(KEYS, Silence()))
    await server.start("127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.port}"
    try:
        async with await Public.connect("p", KEYS["p"], host=url) as client:
            assert client.calls == {}
            assert client.standing.up
        assert client.standing.why == "closed"
        with pytest.raises(RelayDenied, match="401"):
            await Public.connect("p", "PTwrong", url)
        with pytest.raises(ValueError, match="HOST"):
            await Public.connect("p", "t", "http://x")
    finally:
        await server.stop()


async def test_nobody_there_is_said_after_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.control.calls.CONNECT_S", 0.05)
    with pytest.raises(RelayAway, match=r"refused|Connect call failed"):
        await Public.connect("p", "t", "ws://127.0.0.1:9")


def test_row_client_voice_dialphone_is_dial_phone() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.client.dial_phone(to="+15550199", from_="+15550100", timeout=30)
        assert (call.state, call.direction, call.to, call.from_) == ("answered", "outbound", "+15550199", "+15550100")
        assert call.id == call.call_id
        assert dict(world.client.calls) == {call.id: call}

    play(story)


@pytest.mark.parametrize(
    ("to", "reason", "after_s"),
    [
        ("+0486", "busy", 0.15),
        ("+0480", "noAnswer", 5),
        ("+0603", "decline", 0.15),
        ("+0404", "+0404 cannot be dialled", 0),
    ],
)
def test_row_busy_and_no_answer_are_dial_failed_with_the_reason(to: str, reason: str, after_s: float) -> None:
    async def story(world: ClientWorld) -> None:
        before_s = now_s()
        with pytest.raises(DialFailed) as failed:
            await world.call(to)
        assert failed.value.reason == reason
        assert now_s() - before_s == pytest.approx(after_s, abs=0.01)
        assert world.client.calls == {}
        assert world.client._dials == {}

    play(story)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(events_first=True), Faults(withhold_events=1, withhold_types=("calling.call.state",)),
        Faults(repeat_events=1), Faults(late_answer_s=(9, 9)), Faults(nested=True, integer_codes=True),
    ],
)  # fmt: skip
def test_d2_a_dial_is_answered_in_whatever_order_the_relay_says_it(faults: Faults) -> None:
    async def story(world: ClientWorld) -> None:
        assert (await world.call()).state == "answered"

    play(story, faults=faults)


def test_a_dial_that_nothing_is_heard_of_ends_by_itself() -> None:
    async def story(world: ClientWorld) -> None:
        before_s = now_s()
        with pytest.raises(DialFailed, match="timeout"):
            await world.call()
        assert now_s() - before_s == pytest.approx(35)

    play(story, faults=Faults(withhold_events=1))


def test_a_dial_without_an_answer_is_away() -> None:
    async def story(world: ClientWorld) -> None:
        world.exchange.faults = Faults(no_answer=1, withhold_events=1)
        with pytest.raises(RelayAway, match="no answer"):
            await world.call()

    play(story)


@pytest.mark.parametrize("restored", [True, False])
def test_a_socket_that_falls_while_the_phone_rings(restored: bool) -> None:
    async def story(world: ClientWorld) -> None:
        dialling = asyncio.ensure_future(world.call())
        await asyncio.sleep(0.01)
        world.exchange.drop()
        if restored:
            assert (await dialling).state == "answered"  # the relay repeats what was missed
        else:
            with pytest.raises(RelayAway, match="session was lost"):
                await dialling

    play(story, faults=Faults(keep_session_s=120 if restored else 0))


def test_calls_that_come_in_are_told_once_with_their_topic() -> None:
    async def story(world: ClientWorld) -> None:
        received: list[Any] = []
        world.client.listen(on_call_received=received.append)
        call_id = world.exchange.ring("office", "+1", "+2")
        await asyncio.sleep(1)
        (call,) = received
        assert (call.id, call.context, call.direction, call.state) == (call_id, "office", "inbound", "ringing")
        assert (await call.answer()).state == "answered"

    play(story, topics=("office",), faults=Faults(repeat_events=1))


def test_a_lost_session_ends_all_of_it_and_nobody_waits_for_ever() -> None:
    async def story(world: ClientWorld) -> None:
        ups: list[bool] = []
        downs: list[str] = []
        world.client.listen(on_up=ups.append, on_down=downs.append)
        call = await world.call()
        tap = await world.tap(call)
        waiting = [asyncio.ensure_future(each) for each in (tap.ended(), call.ended())]
        world.exchange.drop()
        await asyncio.gather(*waiting)
        assert (tap.ending, call.end_reason, call.state) == ("lost", "lost", "ended")
        assert world.seen == ["started", "ended"]
        assert (ups, len(downs)) == ([False], 1)
        assert world.client.calls == {}

    play(story, faults=Faults(keep_session_s=0))


def test_a_restored_session_goes_on() -> None:
    async def story(world: ClientWorld) -> None:
        call = await world.call()
        tap = await world.tap(call)
        world.exchange.drop()
        await asyncio.sleep(5)
        assert (tap.state, call.state) == ("tapping", "answered")
        await tap.stop()
        assert tap.ending == "finished"

    play(story)


def test_a_handle_to_somebody_elses_call_lasts_as_long_as_it_is_held() -> None:
    async def story(world: ClientWorld) -> None:
        ours = await world.call()
        other = Client(world.wire, Credentials("p", KEYS["p"]))
        other.start()
        await other.until_up(10)
        handle = other.call(ours.call_id, ours.node_id)
        assert other.call(ours.call_id, ours.node_id) is handle
        assert other.calls == {}
        tap = await world.tap(handle)
        await asyncio.sleep(1)
        assert tap.state == "tapping"  # events go to who asked
        await tap.stop()
        del handle, tap
        gc.collect()
        assert dict(other._handles) == {}
        await other.close()

    play(story)


def test_nothing_grows_over_many_calls() -> None:
    async def story(world: ClientWorld) -> None:
        for _ in range(300):
            call = await world.call()
            tap = await world.tap(call)
            await tap.stop()
            await call.hangup()
        assert world.client.calls == {}
        assert (world.client._dials, world.client._tasks) == ({}, set())
        assert world.seen == ["started", "ended"] * 300

    play(story)


def test_an_event_that_names_no_call_finds_its_tap() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        greet(line, message)
        if message.get("method") == "calling.tap":
            line.event("calling.call.tap", control_id=message["params"]["control_id"], state="tapping")
            line.event("calling.call.tap", control_id="somebody's", call_id="c", state="finished")

    async def whole() -> None:
        client = Client(RelayPeer(script), Credentials("p", "t"))
        client.start()
        await client.until_up(10)
        tap = await client.call("c", "n").tap(audio={}, device=DEVICE)
        assert (await tap.started()).state == "tapping"
        await client.close()

    virtual.run(whole())
