"""A pause is told to the worker, to the ledger and to who listens; whoever is started again is told it again."""

from pathlib import Path

import msgspec

from receiver import link
from receiver.control.resuming import tap_of
from tests.control.made import LIMITS, World


def named(told: list[bytes]) -> list[tuple[str, bool]]:
    """Event, and whether the tap says that it is paused."""
    documents = [msgspec.json.decode(each) for each in told]
    return [(each["event"], each["tap"].get("paused", False)) for each in documents if "aused" in each["event"] or
            "resumed" in each["event"]]  # fmt: skip


async def test_a_pause_is_told_once_and_kept(world: World) -> None:
    heard: list[bytes] = []
    world.roster._means.events.also(lambda told: heard.append(told.document))  # type: ignore[union-attr]
    tap = await world.open()
    await world.roster.pausing.ask(tap, paused=True)
    await world.roster.pausing.ask(tap, paused=True)
    at_ns = world.now_ns
    world.passes(1)
    await world.roster.pausing.ask(tap, paused=False)
    orders = world.orders(link.Pause)
    assert [(order.turns, order.turned_ns) for order in orders] == [(1, [at_ns]), (2, [at_ns, world.now_ns])]
    assert named(heard) == [("tap.paused", True), ("tap.resumed", False)]
    row = await world.row(tap.id)
    assert row.seat is not None
    assert (row.seat.turns, row.seat.turned_ns, row.paused) == (2, [at_ns, world.now_ns], False)


async def test_the_next_worker_and_the_next_daemon_know(world: World) -> None:
    tap = await world.open()
    await world.roster.pausing.ask(tap, paused=True)
    [(order, _)] = world.roster.belongings(0)
    assert isinstance(order, link.Open)
    assert (order.turns, order.turned_ns) == (1, [world.now_ns])
    again = tap_of(await world.row(tap.id), LIMITS, world.now_ns, world.wall_ns)
    assert again is not None
    assert again.paused
    assert again.turned_ns == [world.now_ns]


async def test_what_a_worker_knows_better_holds(world: World) -> None:
    tap = await world.open()
    for _ in range(2):
        fields: dict[str, str | int | float | bool | None] = {"turns": 3, "turned_ns": 77}
        world.roster.hear(0, link.Happened(tap.slot, tap.recording_id, "turned", world.wall_ns, fields))
    assert (tap.turns, tap.turned_ns, tap.paused) == (3, [77], True)
    await world.calm()
    assert (await world.row(tap.id)).paused
    world.roster.hear(0, link.Happened(tap.slot, tap.recording_id, "turned", 0, {"turns": 2, "turned_ns": 5}))
    assert tap.paused


async def test_turns_without_end_do_not_grow_without_end(world: World, tmp_path: Path) -> None:
    tap = await world.open()
    for k in range(101):
        await world.roster.pausing.ask(tap, paused=k % 2 == 0)
    assert tap.turns == 101
    assert len(tap.turned_ns) == 16
