"""Rule D7: the roster of the next daemon goes on with the taps of the one before, whatever each was about to do."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from receiver import link
from receiver.control import secret
from receiver.control.means import Berth, NotNow
from receiver.control.resuming import KEY_LOST, RESTARTED, tap_of
from receiver.control.taps import FINAL, Ending, State, Tap, Word
from receiver.keys import Key
from tests.control.made import LIMITS, WISH, FakeSocket, World, sidecar
from tests.control.test_roster import Attendant


async def again(directory: Path, before: World, attendant: Attendant | None = None) -> World:
    """The daemon is gone, and another one has begun: it has the ledger and the sockets, and nothing else."""
    await before.calm()
    await before.over()
    world = World(directory)
    if attendant is not None:
        world.roster.attended_by(attendant)
    world.now_ns, world.wall_ns = before.now_ns + 10**9, before.wall_ns + 10**9
    for row in await world.clerk.do(world.clerk.ledger.open_taps):
        tap = tap_of(row, LIMITS, world.now_ns, world.wall_ns)
        assert tap is not None
        world.roster.resume(tap, Berth(tap.port, FakeSocket(tap.port), partial(world.given_back.append, tap.port)))
    return world


def told(world: World) -> list[str]:
    """What a worker that is started is told, in order."""
    return [type(message).__name__ for message, _ in world.roster.belongings(0)]


async def the_one(world: World) -> Tap:
    (tap,) = world.roster.living()
    return tap


async def test_d7_a_tap_goes_on_and_ends_as_any_other(tmp_path: Path) -> None:
    before = World(tmp_path)
    first = await before.open(call_id="c-1", node_id="n-1")
    before.report(first)
    world = await again(tmp_path, before)
    tap = await the_one(world)
    assert (tap.id, tap.state, tap.slot, tap.port) == (first.id, State.RECEIVING, first.slot, first.port)
    assert told(world) == ["Open"]
    world.roster.hear(0, link.Opened(tap.slot, tap.recording_id))
    assert tap.state is State.RECEIVING
    world.roster.stop(tap)
    world.finish(tap)
    await world.roster.until(tap, FINAL, 10)
    assert ((await world.row(tap.id)).outcome, world.given_back) == ("complete", [first.port])
    await world.over()


async def test_d7_a_tap_that_was_asked_for_and_not_answered_is_refused(tmp_path: Path) -> None:
    before = World(tmp_path)
    task = await before.asked()
    world = await again(tmp_path, before)
    task.cancel()
    tap = await the_one(world)
    assert (tap.state, tap.ending, tap.problem) == (State.FINISHING, Ending.REFUSED, RESTARTED)
    assert told(world) == ["Open", "Close"]
    world.finish(tap, "failed", "refused")
    await world.roster.until(tap, FINAL, 10)
    assert tap.state is State.FAILED
    await world.over()


async def test_d9_a_tap_whose_key_was_not_kept_ends_and_says_so(tmp_path: Path) -> None:
    before = World(tmp_path)
    first = await before.open(suite="AEAD_AES_128_GCM", key=Key("AEAD_AES_128_GCM", bytes(28)))
    before.report(first)
    world = await again(tmp_path, before)
    tap = await the_one(world)
    assert (tap.state, tap.ending, tap.problem) == (State.FINISHING, Ending.SHUTDOWN, KEY_LOST)
    assert told(world) == ["Open", "Close"]
    (opening, _), _ = world.roster.belongings(0)
    assert isinstance(opening, link.Open)
    assert (opening.suite, opening.key) == ("AEAD_AES_128_GCM", None)
    world.finish(tap, "degraded")
    await world.roster.until(tap, FINAL, 10)
    await world.over()


async def test_d7_a_tap_that_was_ending_ends_for_the_reason_that_was_found(tmp_path: Path) -> None:
    before = World(tmp_path)
    first = await before.open()
    before.report(first)
    before.passes(61)
    before.report()
    before.passes(61)
    assert first.ending == Ending.SILENCE
    world = await again(tmp_path, before)
    tap = await the_one(world)
    closing = [message for message, _ in world.roster.belongings(0) if isinstance(message, link.Close)]
    assert [each.ending for each in closing] == ["silence"]
    assert tap.state is State.FINISHING
    await world.over()


async def test_d7_what_time_was_left_is_left(tmp_path: Path) -> None:
    before = World(tmp_path)
    await before.open()
    before.passes(20)
    world = await again(tmp_path, before)
    tap = await the_one(world)
    world.report()
    world.passes(8)
    world.report()
    world.passes(0)
    assert tap.state is State.LISTENING
    world.passes(2)
    world.report()
    world.passes(0)
    assert tap.ending == Ending.NO_PACKETS
    await world.over()


async def test_d7_new_taps_get_other_slots(tmp_path: Path) -> None:
    before = World(tmp_path)
    first = await before.open()
    world = await again(tmp_path, before)
    world.free.remove(first.port)
    assert (await world.open()).slot != first.slot
    await world.over()


async def test_d8_other_limits_hold_for_taps_that_are_asked_for_from_then_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = await world.open()
    world.roster.take(LIMITS._replace(start_ns=1), "203.0.113.77")
    second = await world.open()
    assert (first.limits.start_ns, second.limits.start_ns) == (LIMITS.start_ns, 1)
    await world.calm()
    assert (await world.row(second.id)).address == "203.0.113.77"
    await world.over()


async def test_a_roster_that_is_shut_says_why(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.roster.shut("draining", "ask another one")
    with pytest.raises(NotNow, match="ask another one") as refused:
        await world.roster.ask(WISH)
    assert refused.value.code == "draining"
    await world.over()


async def test_d10_the_platform_may_still_call_back(tmp_path: Path) -> None:
    before = World(tmp_path)
    first = await before.open()
    assert first.secret is not None
    before.roster.believe(first, Word.AWAY)
    world = await again(tmp_path, before)
    tap = world.roster.by_secret(first.secret)
    assert tap is await the_one(world)
    assert (tap.secret, tap.word) == (None, Word.AWAY)
    assert tap.secret_digest == secret.digest(first.secret)
    await world.over()


OWN: dict[str, Any] = {"own": True, "call_id": "c-1", "node_id": "n-1", "policy": "announced", "source": None}


@pytest.mark.parametrize("accepted", [True, False])
async def test_d7_our_own_are_taken_up_by_who_speaks_with_the_relay(tmp_path: Path, accepted: bool) -> None:
    before = World(tmp_path)
    before.roster.attended_by(Attendant())
    first = await before.roster.ask(WISH._replace(**OWN))
    before.roster.hear(0, link.Opened(first.slot, first.recording_id))
    if accepted:
        before.roster.accept(first, ("203.0.113.9", 27_654))
    attendant = Attendant(leaves=False)
    world = await again(tmp_path, before, attendant)
    tap = await the_one(world)
    assert attendant.resumed == [tap]
    order = next(message for message, _ in world.roster.belongings(0) if isinstance(message, link.Open))
    if accepted:
        assert (tap.state, tap.accepted, tap.word) == (State.LISTENING, True, Word.AWAY)
        assert (order.held, order.announced) == (False, ("203.0.113.9", 27_654))
    else:
        assert (tap.ending, order.held) == (Ending.REFUSED, True)
    await world.over()


async def test_d7_a_tap_of_which_only_parts_were_left_is_booked_as_c5_ended_it(tmp_path: Path) -> None:
    before = World(tmp_path)
    first = await before.open()
    world = await again(tmp_path, before)
    tap = await the_one(world)
    other = sidecar(Tap("tap-x", "r-x", 0, 0, 1, WISH, LIMITS, 0, 0), "degraded", "recovered")
    world.roster.hear(0, link.Repaired([other, sidecar(tap, "degraded", "recovered")]))
    await world.roster.until(tap, FINAL, 10)
    assert ((await world.row(first.id)).ending, world.given_back) == ("recovered", [first.port])
    assert world.orders(link.Forget) == [link.Forget(tap.slot, tap.recording_id)]
    await world.over()
