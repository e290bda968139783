"""Our own taps against the switch in a box, in virtual time: asked for, listened to, stopped, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from receiver import link
from receiver.control.attendance import Attendance
from receiver.control.calls import Client
from receiver.control.relay import Credentials, Memory
from receiver.control.taps import Tap, Word
from receiver.lab.switch.faults import Faults
from receiver.ledger.rows import Problem
from tests import virtual
from tests.control.relayworld import RelayWorld

Story = Callable[[RelayWorld], Awaitable[None]]


def play(directory: Path, story: Story, **given: Any) -> RelayWorld:
    """Run a story in a world of its own; every tap must have one outcome when it is over."""

    async def whole() -> RelayWorld:
        world = RelayWorld(directory, **given)
        try:
            await world.up()
            await story(world)
        finally:
            await world.over()
        return world

    return virtual.run(whole())


def problem_of(world_tap: Tap) -> Problem:
    assert world_tap.problem is not None
    return world_tap.problem


def test_b1_a_tap_is_bound_then_asked_for_then_read_and_hears_whom_the_relay_announced(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        assert tap.wish.announced == ("203.0.113.9", 30_000 + tap.port % 10_000)
        assert tap.word is Word.TAPPING
        (call,) = world.exchange.calls.values()
        assert call.taps[tap.id].device["params"] == {
            "addr": "127.0.0.1", "port": tap.port, "codec": "PCMU", "ptime": 20,
        }  # fmt: skip
        world.roster.stop(tap)
        assert call.taps  # the relay is asked first
        await world.until(tap, "finished")
        assert not call.taps
        assert (tap.outcome, tap.ending) == ("complete", "stopped")

    play(tmp_path, story)


@pytest.mark.parametrize("finished", ["before", "after", "never"])
def test_d2_the_end_of_a_call_ends_all_its_taps_wherever_finished_stands(tmp_path: Path, finished: Any) -> None:
    async def story(world: RelayWorld) -> None:
        call = await world.client.dial_phone(to="+1", from_="+2")
        wish = world.wish(call.call_id, call.node_id)
        taps = [await world.roster.ask(wish._replace(direction=each)) for each in ("speak", "listen")]
        for tap in taps:
            await world.until(tap, "receiving")
        world.exchange.hang_up(call.call_id)
        for tap in taps:
            await world.until(tap, "finished")
            assert tap.ending == ("relay_finished" if finished == "before" else "call_ended")

    play(tmp_path, story, faults=Faults(finished=finished))


def test_the_relays_own_end_of_a_tap_ends_the_recording(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "finished")
        assert (tap.outcome, tap.ending) == ("complete", "relay_finished")

    play(tmp_path, story, seconds=20)


@pytest.mark.parametrize(
    ("faults", "code", "said"),
    [
        (Faults(refuse={"calling.tap": ("400", "codec is busy")}), "relay_400", "codec is busy"),
        (Faults(refuse={"calling.tap": ("404", "gone")}), "relay_404", "gone"),
    ],
)
def test_d4_a_refusal_is_failed_with_the_relays_code_and_message(
    tmp_path: Path, faults: Faults, code: str, said: str
) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "failed")
        assert (tap.outcome, tap.ending) == ("failed", "refused")
        assert problem_of(tap).code == code
        assert said in problem_of(tap).message
        assert problem_of(tap).hint
        assert world.taken == 0

    play(tmp_path, story, faults=faults)


def test_d2_an_answer_that_never_comes_is_bounded_and_what_the_relay_took_is_stopped_later(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        call = await world.client.dial_phone(to="+1", from_="+2")
        world.exchange.faults = Faults(no_answer=1.0, withhold_events=1.0)
        tap = await world.roster.ask(world.wish(call.call_id, call.node_id))
        await asyncio.sleep(5)
        assert world.exchange.calls[call.call_id].taps  # it runs there, and nobody here knows
        world.exchange.faults = Faults()
        await world.until(tap, "failed")
        assert problem_of(tap).code == "relay_away"
        await asyncio.sleep(30)
        assert not world.exchange.calls[call.call_id].taps

    play(tmp_path, story)


def test_d2_an_event_may_say_what_a_withheld_answer_would_have(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        call = await world.client.dial_phone(to="+1", from_="+2")
        world.exchange.faults = Faults(no_answer=1.0, events_first=True)
        tap = await world.roster.ask(world.wish(call.call_id, call.node_id))
        await asyncio.sleep(1)
        world.exchange.faults = Faults()
        await world.until(tap, "receiving")  # 10 s later: its source is not known, the policy decides
        world.roster.stop(tap)
        await world.until(tap, "finished")

    play(tmp_path, story)


def test_a_tap_that_is_ended_before_the_relay_answers_is_stopped_there_too(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        call = await world.client.dial_phone(to="+1", from_="+2")
        world.exchange.faults = Faults(late_answer_s=(3, 3))
        tap = await world.roster.ask(world.wish(call.call_id, call.node_id))
        await asyncio.sleep(1)
        world.roster.stop(tap)
        world.exchange.faults = Faults()
        await world.until(tap, "finished")
        assert (tap.outcome, tap.ending) == ("empty", "stopped")
        assert not world.exchange.calls[call.call_id].taps

    play(tmp_path, story)


def test_d1_a_socket_that_is_away_for_15_minutes_ends_nothing_and_is_reconciled_within_5_s(tmp_path: Path) -> None:
    """Four taps: one goes on; one whose call ends at minute 3, one at minute 14; one that is stopped here meanwhile."""

    async def story(world: RelayWorld) -> None:
        goes_on, early, late, stopped = [await world.own() for _ in range(4)]
        for tap in (goes_on, early, late, stopped):
            await world.until(tap, "receiving")
        world.wire.cut = True
        world.exchange.drop()
        away_s = asyncio.get_running_loop().time()
        await asyncio.sleep(180)
        assert {tap.word for tap in (goes_on, early, late, stopped)} == {Word.AWAY}
        world.exchange.hang_up(str(early.wish.call_id))
        world.roster.stop(stopped)
        await world.until(stopped, "finished")
        assert stopped.id in world.exchange.calls[str(stopped.wish.call_id)].taps  # the relay could not be told
        await asyncio.sleep(660)
        assert (early.state, early.ending) == ("finished", "silence")  # ten minutes after its last packet
        world.exchange.hang_up(str(late.wish.call_id))
        await asyncio.sleep(away_s + 900 - asyncio.get_running_loop().time())
        assert late.state == goes_on.state == "receiving"
        world.wire.cut = False
        await world.client.until_up(40)
        await asyncio.sleep(5)
        assert (late.state, late.ending) == ("finished", "relay_finished")  # the relay repeated what was missed
        assert stopped.id not in world.exchange.calls[str(stopped.wish.call_id)].taps
        assert (goes_on.state, goes_on.word) == ("receiving", Word.DOUBTFUL)
        first_ns, newest_ns, packets = world.worker.heard[goes_on.recording_id]
        assert packets == 50 * ((newest_ns - first_ns) // 1_000_000_000 + 1)  # not a second is missing
        world.roster.stop(goes_on)
        await world.until(goes_on, "finished")
        assert {tap.outcome for tap in (goes_on, early, late, stopped)} == {"complete"}

    play(tmp_path, story, faults=Faults(keep_session_s=3600))


def test_d1_d6_where_nothing_is_repeated_silence_tells_what_the_relay_did_not(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        ended, lives = await world.own(), await world.own()
        for tap in (ended, lives):
            await world.until(tap, "receiving")
        world.wire.cut = True
        world.exchange.drop()
        await asyncio.sleep(100)
        world.exchange.hang_up(str(ended.wish.call_id))
        await asyncio.sleep(70)
        assert ended.state == "receiving"  # while the socket is away, a minute of silence says nothing
        world.wire.cut = False
        await world.client.until_up(40)
        await asyncio.sleep(5)
        assert (ended.state, ended.ending) == ("finished", "silence")
        assert (lives.state, lives.word) == ("receiving", Word.DOUBTFUL)
        world.exchange.hang_up(str(lives.wish.call_id))
        await world.until(lives, "finished")
        assert lives.ending == "relay_finished"

    play(tmp_path, story, faults=Faults(keep_session_s=3600, replay_missed=False))


@pytest.mark.parametrize("told", [True, False])
def test_d1_where_the_session_is_not_restored_the_sound_decides(tmp_path: Path, told: bool) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        call = world.exchange.calls[str(tap.wish.call_id)]
        world.exchange.drop()
        await asyncio.sleep(900)
        assert world.client.up
        assert not world.client.calls
        assert (tap.state, tap.word) == ("receiving", Word.DOUBTFUL)  # it is heard: it goes on
        world.exchange.hang_up(call.call_id)
        await world.until(tap, "finished")
        assert (tap.outcome, tap.ending) == ("complete", "silence")

    play(tmp_path, story, faults=Faults(keep_session_s=0.1, tell_restored=told))


def test_d7_who_cannot_be_reached_is_not_waited_for(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        world.exchange.faults = Faults(no_answer=1.0, withhold_events=1.0)
        asked_s = asyncio.get_running_loop().time()
        assert await world.roster.close(20) == 0
        assert asyncio.get_running_loop().time() - asked_s < 6
        assert (tap.outcome, tap.ending) == ("complete", "shutdown")

    play(tmp_path, story)


def test_d7_all_of_our_own_are_stopped_on_the_relay_when_we_go(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        taps = [await world.own() for _ in range(5)]
        for tap in taps:
            await world.until(tap, "receiving")
        assert await world.roster.close(20) == 0
        assert not [tap for call in world.exchange.calls.values() for tap in call.taps]
        assert {tap.ending for tap in taps} == {"shutdown"}

    play(tmp_path, story)


def test_p3_a_worker_that_dies_between_question_and_answer_is_told_what_the_answer_was(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        call = await world.client.dial_phone(to="+1", from_="+2")
        world.exchange.faults = Faults(late_answer_s=(1, 1))
        tap = await world.roster.ask(world.wish(call.call_id, call.node_id))
        await asyncio.sleep(0.5)
        world.worker.die()
        await world.until(tap, "receiving")
        orders = [message for message, _ in world.roster.belongings(0) if isinstance(message, link.Open)]
        assert [(order.held, order.announced) for order in orders] == [(False, tap.wish.announced)]
        world.roster.stop(tap)
        await world.until(tap, "finished")

    play(tmp_path, story)


def test_d9_neither_token_nor_state_is_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        world.exchange.drop()
        await asyncio.sleep(60)
        world.roster.stop(tap)
        await world.until(tap, "finished")
        assert world.client._session._memory.authorization_state
        said = capsys.readouterr()
        for secret in ("PTsecret", world.client._session._memory.authorization_state, "signalwire_"):
            assert secret not in said.out + said.err

    play(tmp_path, story)


async def hand_over(world: RelayWorld, tap: Tap, restored: bool = True) -> None:
    """Another process takes up a tap of ours, with what is kept of the session, or without."""
    kept = world.client._session._memory
    memory = Memory(kept.protocol, kept.authorization_state) if restored else Memory()
    await world.attendance.close()
    await world.client.close()
    tap.word = Word.AWAY
    world.client = Client(world.wire, Credentials("p", "PTsecret"), memory=memory)
    world.attendance = Attendance(world.roster, world.client, "127.0.0.1")
    world.attendance.resume(tap)


def test_d7_a_tap_that_was_taken_up_is_heard_of_on_the_restored_session(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        await hand_over(world, tap)
        await world.up()
        assert tap.word is Word.DOUBTFUL, "what was said meanwhile may be lost"
        assert tap.state == "receiving"
        world.exchange.hang_up(next(iter(world.exchange.calls)))
        await world.until(tap, "finished")
        assert tap.ending in ("relay_finished", "call_ended")

    play(tmp_path, story)


def test_d7_what_the_relay_said_meanwhile_ends_it(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        await hand_over(world, tap)
        world.exchange.hang_up(next(iter(world.exchange.calls)))
        await world.up()
        await world.until(tap, "finished", limit_s=10)
        assert tap.ending in ("relay_finished", "call_ended")

    play(tmp_path, story)


def test_d7_a_tap_that_was_taken_up_is_stopped_on_the_relay(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        await hand_over(world, tap)
        await world.up()
        (call,) = world.exchange.calls.values()
        world.roster.stop(tap)
        await world.until(tap, "finished")
        assert not call.taps

    play(tmp_path, story)


def test_d7_on_another_session_the_sound_decides(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        await hand_over(world, tap, restored=False)
        await world.up()
        await asyncio.sleep(300)
        assert tap.state == "receiving", "sound comes"
        world.worker.senders.clear()
        await world.until(tap, "finished", limit_s=120)
        assert tap.ending == "silence"

    play(tmp_path, story)


def test_d7_a_tap_of_which_nobody_knows_whether_it_began_is_stopped_there(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        tap = await world.own()
        await world.until(tap, "receiving")
        (call,) = world.exchange.calls.values()
        tap.accepted = False
        await hand_over(world, tap)
        await world.up()
        await asyncio.sleep(1)
        assert not call.taps
        world.roster.stop(tap)
        await world.until(tap, "finished")

    play(tmp_path, story)
