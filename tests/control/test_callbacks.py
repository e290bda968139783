"""What a call back does to a tap."""

from typing import Any

import pytest

from receiver import link
from receiver.control.callbacks import take
from receiver.control.taps import State, Word
from tests.control.made import World


def tapped(state: str, **more: Any) -> dict[str, Any]:
    return {"event_type": "calling.call.tap", "params": {"control_id": "theirs", "state": state, **more}}


async def test_tapping_lifts_the_short_silence_but_not_for_ever_because_calls_back_get_lost(world: World) -> None:
    tap = await world.open()
    world.report(tap)
    assert take(world.roster, tap, tapped("tapping", call_id="c-1", node_id="n-1"))
    world.passes(60)
    world.report(tap, heard_s=61)
    world.passes(0)
    assert tap.state is State.RECEIVING
    assert tap.word is Word.AWAY
    world.passes(600)
    world.report(tap, heard_s=661)
    world.passes(0)
    assert (tap.state, tap.ending) == (State.FINISHING, "silence")


@pytest.mark.parametrize(
    ("document", "ending"),
    [
        (tapped("finished"), "relay_finished"),
        ({"event_type": "calling.call.state", "params": {"call_id": "c-1", "call_state": "ended"}}, "call_ended"),
    ],
)
async def test_what_ends_the_tap_there_ends_the_recording_here(
    world: World, document: dict[str, Any], ending: str
) -> None:
    tap = await world.open()
    for _ in range(2):
        assert take(world.roster, tap, document)
    assert (tap.state, tap.ending) == (State.FINISHING, ending)
    assert len(world.orders(link.Close)) == 1
    assert take(world.roster, tap, tapped("tapping"))  # late: it changes nothing
    assert tap.state is State.FINISHING


async def test_what_the_api_told_stands_and_what_it_did_not_is_learned(world: World) -> None:
    tap = await world.open(call_id="ours")
    take(world.roster, tap, tapped("tapping", call_id="theirs", node_id="n-1"))
    assert (tap.wish.call_id, tap.wish.node_id, tap.wish.control_id) == ("ours", "n-1", "theirs")
    take(world.roster, tap, tapped("tapping", call_id="theirs", node_id="n-1"))
    assert len(world.orders(link.Amend)) == 1


@pytest.mark.parametrize(
    "document", [{}, {"event_type": "calling.call.play", "params": {}}, tapped("paused"), {"params": 1}]
)
async def test_e_what_says_nothing_to_us_moves_nothing(world: World, document: dict[str, Any]) -> None:
    tap = await world.open()
    take(world.roster, tap, document)
    assert (tap.state, tap.word) == (State.LISTENING, Word.NOBODYS)
