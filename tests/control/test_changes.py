"""Who waits for a tap is woken by each change, and never waits longer than asked; listeners and the log are told."""

import asyncio
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from receiver import link
from receiver.control.changes import Changes
from receiver.control.taps import Event, State, Tap
from receiver.ledger.rows import Summary
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


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def moved(self, tap: Tap) -> None:
        self.heard.append((tap.state,))

    def source_changed(self, tap: Tap, seen: dict[str, Any]) -> None:
        self.heard.append(("source_changed", seen))

    def dtmf(self, tap: Tap, pressed: dict[str, Any]) -> None:
        self.heard.append(("dtmf", pressed))

    def turned(self, tap: Tap) -> None:
        self.heard.append(("turned", tap.paused))

    def ready(self, tap: Tap, summary: Summary) -> None:
        self.heard.append(("ready", summary.outcome))


def test_a_listener_is_told_everything_that_is_news_and_an_operator_what_is_odd() -> None:
    ear, one = Ear(), tap()
    changes = Changes(ear)
    with capture_logs() as said:
        changes.tell(one)
        for event in ("source_changed", "source_conflict", "epoch", "dtmf"):
            changes.happened(one, link.Happened(0, "recording-1", event, 0, {"port": 7}))
        changes.ready(one, None)
        changes.ready(one, Summary(recording_id="recording-1", ending="stopped", outcome="complete"))
    assert ear.heard == [
        (State.REQUESTED,), ("source_changed", {"port": 7}), ("dtmf", {"port": 7}), ("ready", "complete"),
    ]  # fmt: skip
    assert [line["event"] for line in said] == ["source_changed", "source_conflict"]
