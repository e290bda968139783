"""One session over any number of sockets, in virtual time: every wait is bounded, nothing is left behind."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.control import words
from receiver.control.door import SocketClosed
from receiver.control.errors import RelayAway, RelayDenied, RelayError
from receiver.control.relay import Credentials
from receiver.control.session import Session, Standing
from tests import virtual
from tests.control.relaypeer import PROTOCOL, Line, RelayPeer, Script, greet, mute, silent

KEYS = Credentials("p", "PTsecret")


class World:
    """A session, its relay, and what was heard."""

    def __init__(self, script: Script | None = None, topics: tuple[str, ...] = (), seed: int = 1) -> None:
        self.peer = RelayPeer(script)
        self.heard: list[words.Event] = []
        self.stood: list[tuple[bool, bool, str, bool]] = []
        self.session = Session(
            self.peer, KEYS, topics, hear=self.heard.append, changed=self._stands, dice=random.Random(seed)
        )

    def _stands(self, standing: Standing, restored: bool) -> None:
        self.stood.append((*standing, restored))

    async def up(self) -> None:
        self.session.start()
        await self.session.until_up(30)


def play(story: Callable[[World], Awaitable[None]], **given: Any) -> None:
    """A story in virtual time; whatever happens in it, closing leaves no task behind."""

    async def whole() -> None:
        world = World(**given)
        try:
            await story(world)
        finally:
            await world.session.close()

    virtual.run(whole())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_it_connects_and_asks_for_its_topics_after_each_authentication() -> None:
    async def story(world: World) -> None:
        await world.up()
        world.peer.line.fall()
        await asyncio.sleep(5)
        for line in world.peer.lines:
            assert line.methods()[:2] == ["signalwire.connect", "signalwire.receive"]
            assert line.said[1]["params"] == {"contexts": ["office"]}
        assert world.stood == [
            (True, False, "", False), (False, False, "it fell", False), (True, False, "", True),
        ]  # fmt: skip

    play(story, topics=("office",))


def test_the_session_is_offered_again_and_forgotten_after_a_restart() -> None:
    async def story(world: World) -> None:
        await world.up()
        world.peer.line.event("signalwire.authorization.state", authorization_state="blob")
        await asyncio.sleep(0.1)
        world.peer.line.fall()
        await asyncio.sleep(5)
        params = world.peer.line.said[0]["params"]
        assert (params["protocol"], params["authorization_state"]) == (PROTOCOL, "blob")
        world.peer.line.put(id="d", method="signalwire.disconnect", params={"restart": True})
        await asyncio.sleep(10)
        assert "protocol" not in world.peer.line.said[0]["params"]
        assert world.stood[-1] == (True, False, "", False)

    play(story)


def test_a_question_is_answered_or_refused_by_code_or_by_error() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "a":
                line.answer(message, code=404, message="gone")
            case "b":
                line.refuse(message, -32602, "Invalid CallTapParams")
            case _:
                greet(line, message)

    async def story(world: World) -> None:
        await world.up()
        assert (await world.session.execute("c", {}))["code"] == "200"
        with pytest.raises(RelayError) as gone:
            await world.session.execute("a", {})
        with pytest.raises(RelayError) as invalid:
            await world.session.execute("b", {})
        assert (gone.value.code, gone.value.gone) == ("404", True)
        assert (invalid.value.code, invalid.value.message) == ("-32602", "Invalid CallTapParams")

    play(story, script=script)


def test_d1_who_waits_for_an_answer_is_told_at_once_when_the_socket_falls() -> None:
    async def story(world: World) -> None:
        await world.up()
        asked = asyncio.ensure_future(world.session.execute("calling.tap", {}))
        await asyncio.sleep(3)
        world.peer.line.fall()
        before_s = now_s()
        with pytest.raises(RelayAway, match="fell before the answer"):
            await asked
        assert now_s() == before_s
        with pytest.raises(RelayAway, match="it fell"):
            await world.session.execute("calling.tap", {})

    play(story, script=mute)


def test_an_answer_that_does_not_come_in_10_s_costs_the_socket() -> None:
    async def story(world: World) -> None:
        await world.up()
        before_s = now_s()
        with pytest.raises(RelayAway, match="no answer to calling"):
            await world.session.execute("calling.tap", {})
        assert now_s() - before_s == pytest.approx(10)
        await asyncio.sleep(5)
        assert len(world.peer.lines) == 2
        assert world.peer.lines[0].closed_by_client

    play(story, script=mute)


def test_no_greeting_in_10_s_and_no_socket_in_10_s_are_tried_again() -> None:
    async def story(world: World) -> None:
        world.session.start()
        await asyncio.sleep(10.1)
        assert world.session.standing.why == "no greeting for 10 s"
        world.peer.stuck = True
        await asyncio.sleep(13)
        assert world.session.standing.why == "no socket after 10 s"
        world.peer.stuck, world.peer.script = False, greet
        await world.session.until_up(30)

    play(story, script=silent)


def test_d1_back_off_doubles_to_30_s_and_is_reset_only_by_authentication() -> None:
    def refuse(line: Line, message: dict[str, Any]) -> None:
        line.refuse(message, -32603, "internal error")

    async def story(world: World) -> None:
        world.session.start()
        await asyncio.sleep(400)
        pauses = [after - before for before, after in zip(world.peer.opened_s, world.peer.opened_s[1:], strict=False)]
        for pause, wanted in zip(pauses, [1, 2, 4, 8, 16, 30, 30, 30], strict=False):
            assert 0.75 * wanted <= pause <= 1.25 * wanted
        assert len(pauses) >= 8
        world.peer.script = greet
        await world.session.until_up(40)
        world.peer.script = refuse
        tries = len(world.peer.opened_s)
        world.peer.line.fall()
        await asyncio.sleep(1.3)
        assert len(world.peer.opened_s) == tries + 1

    play(story, script=refuse)


def test_d3_a_refused_token_is_said_once_and_tried_again_every_minute() -> None:
    def refuse(line: Line, message: dict[str, Any]) -> None:
        line.refuse(message, -32002, "401 Unauthorized")

    async def story(world: World) -> None:
        world.session.start()
        with pytest.raises(RelayDenied, match="401 Unauthorized"):
            await world.session.until_up(30)
        assert now_s() == pytest.approx(virtual.BEGIN_S)
        await asyncio.sleep(600)
        pauses = [after - before for before, after in zip(world.peer.opened_s, world.peer.opened_s[1:], strict=False)]
        assert len(pauses) >= 8
        assert all(48 <= pause <= 72 for pause in pauses)
        assert world.session.standing.denied
        world.peer.script = greet
        await asyncio.sleep(73)
        assert world.session.up

    with structlog.testing.capture_logs() as logs:
        play(story, script=refuse)
    said = [line for line in logs if line["log_level"] == "error"]
    assert [line["event"] for line in said] == ["the relay refused project and token"]
    assert "PTsecret" not in str(logs)


def test_who_says_nothing_for_30_s_is_pinged_and_given_10_s_more() -> None:
    async def story(world: World) -> None:
        await world.up()
        await asyncio.sleep(200)
        assert len(world.peer.lines) == 1
        assert world.peer.line.methods().count("signalwire.ping") == pytest.approx(6, abs=1)
        world.peer.script = mute
        await asyncio.sleep(45)
        assert len(world.peer.lines) == 2

    play(story)


def test_who_pings_us_is_not_pinged() -> None:
    async def story(world: World) -> None:
        await world.up()
        for stamp in range(20):
            world.peer.line.put(id=f"p-{stamp}", method="signalwire.ping", params={"timestamp": stamp})
            await asyncio.sleep(10)
        assert "signalwire.ping" not in world.peer.line.methods()
        assert [message["result"]["timestamp"] for message in world.peer.line.said if "result" in message] == list(
            range(20)
        )

    play(story)


def test_an_event_is_acked_before_it_is_heard_and_a_handler_that_fails_costs_one_event() -> None:
    async def story(world: World) -> None:
        acked: list[list[Any]] = []

        def hear(event: words.Event) -> None:
            assert world.session._relay is not None
            acked.append([json.loads(text)["id"] for text in world.session._relay._rpc._outbox])
            if len(acked) == 1:
                raise ValueError("a defect")

        world.session._hear = hear
        await world.up()
        for state in ("tapping", "finished"):
            world.peer.line.event("calling.call.tap", control_id="t", state=state)
            await asyncio.sleep(0.1)
        assert acked == [["e-1"], ["e-2"]]
        world.peer.line.event("queuing.relay.tasks")
        await asyncio.sleep(0.1)
        assert world.session.counts == {"sockets": 1, "events": 2, "unknown_events": 1}

    play(story)


@pytest.mark.parametrize("closes", [True, False])
def test_after_a_farewell_nothing_is_said_and_the_socket_is_closed_in_5_s(closes: bool) -> None:
    async def story(world: World) -> None:
        await world.up()
        line = world.peer.line
        line.put(id="d", method="signalwire.disconnect", params={})
        await asyncio.sleep(0.1)
        assert not world.session.up
        said = len(line.said)
        with pytest.raises(RelayAway, match="farewell"):
            await world.session.execute("calling.tap", {})
        if closes:
            line.fall()
            await asyncio.sleep(2)
        else:
            await asyncio.sleep(7)
        assert len(line.said) == said
        assert len(world.peer.lines) == 2
        assert world.session.up

    play(story)


@pytest.mark.parametrize("text", ["no json", '{"id": "stranger", "result": {}}'])
def test_e_nonsense_is_counted_said_once_and_costs_the_socket_each_time(text: str) -> None:
    async def story(world: World) -> None:
        for number in range(4):
            await (world.up() if number == 0 else world.session.until_up(60))
            world.peer.line.raw(text)
            await asyncio.sleep(0.1)
        world.peer.line.fall("a frame of 10 MB", nonsense=True)
        await world.session.until_up(60)
        world.peer.line.fall("a frame of 10 MB", nonsense=True)
        await asyncio.sleep(0.1)
        assert world.session.counts["nonsense"] == 5
        assert len(world.peer.lines) == 5

    with structlog.testing.capture_logs() as logs:
        play(story)
    assert len([line for line in logs if "nonsense" in line["event"]]) == 1


def test_a_defect_costs_one_socket_and_not_the_session() -> None:
    async def story(world: World) -> None:
        await world.up()

        def broken(line: Line, message: dict[str, Any]) -> None:
            raise TypeError("a defect")

        world.peer.script = broken
        with pytest.raises(RelayAway):
            await world.session.execute("calling.tap", {})
        assert world.session.standing.why == "a defect of ours, see the log"
        world.peer.script = greet
        await world.session.until_up(30)

    play(story)


def test_a_network_that_is_not_there_is_said_in_its_words() -> None:
    async def story(world: World) -> None:
        world.peer.shut = SocketClosed("Network is unreachable")
        world.session.start()
        with pytest.raises(RelayAway, match="Network is unreachable"):
            await world.session.until_up(20)

    play(story)


@settings(max_examples=100)
@given(st.floats(0, 60), st.sampled_from([greet, mute, silent]), st.integers(0, 99), st.booleans())
def test_whenever_it_is_closed_nothing_is_left_and_nobody_waits(
    after_s: float, script: Script, seed: int, falls: bool
) -> None:
    async def story(world: World) -> None:
        world.session.start()
        await asyncio.sleep(after_s / 2)
        if falls and world.peer.lines:
            world.peer.line.fall()
        asked = asyncio.ensure_future(world.session.execute("calling.tap", {}))
        await asyncio.sleep(after_s / 2)
        await world.session.close()
        await asyncio.wait([asked])
        asked.exception()
        assert not world.session.up

    play(story, script=script, seed=seed)
