"""Calls that are recorded by themselves, against the switch in a box, in virtual time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from receiver.control.answering import Rule
from receiver.lab.switch.faults import Faults
from receiver.lab.switch.parties import Voice
from tests.control.relayworld import OWN, RelayWorld
from tests.control.test_attendance import Story, play

RULES = [
    Rule("office", OWN._replace(direction="speak", labels={"team": "sales"})),
    Rule("door", OWN._replace(labels={"where": "door"})),
    Rule("office", OWN._replace(labels={"never": "reached"})),
]


def recorded(directory: Path, story: Story, **given: Any) -> None:
    play(directory, story, rules=RULES, **given)


def test_a_call_of_a_topic_is_answered_and_tapped_as_its_first_rule_says(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        call_id = world.exchange.ring("office", "+1", "+2")
        await asyncio.sleep(2)
        (tap,) = world.roster.living()
        assert world.exchange.calls[call_id].state == "answered"
        assert (tap.wish.call_id, tap.wish.direction, tap.wish.labels) == (call_id, "speak", {"team": "sales"})
        await world.until(tap, "receiving")
        world.exchange.hang_up(call_id)
        await world.until(tap, "finished")
        assert tap.outcome == "complete"

    recorded(tmp_path, story)


def test_many_at_once_are_each_recorded(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        calls = {world.exchange.ring("door", "+1", "+2", Voice(hang_up=True)) for _ in range(40)}
        await asyncio.sleep(2)
        assert {tap.wish.call_id for tap in world.roster.living()} == calls
        await asyncio.sleep(60)
        assert not world.roster.living()
        assert {outcome for _, outcome in world.outcomes().values()} == {"complete"}

    recorded(tmp_path, story, seconds=20)


def test_a_call_without_a_rule_is_left_to_others(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        await world.client.execute("signalwire.receive", {"contexts": ["front"]})
        call_id = world.exchange.ring("front", "+1", "+2")
        await asyncio.sleep(5)
        assert world.exchange.calls[call_id].state == "ringing"
        assert not world.roster.living()
        assert list(world.client.calls) == [call_id]

    recorded(tmp_path, story)


@pytest.mark.parametrize("faults", [Faults(refuse={"calling.answer": ("400", "no")}), Faults(withhold_events=0.0)])
def test_a_call_that_cannot_be_answered_or_has_no_port_is_said_and_holds_nothing(
    tmp_path: Path, faults: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(world: RelayWorld) -> None:
        world._free.clear()
        world.exchange.ring("office", "+1", "+2")
        await asyncio.sleep(60)
        assert not world.roster.living()
        assert world.outcomes() == {}
        said = capsys.readouterr().out
        assert ("call could not be answered" if faults.refuse else "call not recorded") in said
        assert bool(world.exchange.calls) == bool(faults.refuse)  # answered and not recorded is hung up

    recorded(tmp_path, story, faults=faults)


def test_an_event_that_comes_twice_is_one_call(tmp_path: Path) -> None:
    async def story(world: RelayWorld) -> None:
        world.exchange.ring("office", "+1", "+2")
        await asyncio.sleep(5)
        assert len(world.roster.living()) == 1

    recorded(tmp_path, story, faults=Faults(repeat_events=1.0))
