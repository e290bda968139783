"""Waiting for a tap to get somewhere: woken by each change, never for longer than asked."""

import asyncio
from pathlib import Path

from receiver.control.changes import Changes
from receiver.control.taps import Event, State, Tap
from tests.control.made import LIMITS, WISH


def tap() -> Tap:
    return Tap("tap-1", "recording-1", 0, 0, 20_000, WISH, LIMITS, 0, 0)


async def test_who_waits_is_woken_when_it_is_there(tmp_path: Path) -> None:
    changes, one = Changes(), tap()
    waiting = [asyncio.ensure_future(changes.until(one, {State.RECEIVING}, 60)) for _ in range(2)]
    await asyncio.sleep(0)
    for event in (Event.ACCEPTED, Event.FIRST_PACKET):
        assert not any(each.done() for each in waiting)
        assert one.meet(event, 1)
        changes.tell(one)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)


async def test_an_outcome_ends_every_wait() -> None:
    changes, one = Changes(), tap()
    waiting = asyncio.ensure_future(changes.until(one, {State.RECEIVING}, 60))
    await asyncio.sleep(0)
    one.meet(Event.REFUSED, 1)
    changes.tell(one)
    await waiting


async def test_nobody_waits_longer_than_he_said() -> None:
    await Changes().until(tap(), {State.RECEIVING}, 0)


async def test_to_tell_of_one_that_nobody_waits_for_is_nothing() -> None:
    changes = Changes()
    changes.tell(tap())
    assert changes._waiting == {}
