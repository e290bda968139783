"""What may be asked, of which call, and by whom."""

import asyncio
from typing import Any

import pytest

from receiver.lab.switch.faults import Faults
from tests.lab.switch.talker import RTP, Talker, World, play


def test_a_tap_is_accepted_with_its_source_and_told_with_our_device() -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        told = await talker.tap(call)
        assert (told["code"], told["control_id"], told["call_id"]) == ("200", "tap-1", call["call_id"])
        assert told["source_device"]["params"] == {
            "addr": "203.0.113.9", "port": 27_654, "codec": "PCMU", "rate": 8000, "ptime": 20,
        }  # fmt: skip
        (tapping,) = talker.events("calling.call.tap")
        assert (tapping["state"], tapping["device"], tapping["tap"]["type"]) == ("tapping", RTP, "audio")

    play(story)


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("wrong", lambda told: told["source_device"]["params"]["port"] == 27_655),
        ("none", lambda told: "source_device" not in told),
        ("texts", lambda told: told["source_device"]["params"]["port"] == "27654"),
    ],
)
def test_the_source_may_be_told_wrong_in_texts_or_not(kind: Any, right: Any) -> None:
    async def story(world: World, talker: Talker) -> None:
        assert right(await talker.tap(await talker.call()))

    play(story, faults=Faults(source_device=kind))


@pytest.mark.parametrize("first", [True, False])
def test_what_a_request_brings_about_may_be_told_before_its_answer(first: bool) -> None:
    async def story(world: World, talker: Talker) -> None:
        await talker.tap(await talker.call())
        told = ["tapping" if message.get("method") else "answer" for message in talker.said[-2:]]
        assert told == (["tapping", "answer"] if first else ["answer", "tapping"])

    play(story, faults=Faults(events_first=first))


def test_a_tap_that_is_live_or_not_there_or_too_early_is_refused_by_code() -> None:
    async def story(world: World, talker: Talker) -> None:
        call_id = world.exchange.ring("office", "+1", "+2")
        ringing = {"call_id": call_id, "node_id": world.exchange.calls[call_id].node_id}
        assert (await talker.tap(ringing))["code"] == "400"
        call = await talker.call()
        assert (await talker.tap(call))["code"] == "200"
        assert (await talker.tap(call))["code"] == "409"
        assert (await talker.on(call, "calling.tap.stop", control_id="tap-1"))["code"] == "200"
        assert (await talker.on(call, "calling.tap.stop", control_id="tap-1"))["code"] == "404"
        assert (await talker.tap(call))["code"] == "200"  # its id is free again
        assert (await talker.tap(call | {"node_id": "elsewhere"}))["code"] == "404"
        assert (await talker.tap({"call_id": "nobody", "node_id": "n"}))["code"] == "404"

    play(story)


def test_another_session_of_the_project_may_tap_a_call_and_hears_of_its_tap() -> None:
    async def story(world: World, talker: Talker) -> None:
        call = await talker.call()
        other = Talker(world.exchange)
        await other.connect(contexts=[])
        assert (await other.tap(call, "theirs"))["code"] == "200"
        assert other.states("calling.call.tap", "state") == ["tapping"]
        assert talker.events("calling.call.tap") == []
        world.exchange.keys["q"] = "x"
        stranger = Talker(world.exchange)
        await stranger.ask("signalwire.connect", authentication={"project": "q", "token": "x"})
        assert (await stranger.tap(call, "no"))["code"] == "404"

    play(story)


def test_an_answer_moves_an_inbound_call_and_no_other() -> None:
    async def story(world: World, talker: Talker) -> None:
        call_id = world.exchange.ring("office", "+1", "+2")
        inbound = {"call_id": call_id, "node_id": world.exchange.calls[call_id].node_id}
        assert (await talker.on(inbound, "calling.answer"))["code"] == "200"
        assert talker.states("calling.call.state", "call_state") == ["answered"]
        assert (await talker.on(await talker.call(), "calling.answer"))["code"] == "400"

    play(story)


def test_a_number_that_may_not_be_dialled_is_refused_at_once() -> None:
    async def story(world: World, talker: Talker) -> None:
        phone = {"type": "phone", "params": {"to_number": "+10404", "from_number": "+1"}}
        assert (await talker.ask("calling.dial", tag="t", devices=[[phone]]))["code"] == "400"
        await asyncio.sleep(1)
        assert talker.events("calling.call.dial") == []

    play(story)
