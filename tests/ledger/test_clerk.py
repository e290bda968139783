"""One thread keeps the ledger, in order, and a failure is told."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from receiver.ledger.clerk import Clerk
from receiver.ledger.store import Ledger, Note
from tests.ledger.made import tap


async def test_verbs_are_done_in_order_in_one_other_thread(tmp_path: Path) -> None:
    clerk = Clerk(Ledger(tmp_path / "l"))
    threads = []
    clerk.post(clerk.ledger.ask, tap(1))
    clerk.post(clerk.ledger.note, [Note("tap-001", "listening", 1)])
    clerk.post(lambda: threads.append(threading.get_ident()))
    row = await clerk.do(clerk.ledger.tap, "tap-001")
    assert row is not None
    assert row.state == "listening"
    assert await clerk.do(threading.get_ident) == threads[0] != threading.get_ident()
    await clerk.close()


async def test_a_failure_reaches_who_waits_and_is_told(tmp_path: Path) -> None:
    told: list[sqlite3.Error | None] = []
    clerk = Clerk(Ledger(tmp_path / "l"), told.append)
    await clerk.do(clerk.ledger.ask, tap(1))
    with pytest.raises(sqlite3.IntegrityError):
        await clerk.do(clerk.ledger.ask, tap(1))
    assert told[0] is None
    assert isinstance(told[1], sqlite3.IntegrityError)
    await clerk.close()


async def test_a_failure_that_nobody_waits_for_is_told(tmp_path: Path) -> None:
    told: list[sqlite3.Error | None] = []
    clerk = Clerk(Ledger(tmp_path / "l"), told.append)
    clerk.post(clerk.ledger.ask, tap(1))
    clerk.post(clerk.ledger.ask, tap(1))
    await clerk.close()
    assert [type(each) for each in told[:2]] == [type(None), sqlite3.IntegrityError]


async def test_what_is_posted_is_done_before_the_end(tmp_path: Path) -> None:
    clerk = Clerk(Ledger(tmp_path / "l"))
    for number in range(20):
        clerk.post(clerk.ledger.ask, tap(number))
    await clerk.close()
    again = Ledger(tmp_path / "l")
    assert len(again.open_taps()) == 20
    again.close()


async def test_a_defect_in_a_posted_verb_reaches_the_loop(tmp_path: Path) -> None:
    clerk = Clerk(Ledger(tmp_path / "l"))
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["exception"]))
    clerk.post(divmod, 1, 0)
    await clerk.close()
    assert [type(each) for each in said] == [ZeroDivisionError]
