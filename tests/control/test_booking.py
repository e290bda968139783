"""Outcomes are written down once each, however long the ledger's disk takes."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from receiver.control.booking import Booking, Result
from receiver.control.orders import row
from receiver.control.taps import State, Tap
from receiver.ledger.clerk import Clerk
from receiver.ledger.rows import Problem
from receiver.ledger.store import Ledger
from tests.control.made import sidecar
from tests.control.test_taps import tap


class Books:
    """A booking with its ledger."""

    def __init__(self, path: Path) -> None:
        self.clerk = Clerk(Ledger(path))
        self.done: list[tuple[Tap, Result]] = []
        self.news = asyncio.Event()
        self.booking = Booking(self.clerk, lambda summary: f"x/{summary.recording_id}", lambda: 99, self.say)

    def say(self, which: Tap, result: Result) -> None:
        self.done.append((which, result))
        self.news.set()


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    made = Books(tmp_path / "l")
    await made.clerk.do(made.clerk.ledger.ask, row(tap(), "127.0.0.1"))
    yield made
    made.booking.abandon()
    await made.clerk.close()


async def outcome(books: Books) -> tuple[str, str | None]:
    found = await books.clerk.do(books.clerk.ledger.tap, "t")
    assert found is not None
    return found.state, found.outcome


async def test_a_published_recording_is_booked_with_its_place(books: Books) -> None:
    made = tap(State.FINISHING)
    books.booking.published(made, sidecar(made, "degraded"))
    await books.news.wait()
    ((which, result),) = books.done
    assert which is made
    assert (result.outcome, result.ending) == ("degraded", "stopped")
    assert await outcome(books) == ("finished", "degraded")
    found = await books.clerk.do(books.clerk.ledger.recording, "r")
    assert found is not None
    assert found.stem == "x/r"


async def test_p6_twice_is_once(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tap(State.FINISHING)
    ended: list[object] = []
    really_end = books.clerk.ledger.end

    def end(*rest: Any) -> bool:
        ended.append(rest[1])
        return really_end(*rest)

    monkeypatch.setattr(books.clerk.ledger, "end", end)
    books.booking.published(made, sidecar(made))
    books.booking.published(made, sidecar(made, "degraded"))
    books.booking.refused(made, Problem("late", "refused"))
    await books.news.wait()
    for _ in range(9):
        await books.clerk.do(int)
    assert [result.outcome for _, result in books.done] == ["complete"]
    assert ended == ["complete"]
    assert await outcome(books) == ("finished", "complete")


async def test_d4_a_refused_tap_has_an_outcome_and_no_recording(books: Books) -> None:
    books.booking.refused(tap(), Problem("storage", "no space"))
    await books.news.wait()
    assert await outcome(books) == ("failed", "failed")
    assert await books.clerk.do(books.clerk.ledger.recording, "r") is None


@pytest.mark.parametrize("octets", [b"", b"{}", b"\xff", b'{"recording_id":"r","outcome":"odd","ending":"stopped"}'])
async def test_p6_a_sidecar_that_cannot_be_read_still_is_an_outcome(books: Books, octets: bytes) -> None:
    books.booking.published(tap(State.FINISHING, ending="silence"), octets)
    await books.news.wait()
    assert await outcome(books) == ("finished", "degraded")
    problem = books.done[0][1].problem
    assert problem is not None
    assert problem.code == "unreadable_sidecar"


async def test_p6_a_sidecar_that_does_not_name_its_tap_ends_it_all_the_same(books: Books) -> None:
    books.booking.published(tap(State.FINISHING), b'{"recording_id":"r","outcome":"empty","ending":"no_packets"}')
    await books.news.wait()
    assert await outcome(books) == ("finished", "empty")


async def test_a_ledger_that_cannot_be_written_is_tried_until_it_can(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    really_sleep, really_end = asyncio.sleep, books.clerk.ledger.end

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await really_sleep(0)

    def end(*arguments: object) -> bool:
        if len(pauses) < 7:
            raise sqlite3.OperationalError("database or disk is full")
        return really_end(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(books.clerk.ledger, "end", end)
    made = tap(State.FINISHING)
    books.booking.published(made, sidecar(made))
    await books.news.wait()
    assert pauses == [0.5, 1, 2, 5, 10, 10, 10]
    assert len(books.done) == 1
    assert await outcome(books) == ("finished", "complete")


async def test_at_the_end_nothing_more_is_tried(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    def book(*arguments: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(books.clerk.ledger, "book", book)
    made = tap(State.FINISHING)
    books.booking.published(made, sidecar(made))
    (task,) = books.booking._tasks.values()
    books.booking.abandon()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert books.done == []
