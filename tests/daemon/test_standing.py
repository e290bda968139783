"""Ports that are always open: one tap waits there, and after it the next one."""

from pathlib import Path

import pytest

from receiver import link
from receiver.control.means import NotNow
from receiver.control.taps import Event, State
from receiver.daemon.standing import Standing
from receiver.tables import Listen
from receiver.watch.health import Health
from tests.control.made import World

GATE = Listen(port=20_003, label="gate=3", source="203.0.113.7")


def standing(world: World, health: Health | None = None, *listens: Listen) -> Standing:
    return Standing(world.roster, health or Health(), listens or (GATE,), 20, "both")


async def test_a_tap_waits_there_without_a_bound_and_after_it_the_next_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    made = standing(world)
    made.start()
    await world.soon(lambda: len(world.orders(link.Open)) == 1)
    (order,) = world.orders(link.Open)
    assert (order.policy, order.announced, order.labels) == ("address", ("203.0.113.7", 0), {"gate": "3"})
    (tap,) = world.roster.living()
    world.roster.hear(0, link.Opened(tap.slot, tap.recording_id))
    world.passes(100_000)
    world.report()
    world.passes(0)
    assert tap.state is State.LISTENING, "nobody waits for its first packet"
    world.report(tap)
    world.passes(61)
    world.report()
    world.passes(0)
    assert tap.ending == "silence"
    world.finish(tap)
    await world.soon(lambda: len(world.orders(link.Open)) == 2)
    (other,) = world.roster.living()
    assert other.id != tap.id
    await made.close()
    world.roster.stop(other)
    world.finish(other)
    await world.calm()
    assert len(world.orders(link.Open)) == 2, "closed: no other one"
    await world.over()


async def test_a14_a_port_of_opus_expects_the_payload_type_of_the_configuration(tmp_path: Path) -> None:
    world = World(tmp_path)
    music = Listen(port=20_003, codec="OPUS", source="any", label="of=music")
    made = Standing(world.roster, Health(), (music, Listen(port=20_004, codec="PCMA", source="any")), 20, "both", 120)
    made.start()
    await world.soon(lambda: len(world.orders(link.Open)) == 2)
    assert {order.labels.get("of"): order.law for order in world.orders(link.Open)} == {"music": 120, None: 8}
    await made.close()
    await world.over()


async def test_d7_one_that_an_earlier_daemon_opened_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    tap = await world.open(fixed=GATE.port, source="203.0.113.7")
    made = standing(world)
    made.start()
    await world.calm()
    assert world.roster.living() == [tap]
    await made.close()
    await world.over()


async def test_one_that_is_finishing_is_waited_out_by_a_new_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    tap = await world.open(fixed=GATE.port)
    world.roster.stop(tap)
    assert not tap.meet(Event.FIRST_PACKET, 0)
    made = standing(world)
    made.start()
    await world.soon(lambda: len(world.orders(link.Open)) == 2)
    await made.close()
    await world.over()


async def test_a_port_that_somebody_else_has_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.daemon.standing.AGAIN_S", (0.0,))
    world, health = World(tmp_path), Health()
    taken, take = [True], world.roster._means.take

    def taking(wish: object) -> object:
        if taken:
            raise NotNow("no_port", "port 20003 cannot be bound: Address already in use", 10)
        return take(wish)  # type: ignore[arg-type]

    world.roster._means = world.roster._means._replace(take=taking)  # type: ignore[arg-type]
    made = standing(world, health)
    made.start()
    await world.soon(lambda: bool(health.complaints))
    assert "already in use" in health.complaints["listen 20003"]
    taken.clear()
    await world.soon(lambda: bool(world.orders(link.Open)))
    assert health.ready
    await made.close()
    await world.over()
