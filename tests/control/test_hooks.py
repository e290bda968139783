"""Hooks are called at least once for each event, over failures and restarts; a bad call holds nobody up."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from receiver.control import hooks as module
from receiver.control.events import Events
from receiver.control.hooks import AGAIN_S, AT_ONCE, KEPT_NS, Call, Hook, HookFailed, Hooks
from receiver.ledger.store import Ledger
from tests import virtual
from tests.control.lifeworld import InlineClerk, now_ns
from tests.ledger.made import sidecar, tap


class World:
    """One ledger, and hooks that are started as often as a story likes. ``bad``: events that are refused."""

    def __init__(self, directory: Path) -> None:
        self.clerk = InlineClerk(Ledger(directory / "l"))
        self.events = Events(now_ns)
        self.calls: list[tuple[float, Call]] = []
        self.bad: set[str] = set()
        self.slow_s = 0.0
        self.under_way = self.most_under_way = 0

    async def call(self, call: Call) -> None:
        """The hook."""
        self.calls.append((asyncio.get_running_loop().time() - virtual.BEGIN_S, call))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self.slow_s)
        self.under_way -= 1
        if call.event in self.bad:
            raise HookFailed("HTTP status 500")

    def hooks(self, *names: str) -> Hooks:
        """Of a daemon that starts."""
        return Hooks(self.clerk, self.events, [Hook(name, name, self.call) for name in names or ("a",)], now_ns)

    def told(self) -> list[tuple[str, str]]:
        """Id and event of each call so far."""
        return [(call.id, call.event) for _, call in self.calls]

    def owed(self) -> int:
        """How many calls stand in the outbox."""
        (count,) = self.clerk.ledger._base.execute("SELECT count(*) FROM outbox").fetchone()
        return int(count)


def play(directory: Path, story: Callable[[World], Awaitable[None]]) -> None:
    """Run a story in virtual time."""

    async def whole() -> None:
        world = World(directory)
        try:
            await story(world)
        finally:
            await world.clerk.close()

    virtual.run(whole())


def test_what_happens_is_told_at_once_with_the_same_document_as_to_readers(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        hooks = one.hooks("a", "b")
        await hooks.start()
        with one.events.reader() as reader:
            one.events.tell("relay.down", lambda: {"relay": {"why": "the socket fell"}})
            (read,) = await reader.read(1)
        await asyncio.sleep(1)
        await hooks.close()
        assert [(at_s, call.document) for at_s, call in one.calls] == [(0.0, read.document)] * 2
        assert len({call.id for _, call in one.calls}) == 2, "each call has its own id"
        assert hooks.results == {"delivered": 2, "failed": 0, "dropped": 0}
        assert one.owed() == 0

    play(tmp_path, story)


def test_an_outcome_is_told_as_the_ledger_knows_it(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        hooks = one.hooks()
        await hooks.start()
        one.clerk.ledger.ask(tap(1, call_id="c-1"))
        one.clerk.ledger.book(sidecar(1), "s", now_ns())
        one.events.tell("recording.ready", dict)  # what the roster says: it only wakes, the ledger has it already
        await asyncio.sleep(1)
        await hooks.close()
        finished, ready = (json.loads(call.document) for _, call in one.calls)
        assert (finished["event"], finished["tap"]["outcome"], finished["tap"]["call_id"]) == (
            "tap.finished", "complete", "c-1",
        )  # fmt: skip
        assert finished["at"] == "2026-09-21T14:14:20.500000Z", "when it ended, not when it was told"
        assert (ready["event"], ready["recording"]["file"]) == ("recording.ready", "rec-001.wav")

    play(tmp_path, story)


def test_a_recovered_recording_that_nobody_spoke_of_is_found(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        hooks = one.hooks()
        await hooks.start()
        await asyncio.sleep(1)
        one.clerk.ledger.book(sidecar(7, "degraded", ending="recovered"), "s", now_ns())
        await asyncio.sleep(module.LOOK_S)
        await hooks.close()
        assert [event for _, event in one.told()] == ["tap.finished", "recording.ready"]

    play(tmp_path, story)


def test_what_fails_is_tried_again_later_and_later_under_the_same_id_and_holds_nothing_up(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        one.bad = {"relay.down"}
        hooks = one.hooks()
        await hooks.start()
        with capture_logs() as said:
            one.events.tell("relay.down", lambda: {"relay": {"why": "geheim"}})
            one.events.tell("relay.up", dict)
            await asyncio.sleep(sum(AGAIN_S[:3]) + 0.5)
        assert "geheim" not in str(said)
        assert [(line["told"], line["again_in_s"]) for line in said if line["event"] == "hook failed"] == [
            ("relay.down", again_s) for again_s in AGAIN_S[:4]
        ]
        tries = [round(at_s) for at_s, call in one.calls if call.event == "relay.down"]
        assert tries == [0, 1, 6, 36]
        assert len({call.id for _, call in one.calls if call.event == "relay.down"}) == 1
        assert [round(at_s) for at_s, call in one.calls if call.event == "relay.up"] == [0]
        one.bad = set()
        await asyncio.sleep(AGAIN_S[3])
        await hooks.close()
        assert (hooks.results["delivered"], hooks.results["failed"], one.owed()) == (2, 4, 0)

    play(tmp_path, story)


def test_what_fails_for_a_day_is_given_up(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        one.bad = {"relay.down"}
        hooks = one.hooks()
        await hooks.start()
        one.events.tell("relay.down", dict)
        await asyncio.sleep(KEPT_NS / 1e9 + AGAIN_S[-1])
        await hooks.close()
        assert (hooks.results["dropped"], one.owed()) == (1, 0)
        assert 48 <= hooks.results["failed"] <= 60

    play(tmp_path, story)


def test_what_a_daemon_could_not_deliver_the_next_one_does(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        one.slow_s = 1e6
        first = one.hooks()
        await first.start()
        one.events.tell("relay.down", dict)
        await asyncio.sleep(1)
        await first.close()
        one.events.tell("relay.up", dict)  # of a daemon that goes: nobody is owed it
        one.slow_s = 0
        second = one.hooks()
        await second.start()
        await asyncio.sleep(1)
        await second.close()
        assert [event for _, event in one.told()] == ["relay.down", "relay.down"]
        assert len(set(one.told())) == 1, "it may have been taken: the id tells that it comes twice"

    play(tmp_path, story)


def test_few_calls_are_under_way_at_once(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        one.slow_s = 1
        hooks = one.hooks()
        await hooks.start()
        for _ in range(3 * AT_ONCE):
            one.events.tell("relay.up", dict)
        await asyncio.sleep(10)
        await hooks.close()
        assert (one.most_under_way, len(one.calls)) == (AT_ONCE, 3 * AT_ONCE)

    play(tmp_path, story)


def test_a_ledger_that_fails_and_a_defect_end_no_hook(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        hooks = one.hooks()
        await hooks.start()
        outbox: Any = one.clerk.ledger.outbox
        due, troubles = outbox.due, [sqlite3.OperationalError("disk I/O error"), ZeroDivisionError()]

        def trouble(*arguments: Any) -> Any:
            if troubles:
                raise troubles.pop(0)
            return due(*arguments)

        outbox.due = trouble
        with capture_logs() as said:
            one.events.tell("relay.up", dict)
            await asyncio.sleep(3 * module.LOOK_S)
        await hooks.close()
        assert [line["event"] for line in said] == ["the outbox cannot be used", "hook failed"]
        assert [event for _, event in one.told()] == ["relay.up"]

    play(tmp_path, story)


def test_calls_of_a_hook_that_is_gone_from_the_configuration_are_dropped(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        one.bad = {"relay.down"}
        first = one.hooks("a")
        await first.start()
        one.events.tell("relay.down", dict)
        await asyncio.sleep(0.5)
        await first.close()
        with capture_logs() as said:
            second = one.hooks("b")
            await second.start()
            await second.close()
        assert [line["calls"] for line in said] == [1]
        assert one.owed() == 0

    play(tmp_path, story)


def test_a_tap_whose_history_was_removed_meanwhile_is_told_of_no_more(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        first = one.hooks()
        await first.start()
        await first.close()
        one.clerk.ledger.book(sidecar(1), "s", now_ns())
        one.clerk.ledger._base.execute("DELETE FROM taps")
        second = one.hooks()
        await second.start()
        await asyncio.sleep(1)
        await second.close()
        assert (one.calls, one.owed()) == ([], 0)

    play(tmp_path, story)
