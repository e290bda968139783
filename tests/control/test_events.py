"""What happens is told once, in order, to everybody who keeps up, and no secret with it."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from receiver import link
from receiver.control import events as module
from receiver.control.events import GOING, NAMES, TOO_SLOW, Events, Reader
from receiver.control.means import NotNow
from tests.control.made import NOON, World


async def documents(reader: Reader) -> list[dict[str, Any]]:
    """What a reader has not read yet."""
    told = await reader.read(0)
    documents = [json.loads(each.document) for each in told]
    assert [each["event"] for each in documents] == [each.event for each in told]
    assert {each["event"] for each in documents} <= set(NAMES)
    return documents


async def test_the_life_of_a_tap_is_told_in_order(tmp_path: Path) -> None:
    one = World(tmp_path)
    events = one.events
    with events.reader() as reader:
        tap = await one.open(call_id="c-1")
        one.report(tap)
        one.roster.hear(0, link.Happened(tap.slot, tap.recording_id, "receiving", NOON, {}))  # twice is once
        seen: dict[str, Any] = {"source": "192.0.2.7", "port": 4_000}
        one.roster.hear(0, link.Happened(tap.slot, tap.recording_id, "source_changed", NOON, seen))
        pressed: dict[str, Any] = {"digit": "5", "duration_ms": 80}
        one.roster.hear(0, link.Happened(tap.slot, tap.recording_id, "dtmf", NOON, pressed))
        one.roster.stop(tap)
        one.finish(tap, file="a.wav", bytes=16_044, duration_s=1.0)
        await one.calm()
        told = await documents(reader)
    assert [each["event"] for each in told] == [
        "tap.requested", "tap.listening", "tap.receiving", "tap.source_changed", "tap.dtmf", "tap.finished",
        "recording.ready",
    ]  # fmt: skip
    assert [each["tap"]["state"] for each in told] == [
        "requested", "listening", "receiving", "receiving", "receiving", "finished", "finished",
    ]  # fmt: skip
    assert {each["at"] for each in told} == {"2026-09-21T14:13:20Z"}
    assert told[0]["tap"] == {
        "id": tap.id, "recording_id": tap.recording_id, "state": "requested", "call_id": "c-1", "direction": "both",
        "labels": {"team": "blue"},
    }  # fmt: skip
    assert told[3]["seen"] == seen
    assert told[4]["dtmf"] == pressed
    assert (told[5]["tap"]["outcome"], told[5]["tap"]["ending"]) == ("complete", "stopped")
    assert told[6]["recording"] == {
        "recording_id": tap.recording_id, "outcome": "complete", "ending": "stopped", "file": "a.wav", "bytes": 16_044,
        "duration_s": 1.0,
    }  # fmt: skip
    await one.over()


async def test_a_tap_that_was_refused_is_finished_and_no_recording_is_ready(tmp_path: Path) -> None:
    one = World(tmp_path)
    events = one.events
    with events.reader() as reader:
        task = await one.asked()
        (order,) = one.orders(link.Open)
        one.roster.hear(0, link.Refused(order.slot, order.recording_id, "storage", "no space", "make some"))
        await asyncio.wait([task])
        assert task.exception() is not None
        told = await documents(reader)
    assert [each["event"] for each in told] == ["tap.requested", "tap.finished"]
    assert (told[1]["tap"]["state"], told[1]["tap"]["problem"]["code"]) == ("failed", "storage")
    await one.over()


async def test_d9_no_event_holds_a_secret(tmp_path: Path) -> None:
    one = World(tmp_path)
    events = one.events
    with events.reader() as reader:
        tap = await one.open(device="ws")
        one.roster.stop(tap)
        one.finish(tap, "empty", "stopped")
        await one.calm()
        told = json.dumps(await documents(reader))
    assert tap.secret is not None
    assert tap.secret not in told
    assert tap.uri is not None
    assert tap.uri not in told
    await one.over()


async def test_who_comes_later_is_not_told_what_was(tmp_path: Path) -> None:
    one = World(tmp_path)
    events = one.events
    tap = await one.open()
    with events.reader() as late:
        one.report(tap)
        assert [each["event"] for each in await documents(late)] == ["tap.receiving"]
    assert events._readers == set()
    await one.over()


async def test_a_reader_that_does_not_keep_up_is_let_go_with_what_waits_and_no_other_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    events = Events()
    with events.reader() as slow, events.reader() as quick:
        for number in range(5):
            events.tell("relay.down", lambda number=number: {"number": number})  # type: ignore[misc]
            assert [each["number"] for each in await documents(quick)] == [number]
        assert slow.over == TOO_SLOW
        assert [each["number"] for each in await documents(slow)] == [0, 1, 2]
        assert await slow.read(3_600) == [], "it is over: nothing is waited for"
        assert quick.over is None


async def test_readers_are_bounded_and_who_left_makes_room() -> None:
    events = Events()
    with ExitStack() as crowd:
        for _ in range(module.MOST_READERS):
            crowd.enter_context(events.reader())
        with pytest.raises(NotNow), events.reader():
            raise AssertionError("one too many was let in")
    with events.reader():
        assert len(events._readers) == 1


async def test_when_the_daemon_goes_all_are_let_go_and_who_comes_then_as_well() -> None:
    events = Events()
    with events.reader() as reader:
        events.close()
        assert (await reader.read(3_600), reader.over) == ([], GOING)
    with events.reader() as late:
        assert (await late.read(3_600), late.over) == ([], GOING)


async def test_the_relay_is_told_when_it_changes_not_at_each_try() -> None:
    said: dict[str, Any] = {}
    client = SimpleNamespace(listen=lambda **given: said.update(given))
    events = Events()
    events.attend(cast(Any, client))
    with events.reader() as reader:
        for _ in range(2):
            said["on_down"]("no route to host")
        for _ in range(2):
            said["on_up"](True)
        said["on_down"]("the socket fell")
        told = await documents(reader)
    assert [(each["event"], each["relay"]) for each in told] == [
        ("relay.down", {"why": "no route to host"}), ("relay.up", {}), ("relay.down", {"why": "the socket fell"}),
    ]  # fmt: skip


async def test_nothing_is_made_where_nobody_listens() -> None:
    def never() -> dict[str, Any]:
        raise AssertionError

    Events().tell("relay.up", never)
