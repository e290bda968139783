"""One socket's side: who may speak, what answers look like, and what goes wrong on the way."""

import asyncio
import json
from typing import Any

import pytest

from receiver.lab.switch.faults import Faults
from tests.lab.switch.talker import Talker, World, play


@pytest.mark.parametrize(
    "keys",
    [
        {"project": "p", "token": "PTwrong"},
        {"project": "q", "token": "PTsecret"},
        {},
        {"project": "p"},
        {"project": 7, "token": 7},
    ],
)
def test_who_has_no_key_is_refused(keys: dict[str, Any]) -> None:
    async def story(world: World, talker: Talker) -> None:
        refused = await talker.ask("signalwire.connect", authentication=keys)
        assert refused["code"] == -32002
        assert "401" in refused["message"]
        assert (await talker.ask("calling.dial"))["code"] == -32002

    play(story, connected=False)


def test_an_unknown_method_is_refused_with_its_name() -> None:
    async def story(world: World, talker: Talker) -> None:
        assert await talker.ask("calling.fly") == {"code": -32601, "message": "unknown method calling.fly"}

    play(story)


def test_it_pings_more_often_than_every_15_s_and_counts_acks() -> None:
    async def story(world: World, talker: Talker) -> None:
        await asyncio.sleep(35)
        pings = [message for message in talker.said if message.get("method") == "signalwire.ping"]
        assert len(pings) == 3
        (session,) = world.exchange.sessions.values()
        assert session.unacked == set()
        talker.leg.receive(json.dumps({"id": "nobody", "result": {}}))
        assert world.exchange.counts["unasked_answers"] == 1

    play(story)


def test_who_does_not_ack_is_remembered_and_nothing_else() -> None:
    async def story(world: World, talker: Talker) -> None:
        deaf = Talker(world.exchange, deaf=True)
        deaf.send("signalwire.connect", authentication={"project": "p", "token": "PTsecret"})
        await asyncio.sleep(25)
        assert any(len(session.unacked) == 3 for session in world.exchange.sessions.values())
        assert deaf.closed == []

    play(story)


@pytest.mark.parametrize(
    ("faults", "right"),
    [
        (Faults(nested=True), lambda told: told["result"]["result"]["code"] == "200"),
        (Faults(integer_codes=True), lambda told: told["result"]["code"] == 200),
        (Faults(refuse={"signalwire.receive": ("410", "gone")}), lambda told: told["result"]["code"] == "410"),
        (Faults(huge=1), lambda told: len(told["padding"]) == 10_000_000),
    ],
)
def test_answers_may_look_otherwise(faults: Faults, right: Any) -> None:
    async def story(world: World, talker: Talker) -> None:
        world.exchange.faults = faults
        number = talker.send("signalwire.receive", contexts=["x"])
        await asyncio.sleep(1)
        (told,) = [message for message in talker.said if message.get("id") == number]
        assert right(told)

    play(story)


def test_answers_may_be_no_json_have_another_id_come_late_or_never() -> None:
    async def story(world: World, talker: Talker) -> None:
        for faults in (Faults(garbage=1), Faults(wrong_id=1), Faults(no_answer=1), Faults(late_answer_s=(5, 5))):
            world.exchange.faults = faults
            talker.raw.clear()
            number = talker.send("signalwire.receive", contexts=["x"])
            await asyncio.sleep(1)
            if faults.garbage:
                with pytest.raises(ValueError, match="Expecting"):
                    json.loads(talker.raw[0])
            elif faults.wrong_id:
                assert json.loads(talker.raw[0])["id"] != number
            else:
                assert talker.raw == []
        await asyncio.sleep(5)
        assert json.loads(talker.raw[0])["id"] == number

    play(story)


def test_connect_may_be_refused_or_met_with_silence() -> None:
    async def story(world: World, talker: Talker) -> None:
        world.exchange.faults = Faults(connect_error="-32603")
        assert (await talker.connect())["code"] == -32603
        world.exchange.faults = Faults(connect_silence=True)
        with pytest.raises(TimeoutError):
            await talker.connect()

    play(story, connected=False)


def test_a_socket_may_fall_after_so_many_frames() -> None:
    async def story(world: World, talker: Talker) -> None:
        await talker.connect()
        await talker.ask("signalwire.ping")
        for _ in range(5):
            talker.send("signalwire.ping")
        assert talker.closed == [1006]
        assert not talker.leg.is_open
        said = len(talker.said)
        await asyncio.sleep(60)
        assert len(talker.said) == said  # nothing is said to a socket that fell

    play(story, connected=False, faults=Faults(drop_after=5))


def test_e_frames_that_mean_nothing_are_counted() -> None:
    async def story(world: World, talker: Talker) -> None:
        for text in ("", "no", "[]", "7", "[" * 100_000):
            talker.leg.receive(text)
        assert world.exchange.counts["nonsense"] == 5

    play(story)
