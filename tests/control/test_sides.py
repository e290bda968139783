"""Two taps of one recording: they begin together, end together, and what one meets alone is its own."""

import asyncio
from pathlib import Path

import pytest

from receiver import link
from receiver.control import sides
from receiver.control.means import NotNow
from receiver.control.resuming import tap_of
from receiver.control.taps import FINAL, Ending, State, Tap
from receiver.ledger.rows import Problem, Summary
from tests.control.made import WISH, World, sidecar

STEREO = WISH._replace(layout=sides.STEREO)
REFUSED = Problem("relay_404", "the relay refused the tap: gone", "the call is over")


def state_of(tap: Tap) -> State:
    """Where it is now; mypy takes an attribute that was compared once for what it was then."""
    return tap.state


async def two(world: World, **given: object) -> tuple[Tap, Tap]:
    """Both sides of a recording that listens."""
    task = await world.asked(layout="stereo", **given)
    for order in world.orders(link.Open)[-2:]:
        world.roster.hear(0, link.Opened(order.slot, order.recording_id))
    tap = await task
    assert sides.of(tap)[0] is tap
    speak, listen = sides.of(tap)
    return speak, listen


def booked(world: World, *taps: Tap, outcome: str = "complete") -> None:
    """The worker says that it is in ready/, for each tap."""
    channels = [{"party": tap.wish.direction, "tap_id": tap.id} for tap in taps]
    for tap in taps:
        told = sidecar(taps[0], outcome, taps[0].ending or "stopped", channels=channels)
        world.roster.hear(0, link.Finished(tap.slot, tap.recording_id, told))


async def test_a_wish_for_stereo_is_two_taps_of_one_recording(world: World) -> None:
    speak, listen = await two(world)
    assert speak.recording_id == listen.recording_id
    assert speak.id != listen.id
    assert (speak.port, listen.port) == (20_000, 20_001)
    orders = world.orders(link.Open)
    assert [(each.direction, each.channel, each.channels) for each in orders] == [("speak", 0, 2), ("listen", 1, 2)]
    rows = await world.rows()
    assert {(row.id, row.direction, row.layout) for row in rows} == {
        (speak.id, "speak", "stereo"), (listen.id, "listen", "stereo"),
    }  # fmt: skip


@pytest.mark.parametrize("which", [0, 1])
async def test_a_stop_on_either_stops_both_and_tells_the_worker_once(world: World, which: int) -> None:
    both = await two(world)
    world.roster.stop(both[which])
    assert [state_of(tap) for tap in both] == [State.FINISHING] * 2
    [close] = world.orders(link.Close)
    assert close.recording_id == both[0].recording_id
    assert (close.ending, close.problem, close.faults) == ("stopped", None, [])
    booked(world, *both)
    for tap in both:
        await world.roster.until(tap, FINAL, 10)
    assert sorted(world.given_back) == [20_000, 20_001]
    assert {(row.outcome, row.ending) for row in await world.rows()} == {("complete", "stopped")}
    assert len(world.orders(link.Forget)) == 2


async def test_a_recording_is_ready_once(world: World) -> None:
    told: list[str] = []

    def ready(tap: Tap, summary: Summary) -> None:
        told.append(tap.id)

    world.events.ready = ready  # type: ignore[method-assign]
    both = await two(world)
    world.roster.stop(both[0])
    booked(world, *both)
    for tap in both:
        await world.roster.until(tap, FINAL, 10)
    await world.calm()
    assert len(told) == 1


@pytest.mark.parametrize("ending", sorted(sides.ALONE))
async def test_what_one_side_meets_alone_ends_that_side(world: World, ending: Ending) -> None:
    speak, listen = await two(world)
    world.roster.stop(listen, ending, REFUSED if ending == Ending.REFUSED else None)
    assert (state_of(speak), state_of(listen)) == (State.LISTENING, State.FINISHING)
    assert world.orders(link.Close) == []
    world.roster.stop(speak, Ending.CALL_ENDED)
    [close] = world.orders(link.Close)
    assert close.ending == "call_ended"
    assert [fault["code"] for fault in close.faults] == (["relay_404"] if ending == Ending.REFUSED else [])


async def test_d4_two_sides_that_were_refused_are_a_refusal(world: World) -> None:
    speak, listen = await two(world)
    for tap in (speak, listen):
        world.roster.stop(tap, Ending.REFUSED, REFUSED)
    [close] = world.orders(link.Close)
    assert (close.ending, close.faults) == ("refused", [])
    assert close.problem == {
        "code": "relay_404", "hint": "the call is over",
        "message": "speak: the relay refused the tap: gone; listen: the relay refused the tap: gone",
    }  # fmt: skip


async def test_d5_a_side_that_nothing_comes_for_waits_for_the_other(world: World) -> None:
    speak, listen = await two(world)
    world.roster.hear(0, link.Happened(speak.slot, speak.recording_id, "receiving", 1, {}))
    world.passes(31)
    world.report(speak)
    world.roster.tick()
    assert (state_of(speak), state_of(listen)) == (State.RECEIVING, State.FINISHING)
    assert listen.ending == Ending.NO_PACKETS
    assert world.orders(link.Close) == []


async def test_no_room_for_two_leaves_no_port_and_no_row_behind(tmp_path: Path) -> None:
    world = World(tmp_path, slots=4, most=4, ports=1)
    with pytest.raises(NotNow):
        await world.roster.open(STEREO)
    assert world.given_back == [20_000]
    assert await world.rows() == []
    await world.over()


async def test_max_taps_counts_both(world: World) -> None:
    """The world has four slots."""
    await two(world)
    await world.open()
    with pytest.raises(NotNow, match="all 4 taps are in use"):
        await world.roster.ask(STEREO)
    await world.open()


async def test_labels_are_the_recordings_and_a_control_id_is_the_taps(world: World) -> None:
    speak, listen = await two(world)
    world.roster.amend(listen, call_id="c", labels={"a": "b"}, control_id="theirs")
    amends = world.orders(link.Amend)
    assert [(each.slot, each.call_id, each.labels, each.control_id) for each in amends] == [
        (speak.slot, "c", {"a": "b"}, None), (listen.slot, "c", {"a": "b"}, "theirs"),
    ]  # fmt: skip


async def test_a_worker_that_was_started_again_is_told_of_both_and_of_the_end(world: World) -> None:
    both = await two(world)
    assert [type(message) for message, _ in world.roster.belongings(0)] == [link.Open, link.Open]
    world.roster.stop(both[1])
    told = [message for message, _ in world.roster.belongings(0)]
    assert [type(message) for message in told].count(link.Open) == 2
    assert any(isinstance(message, link.Close) for message in told)


async def test_both_go_on_under_the_next_daemon_in_one_worker(world: World, tmp_path: Path) -> None:
    both = await two(world)
    rows = [await world.row(tap.id) for tap in both]
    world.roster.abandon()
    folder = tmp_path / "next"
    folder.mkdir()
    after = World(folder, workers=2, slots=4, most=4)
    made = [tap_of(row, both[0].limits, after.now_ns, after.wall_ns) for row in rows]
    for tap in reversed(made):
        assert tap is not None
        after.roster.resume(tap, after.take(tap.wish))
    speak, listen = sides.of(next(tap for tap in made if tap))
    assert (speak.channel, listen.channel, speak.worker) == (0, 1, listen.worker)
    assert [order.channels for order, _ in after.roster.belongings(speak.worker)] == [2, 2]  # type: ignore[union-attr]
    await after.over()
    await asyncio.sleep(0)


async def test_c5_two_of_whom_only_parts_were_left_are_both_booked(world: World) -> None:
    both = await two(world)
    channels = [{"party": tap.wish.direction, "tap_id": tap.id} for tap in both]
    world.roster.hear(0, link.Repaired([sidecar(both[0], "degraded", "recovered", channels=channels)]))
    for tap in both:
        await world.roster.until(tap, FINAL, 1)
        assert (state_of(tap), tap.ending) == (State.FINISHED, Ending.RECOVERED)
    assert world.roster.living() == []
    assert sorted(world.given_back) == sorted(tap.port for tap in both)
