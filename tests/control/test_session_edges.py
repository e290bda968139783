"""The session where two things happen at once, or the other side only half lives; in virtual time."""

import asyncio
import random
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from receiver.control.errors import RelayAway, RelayDenied
from receiver.control.session import Session, Standing
from tests import virtual
from tests.control.relaypeer import Line, RelayPeer, greet, mute, silent
from tests.control.test_session import KEYS, World, now_s, play


@pytest.mark.parametrize("turns", range(12))
def test_closed_in_the_very_turns_in_which_the_socket_falls_it_still_closes_the_socket_and_fails_who_waits(
    turns: int,
) -> None:
    async def story(world: World) -> None:
        await world.up()
        world.peer.script = mute
        asked = asyncio.ensure_future(world.session.execute("calling.tap", {}))
        await asyncio.sleep(1)
        before_s = now_s()
        world.peer.line.fall()
        for _ in range(turns):
            await asyncio.sleep(0)
        await world.session.close()
        with pytest.raises(RelayAway):
            await asked
        assert world.peer.line.closed_by_client
        assert now_s() == before_s

    play(story)


def test_it_is_not_up_while_the_fallen_socket_is_still_being_closed() -> None:
    async def story(world: World) -> None:
        await world.up()

        async def slowly() -> None:
            await asyncio.sleep(3)
            line.closed_by_client = True

        line = world.peer.line
        line.close = slowly  # type: ignore[method-assign]
        line.fall()
        await asyncio.sleep(1)
        assert world.session.standing == (False, False, "it fell")
        with pytest.raises(RelayAway, match="it fell"):
            await world.session.execute("calling.tap", {})
        await world.session.close()
        assert line.closed_by_client
        assert [why for _, _, why, _ in world.stood] == ["", "it fell", "closed"]

    play(story)


def test_d1_a_relay_that_speaks_and_does_not_listen_is_given_up_after_10_s() -> None:
    async def story(world: World) -> None:
        await world.up()

        async def full(text: str) -> None:
            await asyncio.sleep(10_000)

        line = world.peer.line
        line.send = full  # type: ignore[method-assign]
        for _ in range(9):
            line.event("calling.call.tap", control_id="t", state="tapping")
            await asyncio.sleep(1)
        assert world.peer.line is line
        await asyncio.sleep(4)
        assert world.peer.line is not line
        assert world.session.up

    play(story)


def test_a_door_with_a_defect_costs_one_try_and_not_the_session() -> None:
    async def story(world: World) -> None:
        world.peer.shut = TypeError("a defect")
        world.session.start()
        await asyncio.sleep(0.1)
        assert world.session.standing.why == "a defect of ours, see the log"
        world.peer.shut = None
        await world.session.until_up(5)

    play(story)


def test_who_waits_until_it_is_up_is_told_when_it_is_closed() -> None:
    async def story(world: World) -> None:
        world.session.start()
        waiting = asyncio.ensure_future(world.session.until_up(300))
        await asyncio.sleep(1)
        before_s = now_s()
        await world.session.close()
        with pytest.raises(RelayAway, match="closed"):
            await waiting
        assert now_s() == before_s

    play(story, script=silent)


def test_who_is_told_how_we_stand_and_fails_costs_nothing_but_a_line() -> None:
    async def story(world: World) -> None:
        def broken(standing: Standing, restored: bool) -> None:
            raise ValueError("a defect of theirs")

        world.session._changed = broken
        await world.up()
        world.peer.line.fall()
        await asyncio.sleep(0.1)
        await world.session.until_up(5)

    with structlog.testing.capture_logs() as logs:
        play(story)
    assert "a change of standing could not be taken in" in {line["event"] for line in logs}


def test_a_relay_that_does_not_like_to_be_pinged_lives_all_the_same() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        if message.get("method") == "signalwire.ping":
            line.refuse(message, -32601, "no such method")
        else:
            greet(line, message)

    async def story(world: World) -> None:
        await world.up()
        await asyncio.sleep(100)
        assert len(world.peer.lines) == 1

    play(story, script=script)


def test_topics_that_are_refused_by_code_are_said() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        if message.get("method") == "signalwire.receive":
            line.answer(message, code="400", message="no such context")
        else:
            greet(line, message)

    async def story(world: World) -> None:
        await world.up()
        await asyncio.sleep(0.1)

    with structlog.testing.capture_logs() as logs:
        play(story, script=script, topics=("office",))
    (said,) = [line for line in logs if line["event"] == "the relay refused"]
    assert (said["method"], said["why"]) == ("signalwire.receive", "no such context")


def test_d9_a_refusal_that_repeats_the_token_does_not_get_it_into_log_or_error() -> None:
    def script(line: Line, message: dict[str, Any]) -> None:
        line.refuse(message, -32002, f"no {message['params']['authentication']['token']} here, {'x' * 5_000}")

    async def story(world: World) -> None:
        world.session.start()
        with pytest.raises(RelayDenied) as denied:
            await world.session.until_up(30)
        assert "PTsecret" not in str(denied.value)
        assert len(str(denied.value)) < 600

    with structlog.testing.capture_logs() as logs:
        play(story, script=script)
    assert "PTsecret" not in str(logs)
    assert len(str(logs)) < 3_000


@given(st.integers(0, 10_000), st.integers(), st.booleans())
def test_d1_d3_no_pause_is_out_of_bounds(tries: int, seed: int, denied: bool) -> None:
    async def pause_s() -> float:
        session = Session(RelayPeer(), KEYS, dice=random.Random(seed))
        session._denied = denied
        return session._pause_s(tries)

    least_s, most_s = (48, 72) if denied else (0.75, 37.5)
    assert least_s <= virtual.run(pause_s()) <= most_s
